/** The looking at one program: what its checks share, and how they are gone through. */
import { clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Description, ProgramOptions } from '../plugin-host/programs/internal.ts';
import { failed, inWords } from './outcome.ts';
import type { Finding, Outcome, Section } from './outcome.ts';
import type { FakeRelay } from './fake-relay.ts';
import { CheckedProcess } from './checked-process.ts';

/** One sentence of the protocol that can be seen to hold from outside. */
export interface Check {
  readonly name: string;
  readonly section: Section;
  readonly expected: string;
  /** What to do where the outcome does not say it. */
  readonly advice: string;
  /** Default: always. */
  readonly when?: (exam: Exam) => boolean;
  /** It is about the program's main process, and left out once that has ended or cannot go on. */
  readonly needsMain?: boolean;
  /** If it fails, the main process cannot go on. */
  readonly isVital?: boolean;
  /** The main process may end by it. */
  readonly endsMain?: boolean;
  /** What it rejects with is a failure. */
  readonly look: (exam: Exam) => Promise<Outcome>;
}

/** ms for each step, none more than the person allows. */
export interface Limits {
  readonly startMs: number;
  readonly setupMs: number;
  readonly pingMs: number;
  readonly callMs: number;
  readonly stopMs: number;
}

export interface ExamParts {
  readonly record: ProgramOptions;
  readonly limits: Limits;
  /** Calls its methods, too. */
  readonly callsMethods: boolean;
  /** Of this relay. */
  readonly version: string;
  readonly clock: Clock;
  readonly relay: FakeRelay;
  /** Starts one more process of it; `over`: what its environment has instead. */
  readonly start: (over?: Readonly<Record<string, string | undefined>>) => CheckedProcess;
  readonly signal: AbortSignal;
  readonly onFinding: (finding: Finding) => void;
}

export class Exam {
  #main: CheckedProcess | undefined;
  /** Another process of it beside the main one. */
  second: CheckedProcess | undefined;
  /** One that was told of a version that is still to come. */
  third: CheckedProcess | undefined;
  description: Description | undefined;
  /** Checks that could not be made. */
  leftOut = 0;
  #isOver = false;

  constructor(readonly parts: ExamParts) {}

  /** The process that is asked. Throws an Error before it was started. */
  get main(): CheckedProcess {
    if (this.#main) return this.#main;
    throw new Error('it was not started');
  }

  set main(main: CheckedProcess) {
    this.#main = main;
  }

  /** True for a program that has a server. */
  get isHttp(): boolean {
    return this.#main?.handshake?.form === 'http';
  }

  get isPoll(): boolean {
    return this.#main?.handshake?.form === 'poll';
  }

  /** Makes them in order. Rejects with the signal's reason once that is aborted. */
  async run(checks: readonly Check[]): Promise<void> {
    const { signal, onFinding } = this.parts;
    for (const check of checks) {
      signal.throwIfAborted();
      if (check.when?.(this) === false) continue;
      if (check.needsMain === true && this.#isOver) {
        this.leftOut++;
        continue;
      }
      const outcome = await this.#look(check);
      signal.throwIfAborted();
      onFinding(findingOf(check, outcome));
      if (check.isVital === true && outcome.verdict === 'failed') this.#isOver = true;
    }
  }

  /** What `check` found; that the main process ended by it is a failure whatever it answered. */
  async #look(check: Check): Promise<Outcome> {
    const outcome = await check.look(this).catch((error: unknown) => failed(inWords(error)));
    const end = check.endsMain === true ? undefined : this.#main?.end;
    if (!end || this.#isOver || check.needsMain !== true) return outcome;
    this.#isOver = true;
    const said = this.#main?.lines.at(-1);
    return failed(`${end.reason}${said === undefined ? '' : `; its last line was '${clean(said)}'`}`, check.advice);
  }
}

function findingOf({ name, section, expected, advice }: Check, outcome: Outcome): Finding {
  if (outcome.verdict === 'ok') return { check: name, ...outcome };
  const { verdict, came } = outcome;
  return { check: name, verdict, expected, came: clean(came, 600), advice: outcome.advice ?? advice, section };
}

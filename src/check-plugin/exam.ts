/** Runs the checks of one program in order, and holds what they share. */
import { clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Description, ProgramOptions } from '../plugin-host/programs/internal.ts';
import { failed, describeError } from './outcome.ts';
import type { Finding, Outcome, Section } from './outcome.ts';
import type { FakeRelay } from './fake-relay.ts';
import { CheckedProcess } from './checked-process.ts';
import type { WorkRun } from './work-run.ts';

/** A check of one rule of the protocol. */
export interface Check {
  readonly name: string;
  readonly section: Section;
  readonly expected: string;
  /** What to do if it fails; that of the outcome takes precedence. */
  readonly advice: string;
  /** True if the check applies. Default: always. */
  readonly when?: (exam: Exam) => boolean;
  /** True if it checks the program's main process; it is skipped once that has ended or cannot continue. */
  readonly needsMain?: boolean;
  /** True if the main process cannot continue after a failure. */
  readonly isVital?: boolean;
  /** True if the main process may end during the check. */
  readonly endsMain?: boolean;
  /** Makes the check. A rejection is a failure. */
  readonly run: (exam: Exam) => Promise<Outcome>;
}

/** Time limits of the steps in ms, none longer than the user allows. */
export interface Limits {
  readonly startMs: number;
  readonly setupMs: number;
  readonly pingMs: number;
  readonly callMs: number;
  readonly stopMs: number;
}

/** What an {@link Exam} needs. */
export interface ExamParts {
  readonly record: ProgramOptions;
  readonly limits: Limits;
  /** What its watchers and reactors are configured with. */
  readonly cfg: Readonly<Record<string, unknown>>;
  /** True to call its methods, too. */
  readonly callsMethods: boolean;
  /** The version of this relay. */
  readonly version: string;
  readonly clock: Clock;
  readonly relay: FakeRelay;
  /** Starts another process of the program; `over` overrides variables of its environment. */
  readonly start: (over?: Readonly<Record<string, string | undefined>>) => CheckedProcess;
  readonly signal: AbortSignal;
  readonly onFinding: (finding: Finding) => void;
}

/** The checks of one program. */
export class Exam {
  #main: CheckedProcess | undefined;
  /** Another process of the program, beside the main one. */
  second: CheckedProcess | undefined;
  /** A process that was offered a future version of the protocol. */
  third: CheckedProcess | undefined;
  description: Description | undefined;
  /** The units of work that it ran, one of each type. */
  readonly runs: WorkRun[] = [];
  /** The types of the watchers and reactors that accepted their configuration. */
  readonly accepted = new Set<string>();
  /** Checks that were not made. */
  skipped = 0;
  #isOver = false;

  constructor(readonly parts: ExamParts) {}

  /** The main process. Throws an Error if it has not been started. */
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

  /** Makes the checks in order. Rejects with the signal's reason once that is aborted. */
  async run(checks: readonly Check[]): Promise<void> {
    const { signal, onFinding } = this.parts;
    for (const check of checks) {
      signal.throwIfAborted();
      if (check.when?.(this) === false) continue;
      if (check.needsMain === true && this.#isOver) {
        this.skipped++;
        continue;
      }
      const outcome = await this.#outcomeOf(check);
      signal.throwIfAborted();
      onFinding(findingOf(check, outcome));
      if (check.isVital === true && outcome.verdict === 'failed') this.#isOver = true;
    }
  }

  /** Makes a check. If the main process ended unexpectedly during it, that is a failure, whatever it answered. */
  async #outcomeOf(check: Check): Promise<Outcome> {
    const outcome = await check.run(this).catch((error: unknown) => failed(describeError(error)));
    const end = check.endsMain === true ? undefined : this.#main?.end;
    if (!end || this.#isOver || check.needsMain !== true) return outcome;
    this.#isOver = true;
    const lastLine = this.#main?.lines.at(-1);
    return failed(`${end.reason}${lastLine === undefined ? '' : `; its last line was '${clean(lastLine)}'`}`, check.advice);
  }
}

function findingOf({ name, section, expected, advice }: Check, outcome: Outcome): Finding {
  if (outcome.verdict === 'ok') return { check: name, ...outcome };
  const { verdict, found } = outcome;
  return { check: name, verdict, expected, found: clean(found, 600), advice: outcome.advice ?? advice, section };
}

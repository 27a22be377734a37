/** Starts the parts of a program in order and stops them in reverse, each within its time limit. */
import { RelayError } from './errors.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { withTimeout } from './timeout.ts';

/** A part of a program, as a pair of functions that start and stop it. */
export interface Step {
  /** Its name in errors and log lines: `satellites`. */
  readonly name: string;
  readonly start: () => Promise<void> | void;
  readonly stop: () => Promise<void> | void;
  /**
   * ms for the start. Default 30,000: most steps take milliseconds, and a name server that does not answer takes some seconds.
   */
  readonly startTimeoutMs?: number | undefined;
  /** ms for the stop. Default 30,000. */
  readonly stopTimeoutMs?: number | undefined;
  /** True for the step that accepts requests: it is stopped before all others. */
  readonly stopsFirst?: boolean;
}

/** What {@link Steps} needs. */
export interface StepsDependencies {
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts the start: within a step, or before the next one. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** The steps of one program. */
export class Steps {
  readonly #dependencies: StepsDependencies;
  readonly #started: Step[] = [];
  #stopped: Promise<void> | undefined;

  constructor(dependencies: StepsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Starts a step. It counts as started from now on, so that {@link stop} also cleans up a step that failed halfway. Rejects with the
   * step's own error, with a RelayError TIMEOUT that names the step, or with a RelayError UNAVAILABLE if the signal aborts.
   */
  async start(step: Step): Promise<void> {
    const { clock, log, signal } = this.#dependencies;
    const { name, startTimeoutMs: ms = DEFAULT_TIMEOUT_MS } = step;
    this.#started.push(step);
    await withTimeout(clock, ms, `starting ${name} took longer than ${ms} ms`, () => untilAborted(step.start(), signal));
    if (signal?.aborted) throw new RelayError('UNAVAILABLE', `the start was canceled while starting ${name}`);
    log.debug(`started ${name}`);
  }

  /**
   * Stops the started steps in reverse order. Errors and timeouts of single steps are logged, and the others are stopped all the same.
   * Further calls return the same promise.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const first = this.#started.filter(({ stopsFirst }) => stopsFirst === true);
    await Promise.all(first.map((step) => this.#stopOne(step)));
    for (const step of this.#started.filter(({ stopsFirst }) => stopsFirst !== true).reverse()) await this.#stopOne(step);
  }

  async #stopOne({ name, stop, stopTimeoutMs: ms = DEFAULT_TIMEOUT_MS }: Step): Promise<void> {
    const { clock, log } = this.#dependencies;
    try {
      await withTimeout(clock, ms, `stopping ${name} took longer than ${ms} ms`, stop);
      log.debug(`stopped ${name}`);
    } catch (error) {
      log.error(`${name} did not stop cleanly:`, error);
    }
  }
}

/** Resolves when `work` does, or as soon as the signal aborts; the later outcome of `work` is then ignored. */
function untilAborted(work: Promise<void> | void, signal: AbortSignal | undefined): Promise<void> {
  if (!signal || work === undefined) return Promise.resolve(work);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      resolve();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}

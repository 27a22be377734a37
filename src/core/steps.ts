/** Starts the parts of a program in order and stops them in reverse, each within its time limit. */
import { RelayError } from './errors.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { withTimeout } from './timeout.ts';

export interface Step {
  /** As errors and log lines name it: `satellites`. */
  readonly name: string;
  readonly start: () => Promise<void> | void;
  readonly stop: () => Promise<void> | void;
  /**
   * ms for the start. Default 30,000: what starts without plugins takes milliseconds, and a name server that does not answer some seconds.
   */
  readonly startTimeoutMs?: number | undefined;
  /** ms for the stop. Default 30,000. */
  readonly stopTimeoutMs?: number | undefined;
  /** True for the step that is stopped before all others: what lets requests in. */
  readonly stopsFirst?: boolean;
}

export interface StepsDependencies {
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts the start: within a step, or before the next one. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

export class Steps {
  readonly #dependencies: StepsDependencies;
  readonly #started: Step[] = [];
  #stopped: Promise<void> | undefined;

  constructor(dependencies: StepsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Starts a step. It counts as started from now on, so that a stop also ends what it had begun. Rejects with what it throws, with a
   * RelayError TIMEOUT that names the step, or with a RelayError UNAVAILABLE if the signal aborts.
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
   * Stops what was started, in reverse. Errors and steps that take too long are logged, and the stop goes on. Calling it again waits for
   * the same end.
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

/** Resolves when `work` does, or as soon as the signal aborts; then what `work` does later is ignored. */
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

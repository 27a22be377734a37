/** How a plugin of this process stands: its state, what was left out of it and why, and its last error; each change is told. */
import { RelayError } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { failureOf, frameRows, placeOf, refusal } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import type { PluginEvent, PluginState, PluginProblem } from '../hosted/hosted.ts';

export interface InlineStateParts {
  readonly found: () => FoundModule;
  /** Of the plugin host. */
  readonly log: Log;
  readonly onEvent: (event: PluginEvent) => void;
}

export class InlineState {
  readonly #parts: InlineStateParts;
  #state: PluginState = { type: 'stopped' };
  #problems: readonly PluginProblem[] = [];
  #lastError: string | undefined;

  constructor(parts: InlineStateParts) {
    this.#parts = parts;
  }

  get current(): PluginState {
    return this.#state;
  }

  /** What was left out of what runs, or why nothing does. */
  get problems(): readonly PluginProblem[] {
    return this.#problems;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  set(state: PluginState): void {
    this.#state = state;
    this.#parts.onEvent({ type: 'plugin.state', plugin: this.#parts.found().module, state });
  }

  /** Another version is tried, or runs: what was wrong with the one before does not count. */
  forgetProblems(): void {
    this.#problems = [];
  }

  /** Something of it does not run. */
  leaveOut(problem: PluginProblem): void {
    this.#problems = [...this.#problems, problem];
    this.#parts.log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
  }

  /** Nothing of it runs. */
  becomeLeftOut(problem: PluginProblem): void {
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    this.set({ type: 'left-out', reason: problem.reason });
  }

  /** Does `work`; where that throws, nothing runs. Rejects as {@link failed} says. */
  async orLeaveOut(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const problem = failureOf(error, this.#parts.found());
      this.#problems = [problem, ...this.#problems];
      this.becomeLeftOut(problem);
      throw await this.failed(error, 'left out', signal);
    }
  }

  /** Tells of a failure in the log, and keeps it; what to throw then. */
  async failed(error: unknown, what: string, signal: AbortSignal): Promise<unknown> {
    // Who stops it need not be told that nothing came of what was under way.
    if (signal.aborted) return error;
    const found = this.#parts.found();
    const problem = failureOf(error, found);
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    const rows = await frameRows(problem, found);
    for (const text of [`${placeOf(problem)}: ${what}: ${problem.reason}`, ...rows]) this.#parts.log.error(text);
    return RelayError.is(error) && error.code === 'PLUGIN_REFUSED' ? error : refusal(found.module, this.#lastError, error);
  }
}

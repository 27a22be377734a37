/** Drives a supervision: feeds it events in order, keeps its one timer, tells what it decides and what it became. */
import type { Clock } from '../../core/core.ts';
import type { PauseWatch } from './pause-watch.ts';
import { step } from './supervision.ts';
import type { Supervised, SupervisionEffect, SupervisionEvent, SupervisionRules } from './supervision.ts';

export interface SupervisorParts {
  readonly clock: Clock;
  /** Knows when the relay itself did not run. */
  readonly pauses: Pick<PauseWatch, 'wasPausedSince'>;
  /** As they are when a decision is made. */
  readonly rules: () => SupervisionRules;
  /** What is to be done with the process; what it causes may be told to {@link Supervisor.on} at once. */
  readonly perform: (effect: Exclude<SupervisionEffect, { readonly type: 'wait' }>) => void;
  readonly onChange: (after: Supervised, before: Supervised) => void;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #events: SupervisionEvent[] = [];
  readonly #watchers = new Set<() => void>();
  #state: Supervised = { kind: 'stopped' };
  #isHandling = false;
  #cancelTimer: (() => void) | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get state(): Supervised {
    return this.#state;
  }

  /** Something happened. */
  on(event: SupervisionEvent): void {
    this.#events.push(event);
    // What an effect causes at once is looked at when all effects are done.
    if (this.#isHandling) return;
    this.#isHandling = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) this.#handle(next);
    this.#isHandling = false;
  }

  /** Resolves when the state has changed; by then it may have changed again. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  /** Lets whoever waits for a change look at the state. */
  wake(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }

  #handle(event: SupervisionEvent): void {
    const before = this.#state;
    const [after, effects] = step(before, event, this.#parts.rules());
    this.#state = after;
    for (const effect of effects) {
      if (effect.type === 'wait') this.#wait(effect.ms);
      else this.#parts.perform(effect);
    }
    if (after === before) return;
    this.#parts.onChange(after, before);
    this.wake();
  }

  #wait(ms: number | undefined): void {
    this.#cancelTimer?.();
    const { clock, pauses } = this.#parts;
    const since = clock.now();
    this.#cancelTimer =
      ms === undefined
        ? undefined
        : clock.after(ms, () => {
            this.on({ type: 'due', relayPaused: pauses.wasPausedSince(since) });
          });
  }
}

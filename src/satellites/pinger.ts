/** Pings one satellite at its interval and says when it counts as gone. */
import { clean, reasonOf } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { NO_PINGS, afterAnswer, afterFailure, afterSign, whenDue } from './pings.ts';
import type { Pings } from './pings.ts';

export interface PingerParts {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly maxFails: number;
  /** True while a dict is on its way. */
  readonly isBusy: () => boolean;
  /** Resolves when the satellite has answered, whatever it answered. */
  readonly ping: () => Promise<unknown>;
  /** Told of each answered ping. */
  readonly onAnswer: () => void;
  /** Why it may not be a satellite any longer; undefined as long as it may. Asked whenever a ping is due. */
  readonly whyRefused: () => string | undefined;
  /** What failed last on its link. */
  readonly lastError: () => string;
  /** Told once, after `maxFails` failures in a row or when it is refused, why; then the pinger has stopped. */
  readonly onGone: (reason: string) => void;
}

export class Pinger {
  readonly #parts: PingerParts;
  #pings = NO_PINGS;
  #answered = false;
  #failed = false;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: PingerParts) {
    this.#parts = parts;
  }

  get pings(): Pings {
    return this.#pings;
  }

  /** Starts; the first ping is due after `firstMs`. */
  start(firstMs = this.#parts.intervalMs): void {
    this.#arm(firstMs);
  }

  /** Notes the outcome of a dict. */
  note(answered: boolean): void {
    if (!answered) {
      this.#failed = true;
      return;
    }
    this.#answered = true;
    this.#pings = afterSign(this.#pings);
  }

  /** The satellite registered anew: what was counted against it is forgotten. */
  forgive(): void {
    this.#pings = afterSign(this.#pings);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  #arm(ms: number): void {
    if (this.#isStopped) return;
    this.#cancel = this.#parts.clock.after(ms, () => {
      void this.#due();
    });
  }

  /** Never rejects. The next ping is due one interval after this one has ended, so that never two are on their way. */
  async #due(): Promise<void> {
    const refused = this.#parts.whyRefused();
    if (refused !== undefined) {
      this.#end(refused);
      return;
    }
    const doing = whenDue({ isBusy: this.#parts.isBusy(), answered: this.#answered, failed: this.#failed });
    this.#answered = this.#failed = false;
    if (doing === 'ping') await this.#ping();
    if (doing === 'failure') this.#fail(this.#parts.lastError());
    this.#arm(this.#parts.intervalMs);
  }

  async #ping(): Promise<void> {
    const { clock, ping, onAnswer } = this.#parts;
    const start = clock.now();
    try {
      await ping();
    } catch (error) {
      // A dict that was answered meanwhile is the better witness.
      if (!this.#answered) this.#fail(reasonOf(error));
      return;
    }
    if (this.#isStopped) return;
    this.#pings = afterAnswer(this.#pings, Math.round((clock.now() - start) * 1000) / 1000);
    onAnswer();
  }

  #fail(reason: string): void {
    if (this.#isStopped) return;
    this.#pings = afterFailure(this.#pings);
    if (this.#pings.fails < this.#parts.maxFails) return;
    this.#end(`it failed ${this.#pings.fails} times in a row (${clean(reason)})`);
  }

  #end(reason: string): void {
    this.stop();
    this.#parts.onGone(reason);
  }
}

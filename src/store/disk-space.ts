/** Watches the free space of the disk, so that new data is refused before the disk is full. */
import type { Clock } from '../core/core.ts';
import type { StoreOptions } from './options.ts';

/** The free and total bytes of a disk. */
export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

// A relay at full speed writes some tens of MB/s: the reserve of 64 MiB outlasts the time between two looks.
const LOOK_MS = 2_000;
const LOOK_BYTES = 16 * 1024 * 1024;
// What is free again must exceed the limit by a tenth, so that the state does not change with every file.
const HYSTERESIS = 1.1;

/** True if the disk counts as low; `wasLow` is the answer before. */
export function isLow({ freeBytes, totalBytes }: Space, { minFreeBytes, minFreePercent }: StoreOptions['store'], wasLow: boolean): boolean {
  const needed = Math.max(minFreeBytes, (totalBytes * minFreePercent) / 100);
  return freeBytes < needed * (wasLow ? HYSTERESIS : 1);
}

/** See the head of this file. */
export class DiskSpace {
  #bytes = 0;
  #cancelTimer = (): void => undefined;
  #isLooking = false;
  #isStopped = false;

  /** `look` reads the space and reports it; it does not reject. */
  constructor(
    private readonly clock: Clock,
    private readonly look: () => Promise<void>,
  ) {}

  /** Looks now; resolves once it has, and looks again every few seconds. */
  async start(): Promise<void> {
    await this.#look();
  }

  /** Counts what was written; after some of it the next look is due. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < LOOK_BYTES) return;
    this.#cancelTimer();
    void this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  async #look(): Promise<void> {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    this.#bytes = 0;
    await this.look();
    this.#isLooking = false;
    // A stop came in between.
    if (this.#isStopped as boolean) return;
    this.#cancelTimer = this.clock.after(LOOK_MS, () => void this.#look());
  }
}

/** What becomes of frames besides subscribers: a target follows a recording as any subscriber does, and a slow one misses frames, too. */
import { clean, reasonOf } from '../core/core.ts';
import type { Log } from '../core/core.ts';
import type { Frame } from '../plugin-host/plugin-host.ts';
import type { Stream } from '../streams/streams.ts';

/** Where frames are written. */
export interface FrameTarget {
  /** Resolves once the next ones may come. Rejects if these are lost. */
  write(frames: readonly Frame[]): Promise<void>;
  /** Resolves once everything is written. */
  close(): Promise<void>;
}

/** Counters of one target since the start of its recording. */
export interface TargetStatus {
  /** Frames that it took. */
  readonly written: number;
  /** Frames that it was too slow for, or that could not be written. */
  readonly lost: number;
  /** Why frames were lost last; `''` if none were. */
  readonly lastError: string;
}

const WAIT_MS = 60_000;

/** Passes the frames of a recording from one on to a target until it is stopped. */
export class Follower {
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #status: TargetStatus = { written: 0, lost: 0, lastError: '' };

  /** `what` names the target in the log. */
  constructor(
    private readonly stream: Stream<Frame>,
    private readonly target: FrameTarget,
    private readonly what: string,
    private readonly log: Log,
    from: number,
  ) {
    this.#ended = this.#follow(from);
  }

  get status(): TargetStatus {
    return this.#status;
  }

  /** Writes what was recorded until now, then closes the target. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  /** Never rejects. */
  async #follow(start: number): Promise<void> {
    const { signal } = this.#stopping;
    for (let from = start; ;) {
      const isLast = signal.aborted;
      const waiting = isLast ? {} : { waitMs: WAIT_MS, signal };
      // The wait ends by the stop.
      const page = await this.stream.page({ from, ...waiting }).catch(() => undefined);
      if (!page) continue;
      if (page.missed > 0) this.#lose(page.missed, 'it was slower than the frames');
      const frames = page.items.map(({ item }) => item);
      if (frames.length > 0) await this.#write(frames);
      from = page.next;
      if (isLast && frames.length === 0) break;
    }
    await this.target.close().catch((error: unknown) => {
      this.#lose(0, reasonOf(error));
    });
  }

  async #write(frames: readonly Frame[]): Promise<void> {
    try {
      await this.target.write(frames);
      this.#status = { ...this.#status, written: this.#status.written + frames.length };
    } catch (error) {
      this.#lose(frames.length, reasonOf(error));
    }
  }

  #lose(count: number, error: string): void {
    const lastError = clean(error, 500);
    if (lastError !== this.#status.lastError) this.log.warn(`${this.what}: frames are lost: ${lastError}`);
    this.#status = { ...this.#status, lost: this.#status.lost + count, lastError };
  }
}

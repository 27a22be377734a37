/**
 * The frames that the store keeps, in chunks of lines of JSON: a table has the chunks, and another one what is in each of them, so that a
 * start need not read the frames. Chunks are removed by age and by size.
 */
import { RelayError } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { frameLine, readFrameLine } from '../json/json.ts';
import type { Frame } from '../plugin-host/plugin-host.ts';
import type { Store, StoreOperation } from '../store/store.ts';
import type { RecordingLimits } from './options.ts';
import type { FrameTarget } from './targets.ts';

export interface KeptFramesParts {
  readonly store: Store;
  readonly limits: Pick<RecordingLimits, 'keepMs' | 'maxStoredBytes'>;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
}

/** What is in a chunk. */
interface Chunk {
  readonly number: number;
  /** The times of its first and its newest frame. */
  readonly first: number;
  readonly last: number;
  readonly frames: number;
  readonly bytes: number;
}

/** What is kept of one recording. */
export interface KeptStatus {
  readonly frames: number;
  readonly bytes: number;
  /** The times of the oldest and the newest frame; undefined if there are none. */
  readonly oldest: number | undefined;
  readonly newest: number | undefined;
}

/** The place of a frame: the number of its chunk, and its index therein. */
export interface KeptPosition {
  readonly chunk: number;
  readonly index: number;
}

/** A kept frame. */
export interface KeptFrame {
  readonly frame: Frame;
  /** That of the frame after it. */
  readonly next: KeptPosition;
}

const FRAMES = 'recording-frames';
const INDEX = 'recording-index';
// A chunk is written again while it grows, so it must be small, and large enough for few keys.
const CHUNK_BYTES = 64 * 1024;
// What a crash of the relay may lose.
const FLUSH_MS = 1_000;
const CLEAN_UP_MS = 600_000;

export class KeptFrames {
  readonly #parts: KeptFramesParts;
  readonly #chunks = new Map<string, Chunk[]>();
  #cancelCleanUp = (): void => undefined;

  constructor(parts: KeptFramesParts) {
    this.#parts = parts;
  }

  /** Reads what earlier runs of the relay kept. */
  async start(): Promise<void> {
    for await (const { key, value } of this.#parts.store.entries(INDEX)) {
      const [name = '', number = ''] = key.split('/');
      const [first = 0, last = 0, frames = 0, bytes = 0] = JSON.parse(value.toString()) as readonly number[];
      this.#chunksOf(name).push({ number: Number.parseInt(number, 36), first, last, frames, bytes });
    }
    await this.#cleanUp();
  }

  stop(): void {
    this.#cancelCleanUp();
  }

  /** The names of recordings of which something is kept. */
  get names(): readonly string[] {
    return [...this.#chunks.keys()];
  }

  status(name: string): KeptStatus {
    const chunks = this.#chunks.get(name) ?? [];
    const sum = (of: (chunk: Chunk) => number): number => chunks.reduce((total, chunk) => total + of(chunk), 0);
    return { frames: sum(({ frames }) => frames), bytes: sum(({ bytes }) => bytes), oldest: chunks[0]?.first, newest: chunks.at(-1)?.last };
  }

  /** Keeps the frames of a recording from now on. There may be one writer for each. */
  writer(name: string): FrameTarget {
    let lines: string[] = [];
    let chunk: Chunk = { ...NO_CHUNK, number: (this.#chunks.get(name)?.at(-1)?.number ?? -1) + 1 };
    let isDirty = false;
    let cancelFlush: (() => void) | undefined;
    let writing: Promise<void> = Promise.resolve();
    let failure: unknown;
    const flush = (): Promise<void> => {
      cancelFlush?.();
      cancelFlush = undefined;
      if (!isDirty) return writing;
      isDirty = false;
      const [written, about] = [Buffer.from(lines.join('')), chunk];
      if (about.bytes >= CHUNK_BYTES) [lines, chunk] = [[], { ...NO_CHUNK, number: about.number + 1 }];
      return (writing = writing.catch(() => undefined).then(() => this.#put(name, about, written)));
    };
    const flushLater = (): void => {
      cancelFlush ??= this.#parts.clock.after(FLUSH_MS, () => {
        // The next write reports it.
        flush().catch((error: unknown) => {
          failure = error;
        });
      });
    };
    return {
      write: async (frames) => {
        const failed = failure;
        failure = undefined;
        if (failed !== undefined) throw asError(failed);
        for (const frame of frames) {
          const line = `${frameLine(frame)}\n`;
          lines.push(line);
          const { timestamp } = frame;
          const first = chunk.frames === 0 ? timestamp : Math.min(chunk.first, timestamp);
          const bytes = chunk.bytes + Buffer.byteLength(line);
          chunk = { number: chunk.number, first, last: Math.max(chunk.last, timestamp), frames: chunk.frames + 1, bytes };
          isDirty = true;
          if (bytes >= CHUNK_BYTES) await flush();
        }
        if (isDirty) flushLater();
      },
      close: flush,
    };
  }

  /** The kept frames of a recording from a position on, oldest first, as far as they are written when the loop gets there. */
  async *read(name: string, from: KeptPosition = { chunk: 0, index: 0 }): AsyncGenerator<KeptFrame, void, undefined> {
    let position = from;
    for (;;) {
      const chunk = this.#chunks.get(name)?.find(({ number }) => number >= position.chunk);
      if (!chunk) return;
      const value = await this.#parts.store.get(FRAMES, keyOf(name, chunk.number));
      const lines = value?.toString().split('\n') ?? [];
      const start = chunk.number === position.chunk ? position.index : 0;
      for (let index = start; index < lines.length; index++) {
        const frame = readFrameLine(lines[index] ?? '');
        if (frame) yield { frame, next: { chunk: chunk.number, index: index + 1 } };
      }
      position = { chunk: chunk.number + 1, index: 0 };
    }
  }

  async #put(name: string, chunk: Chunk, lines: Buffer): Promise<void> {
    const key = keyOf(name, chunk.number);
    const chunks = this.#chunksOf(name);
    const about = JSON.stringify([chunk.first, chunk.last, chunk.frames, chunk.bytes]);
    const known = chunks.at(-1)?.number === chunk.number ? chunks.slice(0, -1) : chunks;
    const dropped = this.#excess([...known, chunk]);
    await this.#parts.store.write([
      { type: 'put', table: FRAMES, key, value: lines },
      { type: 'put', table: INDEX, key, value: Buffer.from(about) },
      ...removals(name, dropped),
    ]);
    this.#chunks.set(name, [...known.filter((one) => !dropped.includes(one)), chunk]);
  }

  /** The chunks that are to be removed, oldest first; never the last one. */
  #excess(chunks: readonly Chunk[]): readonly Chunk[] {
    const { limits, date } = this.#parts;
    const oldest = date() - limits.keepMs;
    let bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    const dropped: Chunk[] = [];
    for (const chunk of chunks.slice(0, -1)) {
      if (bytes <= limits.maxStoredBytes && chunk.last >= oldest) break;
      dropped.push(chunk);
      bytes -= chunk.bytes;
    }
    return dropped;
  }

  /** Removes what is too old also of recordings that have stopped. */
  async #cleanUp(): Promise<void> {
    const { limits, date, clock, store } = this.#parts;
    for (const [name, chunks] of this.#chunks) {
      const isOld = (chunk: Chunk | undefined): boolean => chunk !== undefined && chunk.last < date() - limits.keepMs;
      const dropped = isOld(chunks.at(-1)) ? chunks : this.#excess(chunks);
      if (dropped.length === 0) continue;
      const left = chunks.filter((chunk) => !dropped.includes(chunk));
      await store.write(removals(name, dropped), { durability: 'written', isProgress: true }).then(
        () => (left.length === 0 ? this.#chunks.delete(name) : this.#chunks.set(name, left)),
        // It is tried again later.
        () => undefined,
      );
    }
    this.#cancelCleanUp = clock.after(CLEAN_UP_MS, () => {
      void this.#cleanUp();
    });
  }

  #chunksOf(name: string): Chunk[] {
    const chunks = this.#chunks.get(name) ?? [];
    this.#chunks.set(name, chunks);
    return chunks;
  }
}

const NO_CHUNK: Chunk = { number: 0, first: 0, last: -Infinity, frames: 0, bytes: 0 };

function removals(name: string, chunks: readonly Chunk[]): readonly StoreOperation[] {
  return chunks.flatMap(({ number }) => {
    const key = keyOf(name, number);
    return [{ type: 'delete', table: FRAMES, key } as const, { type: 'delete', table: INDEX, key } as const];
  });
}

/** In the order of the numbers. */
function keyOf(name: string, number: number): string {
  return `${name}/${number.toString(36).padStart(9, '0')}`;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new RelayError('STATE_DIRECTORY', 'the store failed');
}

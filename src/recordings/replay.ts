/**
 * Replays what the store keeps of a recording, at its original speed or another one. A replay has no state here: its cursor says where it
 * is and when it began, so that it goes on after a restart of the relay, and nothing is left of one that nobody reads.
 */
import { RelayError, clean, unlessAborted } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Frame } from '../plugin-host/plugin-host.ts';
import { bytesOfFrame } from './frames.ts';
import type { KeptFrames, KeptPosition } from './kept-frames.ts';

/** What is replayed. */
export interface ReplayOptions {
  /** ms since 1970: frames before it and after it are left away. Default: all. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** 1 is the original speed, 2 is twice as fast; 0 is without waiting. Default 1. */
  readonly speed?: number | undefined;
  /** Where to go on. Default: at the beginning. */
  readonly cursor?: string | undefined;
  readonly maxBytes?: number | undefined;
  /** ms to wait for the first frame that is not due yet. Default 0. */
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Frames that are due. */
export interface ReplayPage {
  readonly frames: readonly Frame[];
  readonly next: string;
  /** True if there are no more. */
  readonly isEnd: boolean;
}

/** How far a replay is. */
interface Progress {
  readonly position: KeptPosition;
  /** The date at which it began, and the time of its first frame; undefined before that. */
  readonly began?: { readonly at: number; readonly base: number } | undefined;
}

const DEFAULT_BYTES = 256 * 1024;

export interface ReplayParts {
  readonly kept: KeptFrames;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
}

/** The frames of a recording that are due now. Rejects with a RelayError INVALID_PARAMS, or the reason of the signal. */
export async function replay(parts: ReplayParts, name: string, options: ReplayOptions): Promise<ReplayPage> {
  const { kept, clock, date } = parts;
  const { since = -Infinity, until = Infinity, speed = 1, cursor, maxBytes = DEFAULT_BYTES, waitMs = 0, signal } = options;
  const deadline = clock.now() + waitMs;
  let { position, began } = cursor === undefined ? START : progressOf(cursor);
  const frames: Frame[] = [];
  let bytes = 0;
  for await (const { frame, next } of kept.read(name, position)) {
    const { timestamp } = frame;
    if (timestamp >= since && timestamp <= until) {
      began ??= { at: date(), base: timestamp };
      const aheadMs = speed === 0 ? 0 : (timestamp - began.base) / speed - (date() - began.at);
      if (aheadMs > 0) {
        const leftMs = deadline - clock.now();
        if (frames.length > 0 || leftMs <= 0) return { frames, next: cursorOf({ position, began }), isEnd: false };
        await delay(clock, Math.min(aheadMs, leftMs), signal);
        if (aheadMs > leftMs) return { frames, next: cursorOf({ position, began }), isEnd: false };
      }
      frames.push(frame);
      bytes += bytesOfFrame(frame);
    }
    position = next;
    if (bytes >= maxBytes) return { frames, next: cursorOf({ position, began }), isEnd: false };
  }
  return { frames, next: cursorOf({ position, began }), isEnd: true };
}

const START: Progress = { position: { chunk: 0, index: 0 } };

function cursorOf({ position: { chunk, index }, began }: Progress): string {
  return [chunk, index, ...(began ? [began.at, began.base] : [])].join('_');
}

function progressOf(cursor: string): Progress {
  if (!/^\d{1,12}_\d{1,12}(?:_\d{1,15}_-?\d{1,16}(?:\.\d{1,9})?)?$/.test(cursor))
    throw new RelayError('INVALID_PARAMS', `'${clean(cursor, 60)}' is not the cursor of a replay`);
  const [chunk = 0, index = 0, at, base] = cursor.split('_').map(Number);
  return { position: { chunk, index }, began: at === undefined || base === undefined ? undefined : { at, base } };
}

function delay(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  let cancel = (): void => undefined;
  const wait = (): Promise<void> =>
    new Promise((resolve) => {
      cancel = clock.after(ms, resolve);
    });
  return (signal ? unlessAborted(signal, wait) : wait()).finally(() => {
    cancel();
  });
}

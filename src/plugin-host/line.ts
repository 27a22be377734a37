/** What the host delivers into: the line of one satellite, wherever that runs. */
import type { LineStatus, Message } from '../message/message.ts';

export interface SatelliteLine {
  /** The satellite's. */
  readonly name: string;
  /** True if `next` would deliver. */
  readonly isReady: boolean;
  /** The pump's mark: it has this line among those to be called. */
  isQueued: boolean;
  /** Puts a message into the line; false if the satellite takes none. */
  take(message: Message): boolean;
  /** Delivers the next message. Never throws. */
  next(): void;
}

/** How a satellite's line stands, and what became of what was in it. */
export interface LineCounters extends LineStatus {
  /** Messages that its `receive` took. */
  readonly delivered: number;
  /** Messages that it threw at or outlived. */
  readonly failed: number;
  /** Messages that came while it took none. */
  readonly refused: number;
}

/** Those of a satellite that has no line. */
export const NO_LINE: LineCounters = { waiting: 0, bytes: 0, oldestMs: 0, delivered: 0, failed: 0, dropped: 0, merged: 0, refused: 0 };

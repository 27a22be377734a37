/** What the benchmark and the programs at the ends of a hop say to each other through the IPC channel. */

/**
 * To the sender: `{ count, bytes }` makes it send as fast as it can, `{ lone, bytes, pauseMs }` makes it send so many dicts one at a
 * time, and `{ delivered }` passes on the report of the receivers. To the receivers: `{ every }` makes them report after so many dicts.
 */
export type HopCommand =
  | { readonly count: number; readonly bytes: number }
  | { readonly lone: number; readonly bytes: number; readonly pauseMs: number }
  | { readonly every: number }
  | Delivered;

/** `{ ports }` says that a program is ready. */
export type HopReport = { readonly ports: readonly number[] } | Sent | Delivered;

/** Of the sender, once all dicts of a command have arrived. */
export interface Sent {
  /** ms until all were sent, and acknowledged if they are. */
  readonly sentMs: number;
  /** From the sender to the receiver: of each lone dict, or of one of {@link REPORTED}. */
  readonly latenciesUs: readonly number[];
}

/** Dicts that all receivers have since the start, and when the last of them arrived, by {@link clockUs}. */
export interface Delivered {
  readonly delivered: number;
  readonly atUs: number;
}

/** Receivers report when they have so many dicts more, so the count of a command is a multiple of it. */
export const REPORTED = 128;

/** Microseconds by a clock that all processes of this machine share. */
export function clockUs(): number {
  return Number(process.hrtime.bigint()) / 1_000;
}

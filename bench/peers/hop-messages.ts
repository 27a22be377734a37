/** What the benchmark and the programs at the ends of a hop say to each other through the IPC channel. */

/** `{ count, bytes }` makes the sender send; `{ delivered }` says how many dicts all receivers have, since the start. */
export type HopCommand = { readonly count: number; readonly bytes: number } | { readonly delivered: number };

/** `{ ports }` says that a program is ready; `{ delivered }` comes after every {@link REPORTED} dicts. */
export type HopReport = { readonly ports: readonly number[] } | { readonly delivered: number };

/** Receivers report when they have so many dicts more, so the count of a command is a multiple of it. */
export const REPORTED = 128;

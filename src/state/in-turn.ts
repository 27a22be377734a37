/** One process at a time: a file that only one can make. */
import { open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { RelayError } from '../core/core.ts';
import { isCode } from './system-reason.ts';

const PAUSE_MS = 50;
// The work under a lock takes some ms, and a second on a slow disk: who keeps it longer was killed.
const STALE_MS = 4_000;
// Many may wait for one lock, each in its turn.
const MAX_WAIT_MS = 30_000;

export interface Turn {
  /** The path of the file. */
  readonly lock: string;
  /** Who does such work, for the error. */
  readonly who: string;
  /**
   * True to remove a lock that was left behind by a process that was killed; false to name it in an error, where two at work at once would
   * do harm.
   */
  readonly removesStale: boolean;
}

/**
 * Does `work` while nobody else does any under the same lock. Throws a RelayError STATE_DIRECTORY if a lock was left behind, or others keep
 * it for too long.
 */
export async function inTurn<T>(turn: Turn, work: () => Promise<T>): Promise<T> {
  await take(turn);
  try {
    return await work();
  } finally {
    await rm(turn.lock, { force: true });
  }
}

/** Which file it is: a lock that was released and taken again is another one. */
interface Seen {
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

async function take({ lock, who, removesStale }: Turn): Promise<void> {
  const begin = performance.now();
  let seen: Seen | undefined;
  let seenAt = begin;
  while (!(await make(lock))) {
    const now = performance.now();
    const found = await look(lock);
    if (!isSame(found, seen)) [seen, seenAt] = [found, now];
    const isStale = found !== undefined && now - seenAt >= STALE_MS;
    if (isStale && removesStale) await removeStale(lock, found);
    else if (isStale || now - begin >= MAX_WAIT_MS)
      throw new RelayError('STATE_DIRECTORY', `${lock} is there: another ${who} is at work; if none is, one was killed: delete the file`);
    await pause(PAUSE_MS);
  }
}

/** False if the file is there. */
async function make(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function look(lock: string): Promise<Seen | undefined> {
  return stat(lock, { bigint: true }).catch(() => undefined);
}

function isSame(one: Seen | undefined, other: Seen | undefined): boolean {
  return one?.ino === other?.ino && one?.mtimeNs === other?.mtimeNs;
}

/** Of several that wait, one removes it: who renames it has it alone. */
async function removeStale(lock: string, stale: Seen): Promise<void> {
  if (!isSame(await look(lock), stale)) return;
  const aside = `${lock}.${process.pid}`;
  await rename(lock, aside).catch(() => undefined);
  await rm(aside, { force: true });
}

/** Serializes work across processes: the process that creates the lock file does its work, then deletes the file. */
import { open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { RelayError } from '../core/core.ts';
import { isCode } from './files.ts';

const PAUSE_MS = 50;
// The work under a lock takes some ms, and a second on a slow disk; a process that holds it longer was killed.
const STALE_MS = 4_000;
// Many processes may wait for one lock, one after another.
const MAX_WAIT_MS = 30_000;

/** A lock file. */
export interface LockFile {
  readonly path: string;
  /** Which process does such work, for the error: `co2 token`. */
  readonly holder: string;
  /**
   * True to remove a lock that a killed process left behind; false to report it in an error, where two processes working at once would do
   * harm.
   */
  readonly removesStale: boolean;
}

/**
 * Does `work` while no other process works under the same lock. Throws a RelayError STATE_DIRECTORY if a lock was left behind, or other
 * processes hold it for too long.
 */
export async function withLockFile<T>(lock: LockFile, work: () => Promise<T>): Promise<T> {
  await acquire(lock);
  try {
    return await work();
  } finally {
    await rm(lock.path, { force: true });
  }
}

/** Identifies a file: a lock that was released and acquired again is another one. */
interface FileIdentity {
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

async function acquire({ path, holder, removesStale }: LockFile): Promise<void> {
  const begin = performance.now();
  let seen: FileIdentity | undefined;
  let seenAt = begin;
  while (!(await create(path))) {
    const now = performance.now();
    const found = await identityOf(path);
    if (!isSame(found, seen)) [seen, seenAt] = [found, now];
    const isStale = found !== undefined && now - seenAt >= STALE_MS;
    if (isStale && removesStale) await removeStale(path, found);
    else if (isStale || now - begin >= MAX_WAIT_MS)
      throw new RelayError(
        'STATE_DIRECTORY',
        `${path} is locked by another ${holder}; if none is running, one was killed: delete the file`,
        { data: { reason: 'locked', path } },
      );
    await pause(PAUSE_MS);
  }
}

/** False if the file exists. */
async function create(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function identityOf(path: string): Promise<FileIdentity | undefined> {
  return stat(path, { bigint: true }).catch(() => undefined);
}

function isSame(one: FileIdentity | undefined, other: FileIdentity | undefined): boolean {
  return one?.ino === other?.ino && one?.mtimeNs === other?.mtimeNs;
}

/** Removes a stale lock. Of several waiting processes, only the one whose rename succeeds removes it. */
async function removeStale(path: string, stale: FileIdentity): Promise<void> {
  if (!isSame(await identityOf(path), stale)) return;
  const aside = `${path}.${process.pid}`;
  await rename(path, aside).catch(() => undefined);
  await rm(aside, { force: true });
}

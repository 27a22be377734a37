/** Safe access to small files: reading with a size limit, checking the owner, and replacing atomically. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { RelayError } from '../core/core.ts';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The file is larger than the limit. */
export class FileTooLarge extends Error {}

/** How a file is read. */
export interface Reading {
  readonly maxBytes: number;
  /** A file that an operator names may be a symbolic link; a file of the state directory may not. */
  readonly links: 'follow' | 'refuse';
  /** Throws if the owner or the mode of the opened file is not acceptable. Default: accepts everything. */
  readonly check?: (stats: Stats) => void;
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Reads a text file that another process may have put there: a FIFO does not block the relay, and an endless file does not fill its
 * memory. Throws what `check` throws, a {@link FileTooLarge}, the system's error (ENOENT if it does not exist), or an Error if it is not
 * a regular file.
 */
export function readSmallFile(file: string, { maxBytes, links, check }: Reading): string {
  // Windows lacks the last two flags; they are 0 there. Without O_NONBLOCK, opening a FIFO waits for a writer indefinitely.
  const handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | (links === 'refuse' ? constants.O_NOFOLLOW : 0));
  try {
    const stats = fstatSync(handle);
    if (stats.isDirectory()) throw new Error('expected a file, found a directory');
    if (!stats.isFile()) throw new Error('it is not a regular file');
    check?.(stats);
    return readAtMost(handle, maxBytes);
  } finally {
    closeSync(handle);
  }
}

/** Counts the bytes as they arrive, since the size in the stats may be outdated. */
function readAtMost(handle: number, maxBytes: number): string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = readSync(handle, chunk);
    if (count === 0) return Buffer.concat(chunks).toString('utf8');
    bytes += count;
    if (bytes > maxBytes) throw new FileTooLarge(`it is larger than ${maxBytes} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}

/**
 * Throws a RelayError STATE_DIRECTORY if `path` belongs to another user, who could change it whatever its mode is. `ours` defaults to the
 * user of this process; Windows has none.
 */
export function requireOwn(path: string, { uid }: Pick<Stats, 'uid'>, ours = process.geteuid?.()): void {
  if (ours === undefined || uid === ours) return;
  throw new RelayError(
    'STATE_DIRECTORY',
    `${path} belongs to user ${uid}, but this process runs as user ${ours}: run it as user ${uid}, give the directory and what is in it to user ${ours} (chown), or choose another with --data`,
    { data: { reason: 'other-owner', path } },
  );
}

/**
 * Replaces a file so that after a crash either the old or the new content is there, complete: written to a temporary file, synced and
 * renamed; mode 0600. The caller ensures that there is one writer at a time.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    // A file left by a crash may have another mode.
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot sync a directory.
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The reason of a failed file operation. */
export function systemReason(error: unknown): string {
  if (isCode(error, 'EACCES') || isCode(error, 'EPERM')) return 'permission denied';
  if (isCode(error, 'ENOENT')) return 'there is no such file';
  if (isCode(error, 'ENOTDIR') || isCode(error, 'EEXIST')) return 'expected a directory, found a file';
  if (isCode(error, 'EISDIR')) return 'expected a file, found a directory';
  if (isCode(error, 'ELOOP')) return 'expected a file, found a symbolic link';
  if (isCode(error, 'ENXIO')) return 'it is not a regular file';
  if (isCode(error, 'ENOSPC')) return 'the disk is full';
  if (isCode(error, 'EROFS')) return 'the file system is read-only';
  return error instanceof Error ? error.message : String(error);
}

/** True if `error` is a system error with this code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

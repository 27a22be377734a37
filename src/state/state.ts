/** What is kept on disk between two starts: today the relay's name, the admin token and the other tokens; the durable store comes into this room. */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { link, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { requireOwn } from './owner.ts';
import { readSmallFile } from './read-file.ts';
import { isCode, systemReason } from './system-reason.ts';

export { stateDefaults, stateShape } from './options.ts';
export type { StateOptions } from './options.ts';
export { lockDirectory } from './directory-lock.ts';
export { askLock } from './ask-lock.ts';
export type { Listening } from './ask-lock.ts';

export { StateFile } from './state-file.ts';
export { isCode, systemReason } from './system-reason.ts';
export { inTurn } from './in-turn.ts';
export { requireOwn } from './owner.ts';
export { readSmallFile } from './read-file.ts';
export { replaceFile } from './replace-file.ts';

// A name or a token and its line end; what is longer is no such file.
const MAX_LINE_BYTES = 4096;

/** An opened state directory. */
export interface StateDirectory {
  readonly path: string;
  /** The random part of our host_id; the same for the life of the directory. */
  readonly hostIdRandom: string;
  /** The credential that may everything. */
  readonly adminToken: string;
  /** Where compiled plugins are kept; only ever a cache. Undefined: nowhere. */
  readonly cacheDir: string | undefined;
}

/**
 * Opens the state directory at `path` (absolute), and makes it and what it lacks at the first start.
 * Throws a RelayError STATE_DIRECTORY that names the file and what to do.
 */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  try {
    await makeDirectory(path);
    refuseOpenDirectory(path, await stat(path));
    // 64 random bits: enough that two relays never meet with one name; not a secret.
    const hostIdRandom = await keep(join(path, 'host-id'), () => randomBytes(8).toString('hex'), requireOwn);
    const adminToken = await keep(join(path, 'admin.token'), () => randomBytes(32).toString('base64url'), refuseOpenSecret);
    return { path, hostIdRandom, adminToken, cacheDir: join(path, 'cache') };
  } catch (error) {
    if (RelayError.is(error)) throw error;
    throw new RelayError(
      'STATE_DIRECTORY',
      `the state directory ${path} cannot be used: ${systemReason(error)}; choose another with --data`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Makes `path` and what it lacks above, mode 0700; throws the system's error, or one in its words. Not by mkdir's `recursive`, which tries for ever where the system says
 * "no such file" of a parent that is there (/proc).
 */
export async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  for (let above = path; !(await isThere(above)); above = dirname(above)) missing.unshift(above);
  for (const directory of missing) {
    await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
      // Somebody else made it in between.
      if (!isCode(error, 'EEXIST')) throw error;
    });
  }
  if (!(await stat(path)).isDirectory()) throw new Error('a file stands where a directory is needed');
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

type Check = (file: string, stats: Stats) => void;

/** The one line that `file` holds, written by `make` if the file is not there; two starters at once agree on one. */
async function keep(file: string, make: () => string, check: Check): Promise<string> {
  const text = readIfThere(file, check) ?? (await create(file, make())) ?? readIfThere(file, check) ?? '';
  const line = text.trim();
  if (!/^[A-Za-z0-9_-]{8,128}$/.test(line)) {
    throw new RelayError('STATE_DIRECTORY', `${file} is empty or damaged: restore it, or delete it to have a new one made`);
  }
  return line;
}

function readIfThere(file: string, check: Check): string | undefined {
  try {
    return readSmallFile(file, {
      maxBytes: MAX_LINE_BYTES,
      links: 'refuse',
      check: (stats) => {
        check(file, stats);
      },
    });
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    if (RelayError.is(error)) throw error;
    const text = `${file} cannot be read: ${systemReason(error)}; restore it, or delete it to have a new one made`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error });
  }
}

/** Undefined if somebody else was faster. */
async function create(file: string, text: string): Promise<string | undefined> {
  // Written aside and linked, so that a crash never leaves an empty file and the slower of two starters reads the faster one's.
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(aside, `${text}\n`, { mode: 0o600, flag: 'wx' });
  try {
    await link(aside, file);
    return text;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return undefined;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Whoever may write there may put a token of his own in the place of ours. */
function refuseOpenDirectory(path: string, stats: Stats): void {
  requireOwn(path, stats);
  if (process.platform === 'win32') return;
  const { mode } = stats;
  if ((mode & 0o022) !== 0) {
    throw new RelayError(
      'STATE_DIRECTORY',
      `the state directory ${path} can be written by other users (mode ${(mode & 0o777).toString(8)}): run chmod 700 on it`,
    );
  }
}

function refuseOpenSecret(file: string, stats: Stats): void {
  requireOwn(file, stats);
  if (process.platform === 'win32') return;
  const { mode } = stats;
  if ((mode & 0o077) !== 0) {
    throw new RelayError('STATE_DIRECTORY', `${file} can be read by other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it`);
  }
}

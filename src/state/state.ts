/** The state directory: what a relay keeps on disk between two starts, such as its name, the admin token and the registered satellites. */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { link, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { isCode, readSmallFile, replaceFile, requireOwn, systemReason } from './files.ts';

export { stateDefaults, stateShape } from './options.ts';
export type { StateOptions } from './options.ts';
export { askLock, lockDirectory } from './directory-lock.ts';
export type { Listening } from './directory-lock.ts';

export { StateFile } from './state-file.ts';
export { isCode, systemReason, requireOwn, readSmallFile, replaceFile } from './files.ts';
export { withLockFile } from './lock-file.ts';

// A name or a token and its line end; a larger file was not written by the relay.
const MAX_LINE_BYTES = 4096;

/** An opened state directory. */
export interface StateDirectory {
  readonly path: string;
  /** The random part of our host_id; the same for the life of the directory. */
  readonly hostIdRandom: string;
  /** The credential with all rights. */
  readonly adminToken: string;
  /** The seed of the private key that proves the identity of this relay, 32 bytes in base64url. */
  readonly nodeSeed: string;
  /** Where compiled plugins are cached. Undefined: they are not cached. */
  readonly cacheDir: string | undefined;
}

/**
 * Opens the state directory at `path` (absolute); creates it, and what is missing in it, at the first start.
 * Rejects with a RelayError STATE_DIRECTORY that names the file and what to do.
 */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  try {
    await makeDirectory(path);
    refuseOpenDirectory(path, await stat(path));
    // 64 random bits: enough that no two relays ever have the same name; not a secret.
    const hostIdRandom = await readOrCreate(join(path, 'host-id'), () => randomBytes(8).toString('hex'), requireOwn);
    const adminToken = await readOrCreate(join(path, 'admin.token'), () => randomBytes(32).toString('base64url'), refuseOpenSecret);
    const nodeSeed = await readOrCreate(join(path, 'node.key'), () => randomBytes(32).toString('base64url'), refuseOpenSecret);
    return { path, hostIdRandom, adminToken, nodeSeed, cacheDir: join(path, 'cache') };
  } catch (error) {
    if (RelayError.is(error)) throw error;
    const text = `the state directory ${path} cannot be used: ${systemReason(error)}; choose another with --data`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error, data: { reason: 'unwritable', path } });
  }
}

// What an XML-RPC int holds; a relay that restarts every second takes 68 years to get there.
const MAX_EPOCH = 2 ** 31 - 1;

/**
 * Counts this start: adds one to the number in the file `epoch` of the state directory, and returns it once it is durable; 1 at the first
 * start. Only the relay that holds the lock of the directory may call it. Rejects with a RelayError STATE_DIRECTORY.
 */
export async function countStart(directory: string): Promise<number> {
  const file = join(directory, 'epoch');
  const line = readIfPresent(file, requireOwn)?.trim() ?? '0';
  const epoch = Number(line) + 1;
  if (!/^\d{1,10}$/.test(line) || epoch > MAX_EPOCH) {
    const text = `${file} is damaged: write the number of the last start into it; if it is unknown, delete it and node.key, which makes this relay another node that its peers have to trust again`;
    throw new RelayError('STATE_DIRECTORY', text);
  }
  try {
    await replaceFile(file, `${epoch}\n`);
  } catch (error) {
    throw new RelayError('STATE_DIRECTORY', `${file} cannot be written: ${systemReason(error)}`, { cause: error });
  }
  return epoch;
}

/**
 * Creates `path` and its missing parents, mode 0700; rejects with the system's error. Does not use mkdir's `recursive`, which loops
 * forever where the system says "no such file" about an existing parent (/proc).
 */
export async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  for (let above = path; !(await exists(above)); above = dirname(above)) missing.unshift(above);
  for (const directory of missing) {
    await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
      // Another process created it in between.
      if (!isCode(error, 'EEXIST')) throw error;
    });
  }
  if (!(await stat(path)).isDirectory()) throw new Error('expected a directory, found a file');
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

type Check = (file: string, stats: Stats) => void;

/**
 * The one line in `file`, which is created with the result of `make` if it does not exist. Two processes that start at once get the same
 * line.
 */
async function readOrCreate(file: string, make: () => string, check: Check): Promise<string> {
  const text = readIfPresent(file, check) ?? (await create(file, make())) ?? readIfPresent(file, check) ?? '';
  const line = text.trim();
  if (!/^[A-Za-z0-9_-]{8,128}$/.test(line)) {
    throw new RelayError('STATE_DIRECTORY', `${file} is empty or damaged: restore it, or delete it so that a new one is created`, {
      data: { reason: 'damaged', path: file },
    });
  }
  return line;
}

function readIfPresent(file: string, check: Check): string | undefined {
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
    const text = `${file} cannot be read: ${systemReason(error)}; restore it, or delete it so that a new one is created`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error, data: { reason: 'unreadable', path: file } });
  }
}

/** Creates the file; undefined if another process was faster. */
async function create(file: string, text: string): Promise<string | undefined> {
  // Written to a temporary file and linked, so that a crash never leaves an empty file, and the slower of two processes reads the file of
  // the faster one.
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(temporary, `${text}\n`, { mode: 0o600, flag: 'wx' });
  try {
    await link(temporary, file);
    return text;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return undefined;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Another user who can write to the directory could replace our tokens. */
function refuseOpenDirectory(path: string, stats: Stats): void {
  requireOwn(path, stats);
  if (process.platform === 'win32') return;
  const { mode } = stats;
  if ((mode & 0o022) !== 0) {
    throw new RelayError(
      'STATE_DIRECTORY',
      `the state directory ${path} can be written by other users (mode ${(mode & 0o777).toString(8)}): run chmod 700 on it`,
      { data: { reason: 'open-to-others', path } },
    );
  }
}

function refuseOpenSecret(file: string, stats: Stats): void {
  requireOwn(file, stats);
  if (process.platform === 'win32') return;
  const { mode } = stats;
  if ((mode & 0o077) !== 0) {
    throw new RelayError(
      'STATE_DIRECTORY',
      `${file} can be read by other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it`,
      {
        data: { reason: 'open-to-others', path: file },
      },
    );
  }
}

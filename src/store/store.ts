/** What is kept on disk between two starts: today the relay's name, the admin token and the other tokens; the durable store comes into this room. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RelayError } from '../message/message.ts';
import { isCode, systemReason } from './system-reason.ts';

export { storeDefaults, storeShape } from './options.ts';
export type { StoreOptions } from './options.ts';
export { lockDirectory } from './directory-lock.ts';
export { configuredTokens } from './configured-tokens.ts';
export type { HashedToken } from './configured-tokens.ts';
export { StateFile } from './state-file.ts';
export { TokenFile } from './token-file.ts';
export type { StoredToken } from './token-format.ts';
export { addToken, listTokens, removeToken } from './token-edit.ts';

/** An opened state directory. */
export interface StateDirectory {
  readonly path: string;
  /** The random part of our host_id; the same for the life of the directory. */
  readonly hostIdRandom: string;
  /** The credential that may everything. */
  readonly adminToken: string;
  /** Where compiled plugins are kept; only ever a cache. */
  readonly cacheDir: string;
}

/**
 * Opens the state directory at `path` (absolute), and makes it and what it lacks at the first start.
 * Throws a RelayError STATE_DIRECTORY that names the file and what to do.
 */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  try {
    await makeDirectory(path);
    await refuseOpenDirectory(path);
    // 64 random bits: enough that two relays never meet with one name; not a secret.
    const hostIdRandom = await keep(join(path, 'host-id'), () => randomBytes(8).toString('hex'));
    const adminToken = await keep(join(path, 'admin.token'), () => randomBytes(32).toString('base64url'));
    await refuseOpenSecret(join(path, 'admin.token'));
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

/** `path` and what it lacks above. Not by mkdir's `recursive`, which tries for ever where the system says "no such file" of a parent that is there (/proc). */
export async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  for (let above = path; !(await isThere(above)); above = dirname(above)) missing.unshift(above);
  for (const directory of missing) {
    await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
      // Somebody else made it in between.
      if (!isCode(error, 'EEXIST')) throw error;
    });
  }
  if (!(await stat(path)).isDirectory())
    throw new RelayError(
      'STATE_DIRECTORY',
      `the state directory ${path} cannot be used: a file stands where a directory is needed; choose another with --data`,
    );
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

/** The one line that `file` holds, written by `make` if the file is not there; two starters at once agree on one. */
async function keep(file: string, make: () => string): Promise<string> {
  const kept = await readIfThere(file);
  const text = kept ?? (await create(file, make()));
  const line = text.trim();
  if (!/^[A-Za-z0-9_-]{8,128}$/.test(line)) {
    throw new RelayError('STATE_DIRECTORY', `${file} is empty or damaged: restore it, or delete it to have a new one made`);
  }
  return line;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    const text = `${file} cannot be read: ${systemReason(error)}; make it readable, or delete it to have a new one made`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error });
  }
}

async function create(file: string, text: string): Promise<string> {
  // Written aside and linked, so that a crash never leaves an empty file and the slower of two starters reads the faster one's.
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(aside, `${text}\n`, { mode: 0o600, flag: 'wx' });
  try {
    await link(aside, file);
    return text;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return await readFile(file, 'utf8');
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Whoever may write there may put a token of his own in the place of ours. */
async function refuseOpenDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(path);
  if ((mode & 0o022) !== 0) {
    throw new RelayError(
      'STATE_DIRECTORY',
      `the state directory ${path} can be written by other users (mode ${(mode & 0o777).toString(8)}): run chmod 700 on it`,
    );
  }
}

async function refuseOpenSecret(file: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) {
    throw new RelayError('STATE_DIRECTORY', `${file} can be read by other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it`);
  }
}

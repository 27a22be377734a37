/**
 * What a program finds when it starts: its executable, its working directory, its environment, and nothing of ours besides. Looked up at
 * once: a start has no step without a process.
 */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { RelayError, clean, reasonOf, sha256 } from '../../core/core.ts';
import { isWritableByAll } from '../../loader/loader.mjs';
import { PROTOCOL_VERSIONS } from './handshake.ts';
import type { ProgramOptions, ProgramRecord } from './options.ts';
import { pathInWords, requireInterpreter } from './interpreter.ts';
import { giveDirectory, identityOf, requireUsable } from './run-as.ts';
import type { Identity } from './run-as.ts';
import { lstat, rm, rmdir } from 'node:fs/promises';

/** What proves that a caller is the program; a new one for each process. */
export interface ProgramToken {
  readonly token: string;
  /** Hex. */
  readonly sha256: string;
}

/** Makes a token. */
export function makeToken(): ProgramToken {
  const token = randomBytes(24).toString('base64url');
  return { token, sha256: sha256(token) };
}

/** Of the relay's own variables: where things are found, and in which language and time people live. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'] as const;

/**
 * The whole environment; `relayUrl` is where the program calls the relay, without credentials. What the record says wins, but for what the
 * protocol says.
 */
export function environmentOf(
  { name, env }: Pick<ProgramOptions, 'name' | 'env'>,
  token: string,
  relayUrl: string,
  ours: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const url = new URL('/RPC2', relayUrl);
  url.username = 'plugin';
  url.password = token;
  const inherited = INHERITED.flatMap((key) => (ours[key] === undefined ? [] : [[key, ours[key]] as const]));
  return {
    ...Object.fromEntries(inherited),
    ...env,
    CO2_RELAY_URL: url.href,
    CO2_PLUGIN_NAME: name,
    CO2_PLUGIN_TOKEN: token,
    CO2_PROTOCOL_VERSIONS: PROTOCOL_VERSIONS.join(','),
  };
}

/**
 * Where `exec` lies, its links followed; `path` is the relay's PATH, `ownPath` the one that the program is given, by default the same.
 * Throws an Error that says why it cannot be run, be it that the interpreter of a script is missing.
 */
export function findExecutable(exec: string, path: string | undefined, ownPath = path): string {
  const found = isAbsolute(exec) || exec.includes('/') ? resolve(exec) : onPath(exec, path ?? '');
  const shown = clean(found);
  try {
    accessSync(found, constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new Error(`there is no ${shown}${/\s/.test(exec) ? `; ${WHOLE_COMMAND}` : ''}`, { cause: error });
    throw new Error(code === 'EACCES' ? `${shown} may not be executed by this user; chmod +x` : `${shown}: ${clean(reasonOf(error))}`, {
      cause: error,
    });
  }
  const target = realpathSync(found);
  const status = statSync(target);
  if (!status.isFile()) throw new Error(`${shown} is no regular file`);
  if (isWritableByAll(status)) throw new Error(`every user of this machine can write to ${shown}, and it would be executed; chmod o-w`);
  for (const holder of new Set([dirname(found), dirname(target)])) {
    if (isWritableByAll(statSync(holder))) throw new Error(`every user of this machine can write to the folder of ${shown}; chmod o-w`);
  }
  requireInterpreter(target, shown, ownPath);
  // By the name that was asked for: many a program does what it is called.
  return found;
}

// What a shell would take apart.
const WHOLE_COMMAND = 'exec is the program alone, its arguments stand in args';

function onPath(name: string, path: string): string {
  // An empty part would mean the working directory, which nobody meant.
  for (const directory of path.split(delimiter).filter(isAbsolute)) {
    const candidate = join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return candidate;
    } catch {
      // It lies in one of the next.
    }
  }
  const remedy = /\s/.test(name) ? WHOLE_COMMAND : 'write where it lies, with a /';
  throw new Error(`there is no program '${clean(name)}' on the PATH of the relay; ${remedy}; its PATH ${pathInWords(path)}`);
}

/**
 * The program's own directory below `stateDir`, made if it is not there, and its user's; or `cwd`, which has to be there. Throws an Error.
 */
export function prepareDirectory({ name, cwd }: Pick<ProgramOptions, 'name' | 'cwd'>, stateDir: string, identity?: Identity): string {
  if (cwd !== undefined) {
    requireDirectory(cwd);
    return cwd;
  }
  const own = ownDirectory(name, stateDir);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  if (identity) giveDirectory(own, identity);
  return own;
}

/** Throws an Error if there is no directory `cwd`. */
export function requireDirectory(cwd: string): void {
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new Error(`its working directory ${clean(cwd)} (cwd) is no directory`);
}

/** Where the program of this name works unless its record says otherwise. */
export function ownDirectory(name: string, stateDir: string): string {
  return join(stateDir, 'programs', name);
}

/** True if there is something at the path, be it a link that leads nowhere. */
export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Removes the directory of a program that never ran, with what is in it. Never rejects. */
export async function removeWhole(directory: string): Promise<void> {
  if (await isReal(directory)) await rm(directory, { recursive: true, force: true }).catch(() => undefined);
}

/** Removes the directory if it is empty; false if something stays. Never rejects. */
export async function removeEmpty(directory: string): Promise<boolean> {
  if (await isReal(directory)) await rmdir(directory).catch(() => undefined);
  return !(await isThere(directory));
}

/** Somebody may have put a link in its place, or in that of the directory above. */
async function isReal(directory: string): Promise<boolean> {
  const found = await Promise.all([dirname(directory), directory].map((path) => lstat(path).catch(() => undefined)));
  return found.every((status) => status?.isDirectory() === true);
}

/**
 * Looks at what a start would find: `exec` in `path` (PATH) or where it says, `cwd`, `user` and `group`, and that no name is `taken` by a
 * module or an earlier program.
 * Throws a RelayError CONFIG_INVALID for the first that no start would take.
 */
export function checkPrograms(programs: readonly ProgramRecord[], taken: Iterable<string>, path: string | undefined): void {
  const names = new Set(taken);
  for (const [index, record] of programs.entries()) {
    const { name, exec, cwd, env } = record;
    requireFreeName(name, index, (known) => names.has(known));
    names.add(name);
    try {
      const found = findExecutable(exec, path, env?.PATH);
      if (cwd !== undefined) requireDirectory(cwd);
      const identity = identityOf(record);
      if (identity) requireUsable({ exec: found, ...(cwd !== undefined && { cwd }) }, identity);
    } catch (error) {
      throw new RelayError('CONFIG_INVALID', `programs: ${name} cannot be started: ${reasonOf(error)}`, { cause: error });
    }
  }
}

/** Throws a RelayError CONFIG_INVALID if `isTaken` by another plugin. */
export function requireFreeName(name: string, index: number, isTaken: (name: string) => boolean): void {
  if (!isTaken(name)) return;
  const reason = `programs: found two plugins '${name}', the second as programs[${index}]; give each a name of its own`;
  throw new RelayError('CONFIG_INVALID', reason);
}

/**
 * Prepares what a program needs to start: its executable, working directory and environment, and nothing else of the relay's. All look-ups
 * are synchronous, so that a starting program always has a process.
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

/** Proves that a caller is the program. Each process gets a new token. */
export interface ProgramToken {
  readonly token: string;
  /** SHA-256 of the token, in hex. */
  readonly sha256: string;
}

/** Creates a random token. */
export function makeToken(): ProgramToken {
  const token = randomBytes(24).toString('base64url');
  return { token, sha256: sha256(token) };
}

/** The variables that programs inherit from the relay: paths, language and time zone. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'] as const;

/**
 * Builds the whole environment of a program. `relayUrl` is the URL at which it calls the relay, without credentials. Variables of the
 * record override inherited ones; those of the protocol override both.
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
 * Finds the absolute path of `exec`. `path` is the relay's PATH; `ownPath` is the PATH of the program, by default the same. Throws an Error
 * that says why the file cannot be run, for example because the interpreter of a script is missing.
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
  if (!status.isFile()) throw new Error(`${shown} is not a regular file`);
  if (isWritableByAll(status)) throw new Error(`every user of this machine can write to ${shown}, and it would be executed; chmod o-w`);
  for (const holder of new Set([dirname(found), dirname(target)])) {
    if (isWritableByAll(statSync(holder))) throw new Error(`every user of this machine can write to the folder of ${shown}; chmod o-w`);
  }
  requireInterpreter(target, shown, ownPath);
  // Links are not resolved in the result, since many programs choose their behaviour by the name under which they were started.
  return found;
}

// The hint for an `exec` that contains arguments, which only a shell would split.
const WHOLE_COMMAND = 'exec is the program alone, its arguments stand in args';

function onPath(name: string, path: string): string {
  // An empty entry would mean the working directory, which is never intended.
  for (const directory of path.split(delimiter).filter(isAbsolute)) {
    const candidate = join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      if (statSync(candidate).isFile()) return candidate;
    } catch {
      // Try the next directory.
    }
  }
  const remedy = /\s/.test(name) ? WHOLE_COMMAND : 'write where it lies, with a /';
  throw new Error(`there is no program '${clean(name)}' on the PATH of the relay; ${remedy}; its PATH ${pathInWords(path)}`);
}

/**
 * Returns the working directory: `cwd`, which must exist, or else the program's own directory below `stateDir`, which is created if it is
 * missing and given to the program's user. Throws an Error.
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

/** Throws an Error if `cwd` is not an existing directory. */
export function requireDirectory(cwd: string): void {
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new Error(`its working directory ${clean(cwd)} (cwd) is no directory`);
}

/** The default working directory of the program with this name. */
export function ownDirectory(name: string, stateDir: string): string {
  return join(stateDir, 'programs', name);
}

/** True if the path exists, even as a dangling link. */
export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Removes the directory of a program that never ran, with its contents. Never rejects. */
export async function removeWhole(directory: string): Promise<void> {
  if (await isReal(directory)) await rm(directory, { recursive: true, force: true }).catch(() => undefined);
}

/** Removes the directory if it is empty. Resolves to false if it still exists. Never rejects. */
export async function removeEmpty(directory: string): Promise<boolean> {
  if (await isReal(directory)) await rmdir(directory).catch(() => undefined);
  return !(await isThere(directory));
}

/** True if neither the directory nor its parent is a link, which someone may have put in its place. */
async function isReal(directory: string): Promise<boolean> {
  const found = await Promise.all([dirname(directory), directory].map((path) => lstat(path).catch(() => undefined)));
  return found.every((status) => status?.isDirectory() === true);
}

/**
 * Checks that every program could be started: its `exec` (searched in `path`, the PATH, if it is a name), `cwd`, `user` and `group`, and
 * that its name is not `taken` by a module or an earlier program. Throws a RelayError CONFIG_INVALID for the first program that fails.
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

/** Throws a RelayError CONFIG_INVALID if another plugin has this name. */
export function requireFreeName(name: string, index: number, isTaken: (name: string) => boolean): void {
  if (!isTaken(name)) return;
  const reason = `programs: found two plugins '${name}', the second as programs[${index}]; give each a name of its own`;
  throw new RelayError('CONFIG_INVALID', reason);
}

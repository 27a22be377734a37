/**
 * Looks up the user and group to run a program as, which requires a relay that runs as root, and checks that this user can reach the
 * program's files. Both happen once per start.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RelayError, clean } from '../../core/core.ts';
import type { ProgramOptions } from './options.ts';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** The user as written in the configuration. */
  readonly user: string;
  /** The home directory; undefined if it is not known. */
  readonly home: string | undefined;
}

/** The user database of the system. */
export interface Accounts {
  /** Effective user id of the relay; undefined on systems without user ids. */
  readonly euid: number | undefined;
  readonly passwd: () => string;
  readonly group: () => string;
}

const SYSTEM: Accounts = {
  euid: process.geteuid?.(),
  passwd: () => readFileSync('/etc/passwd', 'utf8'),
  group: () => readFileSync('/etc/group', 'utf8'),
};
const ROOT = 0;

/** Returns undefined for a program that runs as the relay's own user. Throws a RelayError CONFIG_INVALID that says what to do. */
export function identityOf(
  { user, group }: Partial<Pick<ProgramOptions, 'user' | 'group'>>,
  accounts: Accounts = SYSTEM,
): Identity | undefined {
  if (user === undefined && group === undefined) return undefined;
  if (user === undefined) throw refused('group', `it has a group (${group ?? ''}) and no user; set user as well, or leave group out`);
  if (accounts.euid !== ROOT)
    throw refused(
      'user',
      `it is to run as user ${user}, and only root can run programs as other users: start the relay as root, or leave user and group out`,
    );
  const entry = entryOf(user, accounts.passwd());
  const uid = numberIn(user) ?? Number(entry?.[2] ?? NaN);
  if (Number.isNaN(uid))
    throw refused('user', `there is no user '${user}' in /etc/passwd; if a directory service knows it, write its number`);
  const gid = group === undefined ? Number(entry?.[3] ?? NaN) : groupId(group, accounts);
  if (Number.isNaN(gid)) throw refused('group', `user ${user} is not in /etc/passwd, which would name its group; set group as well`);
  return { uid, gid, user: String(user), home: entry?.[5] === '' ? undefined : entry?.[5] };
}

function refused(option: 'user' | 'group', text: string): RelayError {
  return new RelayError('CONFIG_INVALID', text, { data: { option } });
}

function groupId(group: string | number, accounts: Accounts): number {
  const gid = numberIn(group) ?? Number(entryOf(group, accounts.group())?.[2] ?? NaN);
  if (Number.isNaN(gid))
    throw refused('group', `there is no group '${group}' in /etc/group; if a directory service knows it, write its number`);
  return gid;
}

/** Finds the fields of a user or group by its name or number. */
function entryOf(of: string | number, table: string): readonly string[] | undefined {
  const wanted = numberIn(of);
  return table
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name, , id]) => (wanted === undefined ? name === of : id === String(wanted)));
}

function numberIn(of: string | number): number | undefined {
  if (typeof of === 'number') return of;
  return /^\d+$/.test(of) ? Number(of) : undefined;
}

/**
 * Makes the user the owner of the program's directory in the state directory. The user may traverse the two parent directories, but not
 * list them.
 */
export function giveDirectory(own: string, { uid, gid }: Identity): void {
  chownSync(own, uid, gid);
  const programs = dirname(own);
  for (const above of [programs, dirname(programs)]) {
    const mode = statSync(above).mode & 0o7777;
    // Execute permission allows traversing the directory without listing it.
    if ((mode & 0o011) !== 0o011) chmodSync(above, mode | 0o011);
  }
}

/** Throws an Error if the user cannot enter the directory `cwd` or execute `exec`; a shell that runs as that user tests both. */
export function requireUsable({ exec, cwd }: { readonly exec?: string; readonly cwd?: string }, identity: Identity): void {
  if (cwd !== undefined && !testAs('cd -- "$1"', cwd, identity))
    throw new Error(`its working directory ${clean(cwd)} (cwd) is closed to user ${identity.user}${closedParent(cwd, identity)}`);
  if (exec !== undefined && !testAs('test -x "$1"', exec, identity))
    throw new Error(`user ${identity.user} may not execute ${clean(exec)}${closedParent(exec, identity)}`);
}

function testAs(test: string, path: string, { uid, gid }: Identity): boolean {
  const { status, error } = spawnSync('/bin/sh', ['-c', test, 'sh', path], {
    uid,
    gid,
    cwd: '/',
    env: {},
    stdio: 'ignore',
    timeout: 5_000,
  });
  if (error) throw new Error(`nobody can tell what the user may do: ${error.message}`, { cause: error });
  return status === 0;
}

/** Names the topmost parent directory that the user may not traverse; an empty string if the modes do not explain it. */
function closedParent(path: string, identity: Identity): string {
  const above: string[] = [];
  for (let at = resolve(path); ; at = dirname(at)) {
    above.unshift(at);
    if (at === dirname(at)) break;
  }
  const closed = above.find((at) => !mayTraverse(statSync(at), identity));
  return closed === undefined
    ? ''
    : `: ${clean(closed)} does not let it pass (mode ${(statSync(closed).mode & 0o777).toString(8)}); open that to it, or choose another place`;
}

function mayTraverse({ uid, gid, mode }: Stats, identity: Identity): boolean {
  if (uid === identity.uid) return (mode & 0o100) !== 0;
  return (mode & (gid === identity.gid ? 0o010 : 0o001)) !== 0;
}

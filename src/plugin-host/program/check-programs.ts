/** What can be told of the programs of config.ts before one runs. */
import { RelayError, reasonOf } from '../../message/message.ts';
import type { ProgramRecord } from './options.ts';
import { identityOf, requireUsable } from './run-as.ts';
import { findExecutable, requireDirectory } from './surroundings.ts';

/**
 * Looks at what a start would find: `exec` in `path` (PATH) or where it says, `cwd`, `user` and `group`, and that no name is `taken` by a module or an earlier program.
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

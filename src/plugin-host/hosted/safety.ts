/** Whether a file of the plugins directory or of a package may be executed: nobody but its owner may put code into the relay. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { isWritableByAll, whyNotExecutable } from '../../loader/loader.mjs';
import { reasonText } from './problem.ts';

/**
 * Why `file` (relative to `directory`, which has no symbolic links) must not be executed; undefined if it may. `what` is the directory in
 * words.
 */
export async function whyUnsafe(directory: string, file: string, what = 'the plugins directory'): Promise<string | undefined> {
  try {
    const path = await realpath(join(directory, file));
    const inside = relative(directory, path);
    if (inside.startsWith('..') || isAbsolute(inside)) return `it is a link to a file outside of ${what}`;
    const unsafe = whyNotExecutable(await stat(path), (await stat(directory)).uid);
    if (unsafe !== undefined) return unsafe;
    for (const holder of new Set([dirname(join(directory, file)), dirname(path)])) {
      if (isWritableByAll(await stat(holder))) return 'every user of this machine can write to its folder; chmod o-w';
    }
    return undefined;
  } catch (error) {
    return `it cannot be read: ${reasonText(error, directory)}`;
  }
}

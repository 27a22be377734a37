/** Refuses files that another user of the machine could have written. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { isWritableByAll, whyNotExecutable } from '../../loader/loader.mjs';
import { reasonText } from '../hosted/hosted.ts';

/**
 * The reason why `file` (relative to `directory`, which has no symbolic links) must not be executed, because another user could inject
 * code. Undefined if it may be. `what` names the directory in the reason.
 */
export async function whyUnsafe(directory: string, file: string, what = 'the plugins directory'): Promise<string | undefined> {
  try {
    const path = await realpath(join(directory, file));
    const inside = relative(directory, path);
    if (inside.startsWith('..') || isAbsolute(inside)) return `it is a link to a file outside ${what}`;
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

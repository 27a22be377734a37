/** The directory of a program in the state directory, when its program goes. No link is followed. */
import { lstat, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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

/** Replaces a file so that after a crash there is the old one or the new one, whole. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Aside, synced, renamed, and the name synced; mode 0600. One writer at a time: the caller sees to that. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const aside = `${path}.new`;
  try {
    // One that a crash left may have another mode.
    await rm(aside, { force: true });
    const file = await open(aside, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  // Windows knows no sync of a directory.
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Watches helpers outside of the plugins directory: the folder of each, or the nearest one that is there, and in it that name alone. */
import { statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Folders, each of which costs a watch of the system; whoever imports from more is served by looking once a second. */
const MAX_FOLDERS = 200;

export interface HelperWatchParts {
  readonly onChange: () => void;
  /** The system has no more watches to give, or there are too many folders. */
  readonly onError: (error: unknown) => void;
}

interface Folder {
  readonly watcher: FSWatcher;
  /** A folder that is replaced by another one of its name needs another watch. */
  readonly inode: number;
  names: ReadonlySet<string>;
}

export class HelperWatch {
  readonly #parts: HelperWatchParts;
  readonly #folders = new Map<string, Folder>();

  constructor(parts: HelperWatchParts) {
    this.#parts = parts;
  }

  /** From now on changes of these paths are noticed, and of no others. One that was not watched before counts as changed. */
  follow(paths: ReadonlySet<string>): void {
    const wanted = namesByFolder(paths);
    for (const [path, { watcher, inode }] of this.#folders) {
      if (wanted.has(path) && inodeOf(path) === inode) continue;
      watcher.close();
      this.#folders.delete(path);
    }
    if (wanted.size > MAX_FOLDERS) {
      this.#parts.onError(new Error(`plugins import from more than ${MAX_FOLDERS} folders outside of it`));
      return;
    }
    for (const [path, names] of wanted) this.#followFolder(path, names);
  }

  close(): void {
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #followFolder(path: string, names: ReadonlySet<string>): void {
    const known = this.#folders.get(path);
    const isNew = [...names].some((name) => known?.names.has(name) !== true);
    if (known) known.names = names;
    else {
      const inode = inodeOf(path);
      if (inode === undefined) return;
      try {
        this.#folders.set(path, { watcher: this.#watch(path), inode, names });
      } catch (error) {
        this.#parts.onError(error);
        return;
      }
    }
    // It may have been saved between its import and now.
    if (isNew) this.#parts.onChange();
  }

  #watch(path: string): FSWatcher {
    const watcher = watch(path, (_event, name) => {
      // The name of the folder itself: it is gone, or is another one by now.
      if (name === null || name === basename(path) || this.#folders.get(path)?.names.has(name)) this.#parts.onChange();
    });
    watcher.on('error', this.#parts.onError);
    return watcher;
  }
}

/** Folder -> what in it is looked at. */
function namesByFolder(paths: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  const folders = new Map<string, Set<string>>();
  for (const path of paths) {
    let [folder, name] = [dirname(path), basename(path)];
    while (inodeOf(folder) === undefined && folder !== dirname(folder)) [folder, name] = [dirname(folder), basename(folder)];
    folders.set(folder, (folders.get(folder) ?? new Set()).add(name));
  }
  return folders;
}

function inodeOf(folder: string): number | undefined {
  const status = statSync(folder, { throwIfNoEntry: false });
  return status?.isDirectory() === true ? status.ino : undefined;
}

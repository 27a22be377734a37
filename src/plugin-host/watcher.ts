/** Watches the plugins directory and the files outside it that plugins import, and rescans once per burst of changes. */
import { statSync, watch, watch as watchLink } from 'node:fs';
import type { FSWatcher, Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import { clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { helperPaths, isImported } from '../loader/loader.mjs';
import { EXTENSIONS, isTemporary } from './hosted/hosted.ts';
import type { HostEvent } from './hosted/hosted.ts';
import type { ScanMode } from './modules/modules.ts';

/** ms without a change before a rescan: an editor writes, renames and sets permissions in one go. */
const QUIET_MS = 50;
/** ms after which a rescan happens even if changes continue: a large tree is being copied, or a file is written all the time. */
const MAX_WAIT_MS = 1000;
/**
 * ms without a change after which a directory is loaded as it is, even if a save seems incomplete: longer than the pause between two
 * writes to a file over a network.
 */
const SETTLE_MS = 400;
/**
 * ms after which the complete files are loaded even if changes continue, so that they do not wait for a file that is written all the time.
 */
const MAX_SETTLE_MS = 3000;
/** ms between two rescans where changes are not reported: as long as a person is willing to wait, at a few system calls per file. */
const POLL_MS = 1000;

export interface WatcherParts {
  /** It need not exist yet, and may be a link whose target changes. */
  readonly directory: string;
  readonly mode: true | 'poll';
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventSink<HostEvent>;
  /**
   * Loads what has changed. Not called again before it has resolved. Resolves to true if a save seems incomplete, so that something was
   * not loaded yet. Never rejects.
   */
  readonly rescan: (mode: ScanMode) => Promise<boolean>;
}

interface Closable {
  close(): unknown;
}

export class Watcher {
  readonly #parts: WatcherParts;
  readonly #watchers = new Set<Closable>();
  readonly #helpers: HelperWatch;
  /** The target of the path of the directory. */
  #target: string | undefined;
  #announced: string | undefined;
  #isPolling = false;
  #isEnded = false;
  #isScanning = false;
  #cancelTimer: (() => void) | undefined;
  /** The time of the first change that has not been scanned yet. */
  #since: number | undefined;
  #lastChange = -Infinity;
  /** When scans began to find an incomplete save, and to do nothing. */
  #unsettledSince: number | undefined;

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    this.#isPolling = parts.mode === 'poll';
    this.#helpers = new HelperWatch({
      onChange: () => {
        this.#changed();
      },
      onError: (error) => void this.#fallBack(error),
    });
  }

  /** Rescans once, since something may have changed before, and then whenever something changes. Never rejects. */
  async start(): Promise<void> {
    await this.#follow();
    await this.#rescan();
  }

  /** Starts no more scans; one that is running continues. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#cancelTimer?.();
    await this.#unsubscribe();
  }

  /** Call this when the imports of plugins may have changed: imported files outside the directory are watched, too. */
  followHelpers(): void {
    if (!this.#isPolling && !this.#isEnded) this.#helpers.follow(helperPaths());
  }

  /** Watches the current target of the path of the directory. */
  async #follow(): Promise<void> {
    if (this.#isPolling) return;
    this.followHelpers();
    const { directory } = this.#parts;
    const target = await realpath(directory).catch(() => undefined);
    if (target === this.#target && this.#watchers.size > 0) return;
    await this.#unsubscribe();
    this.#target = target;
    try {
      await this.#watchLinks();
      await this.#subscribe(target ?? directory);
    } catch (error) {
      await this.#fallBack(error);
    }
  }

  /** Resolves when changes are reported. */
  async #subscribe(directory: string): Promise<void> {
    // Loaded on demand: it takes some ms, and the start need not wait for it.
    const { watch } = await import('chokidar');
    if (this.#isEnded) return;
    const isIgnored = (path: string, stats?: Stats): boolean =>
      /[\\/](?:node_modules|\.git)(?:[\\/]|$)/.test(path.slice(directory.length)) || (stats?.isFile() === true && !isRelevant(path));
    const watcher = watch(directory, { ignoreInitial: true, atomic: false, ignored: isIgnored });
    this.#watchers.add(watcher);
    const notice = (path: string): void => {
      if (isRelevant(path)) this.#changed();
    };
    watcher.on('all', (event, path) => {
      if (event.endsWith('Dir')) this.#changed();
      else notice(path);
    });
    // Chokidar's own events do not report the new target of a link, new permissions, or a second change at the same time.
    watcher.on('raw', (_event: unknown, name: unknown, details: unknown) => {
      const { watchedPath } = (details ?? {}) as { watchedPath?: unknown };
      if (typeof name !== 'string') return;
      notice(isAbsolute(name) || typeof watchedPath !== 'string' ? name : join(watchedPath, name));
    });
    await new Promise<void>((resolve, reject) => {
      watcher.on('ready', resolve);
      watcher.on('error', (error) => {
        // A link to itself leads to no code, and everything else is watched.
        if ((error as NodeJS.ErrnoException).code === 'ELOOP') return;
        reject(error instanceof Error ? error : new Error(reasonOf(error)));
        void this.#fallBack(error);
      });
    });
  }

  /** Watches each link in the path of the directory, such as `current -> releases/42`, from the folder of the link. */
  async #watchLinks(): Promise<void> {
    for (let path = this.#parts.directory; path !== dirname(path); path = dirname(path)) {
      const isLink = await lstat(path).then(
        (status) => status.isSymbolicLink(),
        () => false,
      );
      if (!isLink || this.#isEnded) continue;
      const watcher = watchLink(dirname(path), (_event, name) => {
        if (name === basename(path)) this.#changed();
      });
      watcher.on('error', (error) => void this.#fallBack(error));
      this.#watchers.add(watcher);
    }
  }

  async #unsubscribe(): Promise<void> {
    if (this.#isPolling || this.#isEnded) this.#helpers.close();
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }

  /** Polls from now on, because the system has no more watches, or the file system does not support them. */
  async #fallBack(error: unknown): Promise<void> {
    if (this.#isPolling || this.#isEnded) return;
    this.#isPolling = true;
    this.#parts.log.warn(`cannot watch the plugins directory (${clean(reasonOf(error))}); polling it once a second instead`);
    await this.#unsubscribe();
    this.#schedule(POLL_MS);
  }

  #changed(): void {
    this.#lastChange = this.#parts.clock.now();
    this.#since ??= this.#lastChange;
    if (!this.#isPolling) this.#schedule(QUIET_MS);
  }

  /** Reports once per target that it is watched: earlier changes have been scanned, and later ones will be. */
  #announce(): void {
    const { directory, events } = this.#parts;
    const target = this.#target ?? directory;
    if (target === this.#announced) return;
    this.#announced = target;
    events.emit({ type: 'plugins.watched', directory: target });
  }

  #hasChanged(): boolean {
    return this.#since !== undefined;
  }

  #schedule(ms: number): void {
    if (this.#isEnded || this.#isScanning) return;
    const { clock } = this.#parts;
    const latest = this.#since === undefined ? Infinity : this.#since + MAX_WAIT_MS - clock.now();
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(Math.max(0, Math.min(ms, latest)), () => {
      void this.#rescan();
    });
  }

  async #rescan(): Promise<void> {
    if (this.#isEnded || this.#isScanning) return;
    this.#isScanning = true;
    this.#since = undefined;
    await this.#follow();
    const mode = this.#nextMode();
    const isUnsettled = await this.#parts.rescan(mode);
    this.#note(isUnsettled, mode);
    this.#isScanning = false;
    this.#announce();
    if (this.#hasChanged() && !this.#isPolling) this.#schedule(QUIET_MS);
    else if (isUnsettled) this.#schedule(SETTLE_MS);
    else if (this.#isPolling) this.#schedule(POLL_MS);
  }

  #note(isUnsettled: boolean, mode: ScanMode): void {
    const { clock, events } = this.#parts;
    if (isUnsettled && this.#unsettledSince === undefined) events.emit({ type: 'plugins.unsettled' });
    if (!isUnsettled) this.#unsettledSince = undefined;
    else if (this.#unsettledSince === undefined || mode === 'hasty') this.#unsettledSince = clock.now();
  }

  #nextMode(): ScanMode {
    if (this.#unsettledSince === undefined) return 'patient';
    const now = this.#parts.clock.now();
    if (now - this.#lastChange >= SETTLE_MS) return 'plain';
    return now - this.#unsettledSince < MAX_SETTLE_MS ? 'patient' : 'hasty';
  }
}

/** True for a path that may be code, or lead to code. Everything else in the directory is ignored. */
function isRelevant(path: string): boolean {
  const name = basename(path);
  if (isTemporary(name)) return false;
  const extension = extname(name).slice(1);
  const isCode = extension === '' || EXTENSIONS.some((known) => known === extension);
  return isCode || name === 'package.json' || name.startsWith('..') || isImported(path);
}

/** Each folder costs a watch of the system. Beyond this number the files are polled once a second. */
const MAX_FOLDERS = 200;

export interface HelperWatchParts {
  readonly onChange: () => void;
  /** The system has no more watches, or there are too many folders. */
  readonly onError: (error: unknown) => void;
}

interface Folder {
  readonly watcher: FSWatcher;
  /** A folder that is replaced by another one of the same name needs another watch. */
  readonly inode: number;
  names: ReadonlySet<string>;
}

export class HelperWatch {
  readonly #parts: HelperWatchParts;
  readonly #folders = new Map<string, Folder>();

  constructor(parts: HelperWatchParts) {
    this.#parts = parts;
  }

  /** Watches exactly these paths. A path that was not watched before counts as changed. */
  follow(paths: ReadonlySet<string>): void {
    const wanted = namesByFolder(paths);
    for (const [path, { watcher, inode }] of this.#folders) {
      if (wanted.has(path) && inodeOf(path) === inode) continue;
      watcher.close();
      this.#folders.delete(path);
    }
    if (wanted.size > MAX_FOLDERS) {
      this.#parts.onError(new Error(`plugins import from more than ${MAX_FOLDERS} folders outside it`));
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
      // The name of the folder itself means that it is gone or replaced.
      if (name === null || name === basename(path) || this.#folders.get(path)?.names.has(name)) this.#parts.onChange();
    });
    watcher.on('error', this.#parts.onError);
    return watcher;
  }
}

/** The watched names by folder. */
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

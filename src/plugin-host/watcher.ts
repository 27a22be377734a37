/** Notices that something in the plugins directory has changed, and has it looked at once for a burst of changes. */
import { watch as watchLink } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import { helperPaths, isImported } from '../loader/loader.mjs';
import { clean, reasonOf } from '../core/core.ts';
import type { Look } from './modules/modules.ts';
import type { Clock, Log } from '../core/core.ts';
import { HelperWatch } from './helper-watch.ts';
import { EXTENSIONS, isTemporary } from './hosted/hosted.ts';

/** ms of silence after a change: an editor writes, renames and sets rights in one go. */
const QUIET_MS = 50;
/** ms after which it is looked though changes go on: somebody copies a large tree, or writes for ever. */
const MAX_WAIT_MS = 1000;
/**
 * ms of silence after which a directory that looks as if somebody were writing to it is taken as it is: longer than a pause between two
 * writes to a file over a network.
 */
const SETTLE_MS = 400;
/**
 * ms after which what is whole is taken though changes go on: somebody writes one file all the time, and the others are not to wait for it.
 */
const MAX_SETTLE_MS = 3000;
/** ms between two looks where nobody tells of changes. Once a second: what a person waits for, at a few system calls per file. */
const POLL_MS = 1000;

export interface WatcherParts {
  /** Need not be there yet, and may be a link that leads elsewhere one day. */
  readonly directory: string;
  readonly mode: true | 'poll';
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Looks what has changed; not called again before it has resolved. Resolves to true if something waits for the rest of a save. Never
   * rejects.
   */
  readonly look: (look: Look) => Promise<boolean>;
}

interface Closable {
  close(): unknown;
}

export class Watcher {
  readonly #parts: WatcherParts;
  readonly #watchers = new Set<Closable>();
  readonly #helpers: HelperWatch;
  /** Where the directory's path leads. */
  #target: string | undefined;
  #announced: string | undefined;
  #isPolling = false;
  #isEnded = false;
  #isLooking = false;
  #callOff: (() => void) | undefined;
  /** When the first of the changes was that nobody has looked at yet. */
  #since: number | undefined;
  #lastChange = -Infinity;
  /** Since when looks have found a save under way, and have done nothing. */
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

  /** Looks once, since something may have changed before, and then whenever something changes. Never rejects. */
  async start(): Promise<void> {
    await this.#follow();
    await this.#look();
  }

  /** From now on nothing is looked at; a look that is under way goes on. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#callOff?.();
    await this.#unsubscribe();
  }

  /** To be called whenever plugins may import other files than before: those outside of the directory are watched, too. */
  followHelpers(): void {
    if (!this.#isPolling && !this.#isEnded) this.#helpers.follow(helperPaths());
  }

  /** Watches where the path of the directory leads now. */
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

  /** Resolves when changes are noticed. */
  async #subscribe(directory: string): Promise<void> {
    // It takes some ms to load, and the start has other things to do.
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
    // What chokidar keeps to itself: a link that leads elsewhere, other rights, a second change at once.
    watcher.on('raw', (_event: unknown, name: unknown, details: unknown) => {
      const { watchedPath } = (details ?? {}) as { watchedPath?: unknown };
      if (typeof name !== 'string') return;
      notice(isAbsolute(name) || typeof watchedPath !== 'string' ? name : join(watchedPath, name));
    });
    await new Promise<void>((resolve, reject) => {
      watcher.on('ready', resolve);
      watcher.on('error', (error) => {
        // A link that leads to itself leads to no code, and all else is watched.
        if ((error as NodeJS.ErrnoException).code === 'ELOOP') return;
        reject(error instanceof Error ? error : new Error(reasonOf(error)));
        void this.#fallBack(error);
      });
    });
  }

  /** Each link in the path of the directory, such as `current -> releases/42`, is watched from the folder that it lies in. */
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

  /** The system has no more watches to give, or the file system has none. */
  async #fallBack(error: unknown): Promise<void> {
    if (this.#isPolling || this.#isEnded) return;
    this.#isPolling = true;
    this.#parts.log.warn(`changes of the plugins directory are not told (${clean(reasonOf(error))}), so it is looked at once a second`);
    await this.#unsubscribe();
    this.#schedule(POLL_MS);
  }

  #changed(): void {
    this.#lastChange = this.#parts.clock.now();
    this.#since ??= this.#lastChange;
    if (!this.#isPolling) this.#schedule(QUIET_MS);
  }

  /** Once for each place: what changed before has been looked at, and what changes from here on will be. */
  #announce(): void {
    const { directory, log } = this.#parts;
    const place = this.#target ?? directory;
    if (place === this.#announced) return;
    this.#announced = place;
    log.debug(`watching ${clean(place)}`);
  }

  #hasChanged(): boolean {
    return this.#since !== undefined;
  }

  #schedule(ms: number): void {
    if (this.#isEnded || this.#isLooking) return;
    const { clock } = this.#parts;
    const latest = this.#since === undefined ? Infinity : this.#since + MAX_WAIT_MS - clock.now();
    this.#callOff?.();
    this.#callOff = clock.after(Math.max(0, Math.min(ms, latest)), () => {
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    if (this.#isEnded || this.#isLooking) return;
    this.#isLooking = true;
    this.#since = undefined;
    await this.#follow();
    const look = this.#nextLook();
    const isUnsettled = await this.#parts.look(look);
    this.#note(isUnsettled, look);
    this.#isLooking = false;
    this.#announce();
    if (this.#hasChanged() && !this.#isPolling) this.#schedule(QUIET_MS);
    else if (isUnsettled) this.#schedule(SETTLE_MS);
    else if (this.#isPolling) this.#schedule(POLL_MS);
  }

  #note(isUnsettled: boolean, look: Look): void {
    const { clock, log } = this.#parts;
    if (isUnsettled && this.#unsettledSince === undefined)
      log.debug('files are gone or shorter than before: waiting for the rest of a save');
    if (!isUnsettled) this.#unsettledSince = undefined;
    else if (this.#unsettledSince === undefined || look === 'hasty') this.#unsettledSince = clock.now();
  }

  #nextLook(): Look {
    if (this.#unsettledSince === undefined) return 'patient';
    const now = this.#parts.clock.now();
    if (now - this.#lastChange >= SETTLE_MS) return 'plain';
    return now - this.#unsettledSince < MAX_SETTLE_MS ? 'patient' : 'hasty';
  }
}

/** True for what may be code, or lead to code: whatever else lies in the directory may change as it likes. */
function isRelevant(path: string): boolean {
  const name = basename(path);
  if (isTemporary(name)) return false;
  const extension = extname(name).slice(1);
  const isCode = extension === '' || EXTENSIONS.some((known) => known === extension);
  return isCode || name === 'package.json' || name.startsWith('..') || isImported(path);
}

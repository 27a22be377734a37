/**
 * The plugins of this process, which are the modules of the plugins directory and of npm packages: scans for changes, and loads, reloads
 * and unloads them accordingly.
 */
import { clean, reasonOf } from '../../core/core.ts';
import { isShorter, prepareLoader, renewChanged, trackModules } from '../../loader/loader.mjs';
import { reportNotLoaded } from '../hosted/hosted.ts';
import type { PluginProblem, PluginRegistry, RelayPort } from '../hosted/hosted.ts';
import type { SatelliteClasses } from './classes.ts';
import { byIsolation, findAgain, findModules, isSomethingGone, requireModules } from './find.ts';
import type { FindOptions, Found, FoundModule } from './find.ts';
import { InlinePlugin } from './inline-plugin.ts';
import type { InlinePluginParts } from './inline-plugin.ts';

/**
 * How a scan treats a save that seems to be incomplete. `patient`: it does nothing. `hasty`: it reloads only the files that are complete.
 * `plain`: it loads the directory as it is.
 */
export type ScanMode = 'patient' | 'hasty' | 'plain';

export interface InlinePluginsParts extends Omit<InlinePluginParts, 'directory' | 'others'> {
  readonly directoryRequired: boolean;
  /** Classes of the program that runs the relay. Default none. */
  readonly classes?: SatelliteClasses | undefined;
  /** Where compiled plugins are cached. Undefined: they are not cached. */
  readonly cacheDir: string | undefined;
  readonly registry: PluginRegistry;
  /** Called with the modules that run in processes of their own, at each scan but the first. */
  readonly updateChildren: (modules: readonly FoundModule[], directory: string | undefined) => Promise<void>;
}

export class InlinePlugins {
  readonly #parts: InlinePluginsParts;
  readonly #all = new Map<string, InlinePlugin>();
  #found: Found | undefined;
  #children: readonly FoundModule[] = [];
  #port: RelayPort | undefined;
  #isEnded = false;
  #scan: Promise<boolean> | undefined;
  #nextScan: Promise<boolean> | undefined;
  #nextMode: ScanMode | undefined;
  /** Why the directory could not be read; it is logged once. */
  #unreadable = '';

  constructor(parts: InlinePluginsParts) {
    this.#parts = parts;
  }

  /** The plugins directory without symbolic links. Undefined if there is none. */
  get directory(): string | undefined {
    return this.#found?.directory;
  }

  /** The modules that run in processes of their own. */
  get children(): readonly FoundModule[] {
    return this.#children;
  }

  /** What is not loaded, and why. */
  get problems(): readonly PluginProblem[] {
    const found = this.#found?.problems.filter((problem) => !this.#isOfPlugin(problem)) ?? [];
    return [...found, ...[...this.#all.values()].flatMap(({ problems }) => problems)];
  }

  /**
   * Finds, imports, constructs and configures all modules, and reports those that do not load. Rejects with a RelayError CONFIG_INVALID or
   * PLUGIN_REFUSED.
   */
  async prepare(port: RelayPort): Promise<Found> {
    this.#port = port;
    prepareLoader({ cacheDir: this.#parts.cacheDir });
    const all = await findModules(this.#findOptions);
    requireModules(all.modules, this.#parts.options.isolation);
    const found = await this.#withoutChildren(all);
    this.#found = found;
    for (const problem of found.problems) this.#report(problem);
    this.#track(found);
    for (const module of found.modules) this.#add(module);
    const plugins = [...this.#all.values()];
    for (const plugin of plugins) await plugin.import();
    // All are constructed first, since a `setup` may call another plugin, and every configuration is checked before the first `setup`.
    for (const plugin of plugins) plugin.construct(port);
    for (const plugin of plugins) await plugin.configure();
    return found;
  }

  /**
   * Scans the plugins directory: loads what is new, reloads what changed, unloads what is gone. Resolves when the scan is complete, while
   * plugins may still be reloading; to true if a save seems incomplete, so that something was not loaded yet. Never rejects.
   */
  rescan(mode: ScanMode = 'plain'): Promise<boolean> {
    this.#nextMode = mode === 'plain' ? mode : (this.#nextMode ?? mode);
    // All requests during a scan share one more scan.
    if (this.#scan) return (this.#nextScan ??= this.#scan.then(() => this.#startScan()));
    return this.#startScan();
  }

  #startScan(): Promise<boolean> {
    this.#nextScan = undefined;
    const mode = this.#nextMode;
    this.#nextMode = undefined;
    this.#scan = this.#scanNow(mode).finally(() => (this.#scan = undefined));
    return this.#scan;
  }

  async #scanNow(mode: ScanMode = 'plain'): Promise<boolean> {
    const before = this.#found;
    if (!before || this.#isEnded) return false;
    let isUnsettled = false;
    try {
      const all = await findAgain(this.#findOptions, before);
      // A missing directory is more likely to reappear soon than meant to stop all plugins.
      if (all.directory === undefined) throw new Error(before.directory === undefined ? '' : 'it is gone');
      isUnsettled = mode !== 'plain' && (await this.#isBeingWritten(all, before));
      if (isUnsettled && mode === 'patient') return true;
      // Modules are added and removed only once the changes have ended.
      const found = isUnsettled ? before : await this.#withoutChildren(all);
      this.#unreadable = '';
      this.#found = found;
      this.#track(found);
      await renewChanged(all.directory, { isWholeOnly: isUnsettled });
      await this.#removeGone(found);
      // A module that has moved between this process and a child is removed before it is added again.
      if (!this.#hasEnded()) await this.#parts.updateChildren(this.#children, found.directory);
      await this.#apply(found, before);
    } catch (error) {
      this.#warnUnreadable(reasonOf(error));
    }
    return isUnsettled;
  }

  /** True if a file is gone or shorter than it was, which also happens while editors, `cp` and `git checkout` write it. */
  async #isBeingWritten(found: Found, before: Found): Promise<boolean> {
    if (isSomethingGone(found, { ...before, modules: [...before.modules, ...this.#children] })) return true;
    return found.directory !== undefined && isShorter(found.directory);
  }

  /** Cancels reloads in progress. Nothing is loaded from now on. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await Promise.all([...this.#all.values()].map((plugin) => plugin.cancel()));
  }

  /** Records the modules that run in processes of their own, and returns the others. */
  async #withoutChildren(found: Found): Promise<Found> {
    const before = { inline: this.#found?.modules ?? [], child: this.#children };
    const { inline, child } = await byIsolation(found.modules, this.#parts.options.isolation, before);
    this.#children = child;
    return { ...found, modules: inline };
  }

  /** A method, because TypeScript assumes that the field does not change during an await. */
  #hasEnded(): boolean {
    return this.#isEnded;
  }

  async #removeGone({ modules, refused }: Found): Promise<void> {
    const present = new Set([...modules, ...refused].map(({ module }) => module));
    const gone = [...this.#all.values()].filter(({ name }) => !present.has(name));
    await Promise.all(gone.map((plugin) => this.#remove(plugin)));
  }

  async #apply(found: Found, before: Found): Promise<void> {
    const reported = new Set(before.problems.map(keyOf));
    for (const problem of found.problems) if (!reported.has(keyOf(problem)) && !this.#isOfPlugin(problem)) this.#report(problem);
    const outdated: InlinePlugin[] = [];
    for (const module of [...found.modules, ...found.refused]) {
      const plugin = this.#all.get(module.module);
      if (plugin && (await plugin.isOutdated(module))) outdated.push(plugin);
    }
    const added = found.modules.filter(({ module }) => !this.#all.has(module)).flatMap((module) => this.#add(module) ?? []);
    for (const plugin of [...added, ...outdated]) await plugin.preload();
    for (const plugin of outdated) void plugin.update();
    const port = this.#port;
    // A plugin that does not start reports why.
    if (port && !this.#isEnded) for (const plugin of added) plugin.start(port).catch(() => undefined);
  }

  #add(module: FoundModule): InlinePlugin | undefined {
    if (this.#isEnded) return undefined;
    const others = () => [...this.#all.values()].filter((other) => other !== plugin).flatMap(({ imported }) => imported ?? []);
    const plugin: InlinePlugin = new InlinePlugin(module, { ...this.#parts, directory: () => this.directory, others });
    if (!this.#parts.registry.add(plugin)) {
      this.#report({
        module: module.module,
        file: clean(module.file),
        reason: `there is another plugin named ${module.module}; rename one`,
      });
      return undefined;
    }
    this.#all.set(module.module, plugin);
    return plugin;
  }

  async #remove(plugin: InlinePlugin): Promise<void> {
    const { file } = plugin.status;
    await plugin.unload();
    this.#all.delete(plugin.name);
    this.#parts.registry.remove(plugin.name);
    this.#parts.events.emit({ type: 'plugin.version', plugin: plugin.name, change: 'unloaded', file });
  }

  #track({ directory, modules }: Found): void {
    const roots = modules.flatMap(({ root, exports }) => (exports ? [] : [root]));
    for (const root of new Set([directory ?? '', ...roots])) if (root !== '') trackModules(root);
  }

  #report(problem: PluginProblem): void {
    reportNotLoaded(this.#parts.events, problem);
  }

  #warnUnreadable(reason: string): void {
    if (reason !== '' && reason !== this.#unreadable)
      this.#parts.log.warn(`the plugins directory cannot be read, so all plugins stay as they are: ${clean(reason)}`);
    this.#unreadable = reason;
  }

  #isOfPlugin({ module }: PluginProblem): boolean {
    return module !== undefined && this.#all.has(module);
  }

  get #findOptions(): FindOptions {
    const { options, directoryRequired, classes } = this.#parts;
    return { ...options, directoryRequired, classes };
  }
}

function keyOf({ file, reason }: PluginProblem): string {
  return `${file}: ${reason}`;
}

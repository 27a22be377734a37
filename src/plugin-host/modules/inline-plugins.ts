/** The plugins that run in this process: those of the plugins directory and of npm packages, as they are found, come and go. */
import { isShorter, registerLoader, renewChanged, trackModules } from '../../loader/loader.mjs';
import { clean, reasonOf } from '../../core/core.ts';
import { byIsolation, requireModules } from './isolation.ts';
import { findAgain, findModules, isSomethingGone } from './find.ts';
import type { FindOptions, Found, FoundModule } from './find.ts';
import { InlinePlugin } from './inline-plugin.ts';
import type { InlinePluginParts } from './inline-plugin.ts';
import type { PluginRegistry, PluginProblem, RelayPort } from '../hosted/hosted.ts';
import { placeOf } from '../hosted/hosted.ts';

/**
 * How the directory is looked at. `patient`: if it looks as if a save were under way, nothing is done. `hasty`: then what is whole is
 * reloaded, and the rest waits. `plain`: it is taken
 * as it is.
 */
export type Look = 'patient' | 'hasty' | 'plain';

export interface InlinePluginsParts extends Omit<InlinePluginParts, 'directory' | 'others' | 'onLines'> {
  readonly directoryRequired: boolean;
  /** Where compiled plugins are kept; undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /** Where they stand while they are there. */
  readonly registry: PluginRegistry;
  /** Told of the modules that run in processes of their own, at each look at the directory but the first. */
  readonly onChildren: (modules: readonly FoundModule[], directory: string | undefined) => Promise<void>;
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
  #nextLook: Look | undefined;
  /** Why the directory could not be looked at, so that it is told once. */
  #unreadable = '';

  constructor(parts: InlinePluginsParts) {
    this.#parts = parts;
  }

  /** The plugins directory without symbolic links; undefined if there is none. */
  get directory(): string | undefined {
    return this.#found?.directory;
  }

  /** The modules of the directory that run in processes of their own. */
  get children(): readonly FoundModule[] {
    return this.#children;
  }

  /** What was left out, and why. */
  get problems(): readonly PluginProblem[] {
    const found = this.#found?.problems.filter((problem) => !this.#isOfPlugin(problem)) ?? [];
    return [...found, ...[...this.#all.values()].flatMap(({ problems }) => problems)];
  }

  /** Finds, imports, constructs and configures all; what cannot be is left out. Throws a RelayError CONFIG_INVALID or PLUGIN_REFUSED. */
  async prepare(port: RelayPort): Promise<Found> {
    this.#port = port;
    registerLoader({ cacheDir: this.#parts.cacheDir });
    const all = await findModules(this.#findOptions);
    requireModules(all.modules, this.#parts.options.isolation);
    const found = await this.#sort(all);
    this.#found = found;
    for (const problem of found.problems) this.#tell(problem);
    this.#track(found);
    for (const module of found.modules) this.#add(module);
    const plugins = [...this.#all.values()];
    for (const plugin of plugins) await plugin.import();
    // All may be called before one runs, and every configuration is checked before the first `setup`.
    for (const plugin of plugins) plugin.construct(port);
    for (const plugin of plugins) await plugin.configure();
    return found;
  }

  /**
   * Looks at the plugins directory again: what is new is loaded, what changed is reloaded, what is gone is unloaded. Resolves when all that
   * is known; plugins may
   * still be busy with it, and to true if something waits for the rest of a save. Never rejects.
   */
  rescan(look: Look = 'plain'): Promise<boolean> {
    this.#nextLook = look === 'plain' ? look : (this.#nextLook ?? look);
    // Whoever asks while it is looked gets one look more, together with all others who do.
    if (this.#scan) return (this.#nextScan ??= this.#scan.then(() => this.#startScan()));
    return this.#startScan();
  }

  #startScan(): Promise<boolean> {
    this.#nextScan = undefined;
    const look = this.#nextLook;
    this.#nextLook = undefined;
    this.#scan = this.#lookAgain(look).finally(() => (this.#scan = undefined));
    return this.#scan;
  }

  async #lookAgain(look: Look = 'plain'): Promise<boolean> {
    const before = this.#found;
    if (!before || this.#isEnded) return false;
    let isUnsettled = false;
    try {
      const all = await findAgain(this.#findOptions, before);
      // A directory that is not there is more likely about to be back than meant to stop everything.
      if (all.directory === undefined) throw new Error(before.directory === undefined ? '' : 'it is gone');
      isUnsettled = look !== 'plain' && (await this.#isBeingWritten(all, before));
      if (isUnsettled && look === 'patient') return true;
      // What comes and goes while changes go on waits until they end.
      const found = isUnsettled ? before : await this.#sort(all);
      this.#unreadable = '';
      this.#found = found;
      this.#track(found);
      await renewChanged(all.directory, { isWholeOnly: isUnsettled });
      await this.#removeGone(found);
      // One that ran there until now makes room for one that is to run here.
      if (!this.#hasEnded()) await this.#parts.onChildren(this.#children, found.directory);
      await this.#apply(found, before);
    } catch (error) {
      this.#reportUnreadable(reasonOf(error));
    }
    return isUnsettled;
  }

  /**
   * True if something is gone or shorter than it was, which it also is between the steps in which editors, `cp` and `git checkout` write a
   * file.
   */
  async #isBeingWritten(found: Found, before: Found): Promise<boolean> {
    if (isSomethingGone(found, { ...before, modules: [...before.modules, ...this.#children] })) return true;
    return found.directory !== undefined && isShorter(found.directory);
  }

  /** Gives up what is under way; nothing is loaded from now on. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await Promise.all([...this.#all.values()].map((plugin) => plugin.giveUp()));
  }

  /** Without the modules that run elsewhere. */
  async #sort(found: Found): Promise<Found> {
    const before = { inline: this.#found?.modules ?? [], child: this.#children };
    const { inline, child } = await byIsolation(found.modules, this.#parts.options.isolation, before);
    this.#children = child;
    return { ...found, modules: inline };
  }

  /** It may have changed while something was waited for. */
  #hasEnded(): boolean {
    return this.#isEnded;
  }

  async #removeGone({ modules, refused }: Found): Promise<void> {
    const present = new Set([...modules, ...refused].map(({ module }) => module));
    const gone = [...this.#all.values()].filter(({ name }) => !present.has(name));
    await Promise.all(gone.map((plugin) => this.#remove(plugin)));
  }

  async #apply(found: Found, before: Found): Promise<void> {
    const told = new Set(before.problems.map(textOf));
    for (const problem of found.problems) if (!told.has(textOf(problem)) && !this.#isOfPlugin(problem)) this.#tell(problem);
    const outdated: InlinePlugin[] = [];
    for (const module of [...found.modules, ...found.refused]) {
      const plugin = this.#all.get(module.module);
      if (plugin && (await plugin.isOutdated(module))) outdated.push(plugin);
    }
    const added = found.modules.filter(({ module }) => !this.#all.has(module)).flatMap((module) => this.#add(module) ?? []);
    for (const plugin of [...added, ...outdated]) await plugin.preload();
    for (const plugin of outdated) void plugin.update();
    const port = this.#port;
    // Why one does not run stands in the log.
    if (port && !this.#isEnded) for (const plugin of added) plugin.start(port).catch(() => undefined);
  }

  #add(module: FoundModule): InlinePlugin | undefined {
    if (this.#isEnded) return undefined;
    const { registry } = this.#parts;
    const onLines = (): void => {
      registry.takeLines();
    };
    const parts = { ...this.#parts, directory: () => this.directory, onLines };
    const others = () => [...this.#all.values()].filter((other) => other !== plugin).flatMap(({ imported }) => imported ?? []);
    const plugin: InlinePlugin = new InlinePlugin(module, { ...parts, others });
    if (!registry.add(plugin)) {
      this.#tell({ module: module.module, file: clean(module.file), reason: `there is another plugin named ${module.module}; rename one` });
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
    this.#parts.log.info(`${plugin.name} unloaded: ${clean(file)} is gone, or not to be loaded any more`);
  }

  #track({ directory, modules }: Found): void {
    for (const root of new Set([directory ?? '', ...modules.map((module) => module.root)])) if (root !== '') trackModules(root);
  }

  #tell(problem: PluginProblem): void {
    this.#parts.log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
  }

  #reportUnreadable(reason: string): void {
    if (reason !== '' && reason !== this.#unreadable)
      this.#parts.log.warn(`the plugins directory cannot be looked at, so all plugins go on as they are: ${clean(reason)}`);
    this.#unreadable = reason;
  }

  #isOfPlugin({ module }: PluginProblem): boolean {
    return module !== undefined && this.#all.has(module);
  }

  get #findOptions(): FindOptions {
    const { options, directoryRequired } = this.#parts;
    return { ...options, directoryRequired };
  }
}

function textOf({ file, reason }: PluginProblem): string {
  return `${file}: ${reason}`;
}

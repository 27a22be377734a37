/** The modules that run in processes of their own: as they are found, come, change and go. Each is a program whose command is our runner. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { clean, reasonOf } from '../../message/message.ts';
import type { Clock, Log, LogSource } from '../../message/message.ts';
import type { FoundModule } from '../find.ts';
import type { HostedPlugin } from '../hosted.ts';
import type { PluginHostOptions } from '../options.ts';
import { placeOf } from '../problem.ts';
import type { PluginProblem } from '../problem.ts';
import type { ProgramPlugin, Programs } from '../program/programs.ts';
import type { RelayPort } from '../satellite.ts';
import { childRecord, endInWords } from './child-record.ts';

export interface ChildrenParts {
  readonly options: PluginHostOptions;
  readonly logs: LogSource;
  readonly log: Log;
  readonly clock: Clock;
  readonly cacheDir: string | undefined;
  readonly programs: () => Programs;
  /** Takes a new plugin; false if there is another of its name. */
  readonly add: (plugin: HostedPlugin) => boolean;
  /** Called when a plugin of this name has ended for good. */
  readonly remove: (name: string) => void;
}

interface Child {
  readonly found: FoundModule;
  readonly plugin: ProgramPlugin;
  /** What it was made of. */
  readonly inputs: string;
}

// A plugin's folder has few files; whoever puts a tree of data there restarts the plugin by hand.
const MAX_FILES = 1_000;

export class Children {
  readonly #parts: ChildrenParts;
  readonly #all = new Map<string, Child>();
  readonly #problems = new Map<string, PluginProblem>();

  constructor(parts: ChildrenParts) {
    this.#parts = parts;
  }

  /** What was left out, and why. */
  get problems(): readonly PluginProblem[] {
    return [...this.#problems.values()];
  }

  /** Makes those that are new; nothing runs yet. Rejects with a RelayError PLUGIN_REFUSED if a configuration cannot be read. */
  async prepare(modules: readonly FoundModule[], directory: string | undefined): Promise<void> {
    for (const found of modules) await this.#make(found, directory);
  }

  /** Starts all. As for a module in this process: one that does not load is left out, one that refuses its configuration ends the start. */
  async start(port: RelayPort): Promise<void> {
    await Promise.all([...this.#all.values()].map(({ plugin }) => this.#start(plugin, port)));
  }

  /** After another look at the directory: what is gone is unloaded, what changed is started anew, what is new is loaded. Never rejects. */
  async update(modules: readonly FoundModule[], directory: string | undefined, port: RelayPort): Promise<void> {
    const names = new Set(modules.map(({ module }) => module));
    for (const { plugin } of [...this.#all.values()]) if (!names.has(plugin.name)) await this.#remove(plugin);
    for (const found of modules) {
      try {
        const known = this.#all.get(found.module);
        if (known?.inputs === (await inputsOf(found))) continue;
        const isStopped = known?.plugin.status.state.type === 'stopped';
        if (known) await this.#remove(known.plugin);
        const plugin = await this.#make(found, directory);
        // Somebody stopped it by hand: a save does not start it.
        if (plugin && !isStopped) await this.#start(plugin, port);
      } catch (error) {
        this.#parts.log.error(`${clean(found.module)}: ${reasonOf(error)}`);
      }
    }
  }

  async #make(found: FoundModule, directory: string | undefined): Promise<ProgramPlugin | undefined> {
    const { options, logs, clock, cacheDir, programs, add, log } = this.#parts;
    const inputs = await inputsOf(found);
    const debug = logs(`plugin.${found.module}`).isDebugEnabled();
    const record = await childRecord(found, { options, directory, clock, cacheDir, debug });
    const plugin = programs().add(record, {
      kind: 'child',
      file: found.file,
      endInWords: (reason) => endInWords(reason, options.maxMemoryMb),
    });
    if (!add(plugin)) {
      log.error(`${clean(found.file)}: left out: there is another plugin named ${found.module}; rename one`);
      return undefined;
    }
    this.#all.set(found.module, { found, plugin, inputs });
    return plugin;
  }

  async #start(plugin: ProgramPlugin, port: RelayPort): Promise<void> {
    this.#problems.delete(plugin.name);
    try {
      await plugin.start(port);
    } catch (error) {
      const { state, file, lastError = '' } = plugin.status;
      // What its process says when nothing of the module can be loaded.
      const [, unloaded] = /^plugin\.describe failed: (.*)$/s.exec(lastError) ?? [];
      if (state.type !== 'failed') this.#parts.log.warn(`${reasonOf(error)}; the relay runs without it for now`);
      else if (unloaded === undefined) throw error;
      else this.#leaveOut({ module: plugin.name, file, reason: unloaded });
    }
  }

  #leaveOut(problem: PluginProblem): void {
    this.#problems.set(problem.module ?? problem.file, problem);
    this.#parts.log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
  }

  async #remove(plugin: ProgramPlugin): Promise<void> {
    await plugin.stop();
    this.#all.delete(plugin.name);
    this.#problems.delete(plugin.name);
    this.#parts.programs().remove(plugin.name);
    this.#parts.remove(plugin.name);
  }
}

/** A text that is another one as soon as a file of the module's folder is: what it imports is known to its own process alone. */
async function inputsOf({ root, path }: FoundModule): Promise<string> {
  const folder = dirname(join(root, path));
  // Directly in the plugins directory are the folders of others.
  const names = await readdir(folder, { recursive: folder !== root }).catch((): string[] => []);
  const files = names
    .filter((name) => !name.includes('node_modules'))
    .slice(0, MAX_FILES)
    .sort();
  const stats = await Promise.all(files.map((name) => stat(join(folder, name)).catch(() => undefined)));
  return files.map((name, index) => (stats[index]?.isFile() ? `${name} ${stats[index].mtimeMs} ${stats[index].size}` : '')).join('\n');
}

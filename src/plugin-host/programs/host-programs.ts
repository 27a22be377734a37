/** Starts, adds and removes programs: those of config.ts, and those that are added while the relay runs. */
import type { HostedOptions, HostedPlugin, PluginRegistry, RelayPort } from '../hosted/hosted.ts';
import type { ProgramsOptions, ProgramRecord } from './options.ts';
import { RelayError, clean, reasonOf } from '../../core/core.ts';
import type { Log, Clock } from '../../core/core.ts';
import { AddedPrograms } from './added-programs.ts';
import { requireFreeName, isThere, ownDirectory, removeEmpty, removeWhole } from './surroundings.ts';
import { Programs } from './program-set.ts';
import type { ProgramsParts } from './program-set.ts';

export interface HostProgramsParts extends ProgramsParts {
  readonly options: HostedOptions & ProgramsOptions;
  /** The log of the plugin host. */
  readonly log: Log;
  /** All plugins of the host. */
  readonly registry: PluginRegistry;
}

export class HostPrograms {
  readonly #parts: HostProgramsParts;
  readonly all: Programs;
  readonly #added: AddedPrograms;
  #toStart: readonly HostedPlugin[] = [];
  #addedBefore: readonly HostedPlugin[] = [];
  #isStarting = true;

  constructor(parts: HostProgramsParts) {
    this.#parts = parts;
    this.all = new Programs(parts);
    this.#added = new AddedPrograms(parts.surroundings.stateDir, parts.options.allowAddPrograms, parts.log);
  }

  /**
   * Reads the dead letters, and creates the programs of config.ts and those added in earlier runs, without starting them. Rejects with a
   * RelayError CONFIG_INVALID if two have the same name, or STATE_DIRECTORY.
   */
  async prepare(): Promise<void> {
    await this.all.deadLetters.load();
    const { options, registry, log } = this.#parts;
    this.#toStart = options.programs.map((record, index) => {
      requireFreeName(record.name, index, (name) => registry.has(name));
      return this.#make(record, () => this.#isStarting);
    });
    const added = await this.#added.load();
    for (const { name } of added.filter((record) => registry.has(record.name)))
      log.error(`the program ${name} that was added is not started: there is another plugin of this name`);
    this.#addedBefore = added.filter(({ name }) => !registry.has(name)).map((record) => this.#make(record));
  }

  /**
   * Starts the programs. Resolves when each is ready, or has failed to start and will be retried. Rejects with a RelayError
   * PLUGIN_REFUSED if a program of config.ts can never work as it is.
   */
  async start(port: RelayPort): Promise<void> {
    const { log } = this.#parts;
    const others = this.#addedBefore.map((plugin) =>
      this.#start(plugin, port).catch((error: unknown) => {
        log.error(`${reasonOf(error)}; the relay runs without it`);
      }),
    );
    const cancelProgress = logProgress([...this.#toStart, ...this.#addedBefore], this.#parts);
    await Promise.all([...this.#toStart.map((plugin) => this.#start(plugin, port)), ...others]).finally(cancelProgress);
    this.#isStarting = false;
  }

  /** Implements `addProgram` of the host. */
  async add(value: unknown, port: RelayPort): Promise<string> {
    const record = this.#added.check(value);
    const { name } = record;
    if (this.#parts.registry.has(name)) throw new RelayError('INVALID_PARAMS', `there is a plugin ${name} already; take another name`);
    const directory = this.#directoryOf(name);
    // A directory that an earlier program of this name left behind must not be removed.
    const isNewDirectory = !(await isThere(directory));
    const plugin = this.#make(record);
    try {
      await this.#added.keep(record);
      await this.#start(plugin, port);
    } catch (error) {
      await this.#remove(plugin);
      if (isNewDirectory) await removeWhole(directory);
      throw error;
    }
    return name;
  }

  /** Implements `removeProgram` of the host. */
  async remove(plugin: HostedPlugin): Promise<void> {
    const { name } = plugin;
    if (!this.#added.has(name)) {
      const reason = `${name} was not added while the relay ran: it is there as long as its file or config.ts says so (plugin.stop stops it)`;
      throw new RelayError('INVALID_PARAMS', reason);
    }
    await this.#remove(plugin);
    const directory = this.#directoryOf(name);
    const isGone = await removeEmpty(directory);
    this.#parts.log.info(`${name} removed${isGone ? '' : `; what it wrote stays in ${clean(directory)}`}`);
  }

  #directoryOf(name: string): string {
    return ownDirectory(name, this.#parts.surroundings.stateDir);
  }

  #make(record: ProgramRecord, isVital?: () => boolean): HostedPlugin {
    const plugin = this.all.add(record, { isVital });
    this.#parts.registry.add(plugin);
    return plugin;
  }

  /** Rejects only if another attempt cannot succeed. */
  async #start(plugin: HostedPlugin, port: RelayPort): Promise<void> {
    try {
      await plugin.start(port);
    } catch (error) {
      if (plugin.status.state.type === 'failed') throw error;
      this.#parts.log.warn(`${reasonOf(error)}; the relay runs without it for now`);
    }
  }

  async #remove(plugin: HostedPlugin): Promise<void> {
    await plugin.stop();
    this.#parts.registry.remove(plugin.name);
    this.all.remove(plugin.name);
    await this.#added.forget(plugin.name);
  }
}

// Interpreters start within this time; a start that takes longer should say why.
const PROGRESS_MS = 5_000;

/** Logs every five seconds which of `plugins` are not ready yet, until the returned function is called. */
export function logProgress(plugins: readonly HostedPlugin[], { clock, log }: { readonly clock: Clock; readonly log: Log }): () => void {
  const began = clock.now();
  const report = (): void => {
    const late = plugins.map(({ status }) => status).filter(({ state: { type } }) => type === 'starting' || type === 'stopping');
    const names = late.map(({ name, state: { type } }) => `${name} (${type})`).join(', ');
    if (names !== '') log.info(`the start has waited for programs for ${Math.round((clock.now() - began) / 1000)} s: ${names}`);
    cancelTimer = clock.after(PROGRESS_MS, report);
  };
  let cancelTimer = clock.after(PROGRESS_MS, report);
  return () => {
    cancelTimer();
  };
}

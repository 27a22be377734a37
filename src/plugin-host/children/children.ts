/**
 * The modules that run in processes of their own: as they are found, come, change and go. Each is a program whose command is our runner.
 */
import type { ModuleOptions, FoundModule, ConfigPlace } from '../modules/modules.ts';
import type { HostedOptions, PluginRegistry, PluginProblem, RelayPort } from '../hosted/hosted.ts';
import type { ChildOptions } from './options.ts';
import { learnModules } from '../../loader/loader.mjs';
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log, LogSource } from '../../core/core.ts';
import { cutShortProblem, acceptInputs, cutShortAmong, filesOf, inputsOf, renewInputs } from '../modules/modules.ts';
import { frameRows, placeIn, placeOf, refusal } from '../hosted/hosted.ts';
import type { Explained, Program, ProgramRecord, Programs } from '../programs/programs.ts';
import { readAccount } from './account.ts';
import { childRecord, endInWords } from './child-record.ts';
export { childDefaults, childShape } from './options.ts';
export type { ChildOptions } from './options.ts';

export interface ChildrenParts {
  readonly options: ModuleOptions & HostedOptions & ChildOptions;
  readonly logs: LogSource;
  readonly log: Log;
  readonly clock: Clock;
  readonly cacheDir: string | undefined;
  /** The files and modules that config.ts names as relay plugins. */
  readonly relayPlugins: readonly string[];
  readonly programs: () => Programs;
  /** Where they stand while they are there. */
  readonly registry: PluginRegistry;
}

interface Child {
  readonly plugin: Program;
  found: FoundModule;
  /** What it was made of when it was last tried. */
  attempted: string;
  /** The files that the next process is made of; none if it is to be what the one before was. */
  renewed: readonly string[];
  /** Somebody saved something, and nobody has looked yet. */
  isDue: boolean;
  isLooking: boolean;
  /** The last error with which nothing of it ran. */
  leftOut: string | undefined;
}

// For an answer that is on its way.
const GRACE_MS = 1_000;
// How the step is named at which a process failed before it was ready.
const FAILED = /^plugin\.\w+ failed: /;

export class Children {
  readonly #parts: ChildrenParts;
  readonly #all = new Map<string, Child>();
  #directory: string | undefined;

  constructor(parts: ChildrenParts) {
    this.#parts = parts;
  }

  /** What was left out, and why. */
  get problems(): readonly PluginProblem[] {
    return [...this.#all.values()].flatMap(({ found, leftOut, plugin: { status } }) =>
      leftOut !== undefined && leftOut === status.lastError && status.state.type === 'failed' ? [problemOf(found, leftOut)] : [],
    );
  }

  /** Makes those that are new; nothing runs yet. Rejects with a RelayError PLUGIN_REFUSED if a configuration cannot be read. */
  async prepare(modules: readonly FoundModule[], directory: string | undefined): Promise<void> {
    this.#directory = directory;
    for (const found of modules) await this.#make(found);
  }

  /** Starts all. As for a module in this process: one that does not load is left out, one that refuses its configuration ends the start. */
  async start(port: RelayPort): Promise<void> {
    await Promise.all([...this.#all.values()].map((child) => this.#start(child, port)));
  }

  /**
   * After another look at the directory: what is gone is unloaded, what changed is reloaded, what is new is loaded; that may go on when
   * this has resolved. Never rejects.
   */
  async update(modules: readonly FoundModule[], directory: string | undefined, port: RelayPort): Promise<void> {
    this.#directory = directory;
    const files = new Set(modules.map(({ file }) => file));
    const gone = [...this.#all.values()].filter(({ found }) => !files.has(found.file));
    await Promise.all(gone.map(({ plugin }) => this.#remove(plugin)));
    for (const found of modules) {
      const child = this.#all.get(found.module);
      if (child) {
        child.found = found;
        child.isDue = true;
        void this.#look(child);
      } else await this.#load(found, port);
    }
  }

  async #load(found: FoundModule, port: RelayPort): Promise<void> {
    try {
      const child = await this.#make(found);
      if (child) void this.#start(child, port).catch(() => undefined);
    } catch (error) {
      this.#parts.log.error(`${clean(found.module)}: ${reasonOf(error)}`);
    }
  }

  /** Reloads it if it changed since it was last tried, once for however many saves there were meanwhile. Never rejects. */
  async #look(child: Child): Promise<void> {
    if (child.isLooking) return;
    child.isLooking = true;
    while (child.isDue) {
      child.isDue = false;
      const inputs = await inputsOf(child.found, this.#place);
      // Somebody stopped it by hand: a save does not start it.
      if (inputs === child.attempted || child.plugin.status.state.type === 'stopped') continue;
      child.attempted = inputs;
      await child.plugin.reload().then(
        async () => {
          acceptInputs(await filesOf(child.found, this.#place));
        },
        () => {
          this.#noteFailure(child);
        },
      );
    }
    child.isLooking = false;
  }

  async #make(found: FoundModule): Promise<Child | undefined> {
    const { options, programs, registry, log } = this.#parts;
    if (registry.has(found.module)) {
      log.error(`${clean(found.file)}: left out: there is another plugin named ${found.module}; rename one`);
      return undefined;
    }
    const attempted = await inputsOf(found, this.#place);
    const plugin = programs().add(await this.#record(found), {
      kind: 'child',
      // It keeps the limit itself, and says what it was that took so long.
      setupTimeoutMs: options.setupTimeoutMs + GRACE_MS,
      file: found.file,
      endInWords: (reason) => endInWords(reason, options.maxMemoryMb),
      renew: async () => {
        await renewInputs(child.found, this.#place);
        child.attempted = await inputsOf(child.found, this.#place);
        child.renewed = await filesOf(child.found, this.#place);
        requireWhole(child);
        return this.#record(child.found);
      },
      onFirstAnswer: (answer) => {
        learnModules(readAccount(answer));
        requireWhole(child);
        child.renewed = [];
      },
      explain: (reason) => explain(reason, child.found),
    });
    const child: Child = { plugin, found, attempted, renewed: [], isDue: false, isLooking: false, leftOut: undefined };
    registry.add(plugin);
    this.#all.set(found.module, child);
    return child;
  }

  #record(found: FoundModule): Promise<ProgramRecord> {
    const { options, logs, clock, cacheDir, relayPlugins } = this.#parts;
    const debug = logs(`plugin.${found.module}`).isDebugEnabled();
    return childRecord(found, { options, directory: this.#directory, clock, cacheDir, relayPlugins, debug });
  }

  async #start(child: Child, port: RelayPort): Promise<void> {
    const { plugin } = child;
    try {
      await plugin.start(port);
    } catch (error) {
      if (plugin.status.state.type !== 'failed') this.#parts.log.warn(`${reasonOf(error)}; the relay runs without it for now`);
      else if (!this.#noteFailure(child)) throw error;
    }
  }

  /** False if it does run, or may, or refuses its configuration: nothing is left out then. */
  #noteFailure(child: Child): boolean {
    const { state, lastError = '' } = child.plugin.status;
    if (state.type !== 'failed' || lastError.startsWith('plugin.setup ')) return false;
    child.leftOut = lastError;
    const problem = problemOf(child.found, lastError);
    this.#parts.log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
    return true;
  }

  async #remove(plugin: Program): Promise<void> {
    await plugin.stop();
    this.#all.delete(plugin.name);
    this.#parts.programs().remove(plugin.name);
    this.#parts.registry.remove(plugin.name);
  }

  get #place(): ConfigPlace {
    return { directory: this.#directory, plugins: this.#parts.options.plugins };
  }
}

function problemOf({ module, file }: FoundModule, told: string): PluginProblem {
  return { module, file, reason: told.replace(FAILED, '') };
}

/** Throws a RelayError PLUGIN_REFUSED if a file that the next process is made of was not whole when it was looked at, or read. */
function requireWhole({ renewed, found }: Child): void {
  const cutShort = cutShortAmong(renewed);
  if (!cutShort) return;
  const problem = cutShortProblem(found, cutShort);
  throw refusal(found.module, `${placeOf(problem)}: ${problem.reason}`);
}

/** What its process told, as it would be told of a module in this process. */
async function explain(told: string, found: FoundModule): Promise<Explained> {
  const text = told.replace(FAILED, '');
  const problem = { file: found.file, ...placeIn(text), reason: text };
  const place = placeOf(problem);
  const reason = text.replace(`${place}: `, '').replace(` (${place})`, '');
  return { place, reason, rows: await frameRows(problem, found) };
}

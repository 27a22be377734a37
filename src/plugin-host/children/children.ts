/** Manages the modules that run in separate processes, from discovery to removal. Each is a program whose command is our runner. */
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log, LogSource } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import { mergeSnapshot } from '../../loader/loader.mjs';
import { isDict } from '../../values/values.ts';
import { serialiseResponse } from '../../xmlrpc/xmlrpc.ts';
import { frameRows, placeIn, placeOf, refusal, reportNotLoaded } from '../hosted/hosted.ts';
import type { HostEvent, HostedOptions, PluginProblem, PluginRegistry, RelayPort } from '../hosted/hosted.ts';
import { acceptInputs, incompleteFile, incompleteFileProblem, filesOf, inputsOf, readConfig, renewInputs } from '../modules/modules.ts';
import type { ConfigSources, FoundModule, ModuleOptions } from '../modules/modules.ts';
import type { Explained, Program, ProgramRecord, Programs } from '../programs/programs.ts';
import { OUT_OF_MEMORY, PIPE_LOST, argumentsOf, readAccount } from './job.ts';
import type { ChildOptions } from './options.ts';

export { childDefaults, childShape } from './options.ts';
export type { ChildOptions } from './options.ts';

export interface ChildrenParts {
  readonly options: ModuleOptions & HostedOptions & ChildOptions;
  readonly logs: LogSource;
  /** The options of the plugin host. */
  readonly log: Log;
  readonly clock: Clock;
  readonly events: EventSink<HostEvent>;
  readonly cacheDir: string | undefined;
  /** The files and modules that config.ts names as relay plugins. */
  readonly relayPlugins: readonly string[];
  readonly programs: () => Programs;
  readonly registry: PluginRegistry;
}

interface Child {
  readonly plugin: Program;
  found: FoundModule;
  /** The inputs of the last attempt to start the process. */
  attempted: string;
  /** The files of the next process. Empty if the next process should run the same version again. */
  nextFiles: readonly string[];
  /** True if the files may have changed since the last check. */
  isUpdateDue: boolean;
  isUpdating: boolean;
  /** The last error that kept the module from running. */
  startError: string | undefined;
}

// Leaves time for a response that is already on its way.
const GRACE_MS = 1_000;
// The step at which a process failed before it was ready.
const FAILED_STEP = /^plugin\.\w+ failed: /;

export class Children {
  readonly #parts: ChildrenParts;
  readonly #all = new Map<string, Child>();
  #directory: string | undefined;

  constructor(parts: ChildrenParts) {
    this.#parts = parts;
  }

  /** The modules that are not loaded, and why. */
  get problems(): readonly PluginProblem[] {
    return [...this.#all.values()].flatMap(({ found, startError, plugin: { status } }) =>
      startError !== undefined && startError === status.lastError && status.state.type === 'failed' ? [problemOf(found, startError)] : [],
    );
  }

  /** Creates plugins for new modules without starting them. Rejects with a RelayError PLUGIN_REFUSED if a configuration cannot be read. */
  async prepare(modules: readonly FoundModule[], directory: string | undefined): Promise<void> {
    this.#directory = directory;
    for (const found of modules) await this.#make(found);
  }

  /**
   * Starts all modules. As in the relay's own process, a module that fails to load is skipped, and a module that rejects its configuration
   * aborts the start.
   */
  async start(port: RelayPort): Promise<void> {
    await Promise.all([...this.#all.values()].map((child) => this.#start(child, port)));
  }

  /**
   * Applies the result of a scan: unloads removed modules, reloads changed ones and loads new ones. Processes may still be starting when
   * this resolves. Never rejects.
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
        child.isUpdateDue = true;
        void this.#reloadIfChanged(child);
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

  /** Reloads the module if it changed since the last attempt, once for all changes made in the meantime. Never rejects. */
  async #reloadIfChanged(child: Child): Promise<void> {
    if (child.isUpdating) return;
    child.isUpdating = true;
    while (child.isUpdateDue) {
      child.isUpdateDue = false;
      const inputs = await inputsOf(child.found, this.#place);
      // Saving a file does not start a module that the operator stopped.
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
    child.isUpdating = false;
  }

  async #make(found: FoundModule): Promise<Child | undefined> {
    const { options, programs, registry, events } = this.#parts;
    if (registry.has(found.module)) {
      reportNotLoaded(events, { file: clean(found.file), reason: `there is another plugin named ${found.module}; rename one` });
      return undefined;
    }
    const attempted = await inputsOf(found, this.#place);
    const plugin = programs().add(await this.#record(found), {
      kind: 'child',
      // The child enforces the limit itself and reports what took so long.
      setupTimeoutMs: options.setupTimeoutMs + GRACE_MS,
      file: found.file,
      explainEnd: (reason) => explainEnd(reason, options.maxMemoryMb),
      renew: async () => {
        await renewInputs(child.found, this.#place);
        child.attempted = await inputsOf(child.found, this.#place);
        child.nextFiles = await filesOf(child.found, this.#place);
        requireCompleteFiles(child);
        return this.#record(child.found);
      },
      onFirstAnswer: (answer) => {
        mergeSnapshot(readAccount(answer));
        requireCompleteFiles(child);
        child.nextFiles = [];
      },
      explain: (reason) => explain(reason, child.found),
    });
    const child: Child = { plugin, found, attempted, nextFiles: [], isUpdateDue: false, isUpdating: false, startError: undefined };
    registry.add(plugin);
    this.#all.set(found.module, child);
    return child;
  }

  /**
   * The program that runs the module. Rejects with a RelayError PLUGIN_REFUSED if its configuration cannot be read or cannot be sent to
   * another process.
   */
  async #record(found: FoundModule): Promise<ProgramRecord> {
    const { options, logs, clock, cacheDir, relayPlugins } = this.#parts;
    const { setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs, maxMemoryMb } = options;
    const { value, source: configSource } = await readConfig(found, this.#place, { clock, timeoutMs: setupTimeoutMs });
    const debug = logs(`plugin.${found.module}`).isDebugEnabled();
    const limits = { setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs, maxMemoryMb };
    return {
      name: found.module,
      exec: process.execPath,
      args: argumentsOf({ found, cacheDir, relayPlugins, configSource, debug, ...limits }),
      config: portable(found.module, value, configSource),
    };
  }

  async #start(child: Child, port: RelayPort): Promise<void> {
    const { plugin } = child;
    try {
      await plugin.start(port);
    } catch (error) {
      if (this.#parts.options.strictStart) throw error;
      if (plugin.status.state.type !== 'failed') this.#parts.log.warn(`${reasonOf(error)}; the relay runs without it for now`);
      else if (!this.#noteFailure(child)) throw error;
    }
  }

  /** False if the module is not skipped: it runs, may run later, or rejects its configuration. */
  #noteFailure(child: Child): boolean {
    const { state, lastError = '' } = child.plugin.status;
    if (state.type !== 'failed' || lastError.startsWith('plugin.setup ')) return false;
    child.startError = lastError;
    const problem = { ...placeIn(lastError), ...problemOf(child.found, lastError) };
    reportNotLoaded(this.#parts.events, problem, frameRows(problem, child.found));
    return true;
  }

  async #remove(plugin: Program): Promise<void> {
    await plugin.stop();
    this.#all.delete(plugin.name);
    this.#parts.programs().remove(plugin.name);
    this.#parts.registry.remove(plugin.name);
  }

  get #place(): ConfigSources {
    return { directory: this.#directory, plugins: this.#parts.options.plugins };
  }
}

function problemOf({ module, file }: FoundModule, reported: string): PluginProblem {
  return { module, file, reason: reported.replace(FAILED_STEP, '') };
}

/** Throws a RelayError PLUGIN_REFUSED if a file of the next process was incomplete when it was checked or read. */
function requireCompleteFiles({ nextFiles, found }: Child): void {
  const incomplete = incompleteFile(nextFiles);
  if (!incomplete) return;
  const problem = incompleteFileProblem(found, incomplete);
  throw refusal(found.module, `${placeOf(problem)}: ${problem.reason}`);
}

/** The error that the process reported, worded like the error of a module in the relay's own process. */
async function explain(reported: string, found: FoundModule): Promise<Explained> {
  const text = reported.replace(FAILED_STEP, '');
  const placed = { module: found.module, file: found.file, ...placeIn(text), reason: text };
  const place = placeOf(placed);
  const problem = { ...placed, reason: text.replace(`${place}: `, '').replace(` (${place})`, '') };
  return { problem, rows: frameRows(problem, found) };
}

/**
 * Describes for people why a child exited: Node aborts when the heap is full, our own check ends a child that uses too much memory outside
 * of the heap, and a child that cannot be called any more ends itself.
 */
function explainEnd(reason: string, maxMemoryMb: number): string {
  if (reason === `it ended with code ${PIPE_LOST}`) return `${reason}: it lost its pipe to the relay`;
  const isMemory = reason === `it ended with code ${OUT_OF_MEMORY}` || reason === 'it was ended by SIGABRT';
  return isMemory ? `${reason}: out of memory (maxMemoryMb: ${maxMemoryMb})` : reason;
}

function portable(module: string, config: unknown, source: string): Readonly<Record<string, unknown>> {
  if (!isDict(config)) throw refusal(module, `the configuration of a plugin in a child must be an object (${source})`);
  try {
    serialiseResponse(config, { nil: true, i8: true });
  } catch (error) {
    const reason = error instanceof Error ? clean(error.message) : 'it cannot be written';
    throw refusal(module, `its configuration cannot be sent to a child (isolation): ${reason} (${source})`, error);
  }
  return config;
}

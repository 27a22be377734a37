/** The module of a plugin that runs in this process, as it lies on the disk by now: what it is made of, and how a version of it is made. */
import { keptBehind, renewChanged, staleBehind } from '../../loader/loader.mjs';
import type { Kept } from '../../loader/loader.mjs';
import { clean } from '../../core/core.ts';
import { cutShortProblem, withoutSatellites } from './cut-short.ts';
import { PluginFailure, staleText, unlessAborted } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { acceptInputs, cutShortAmong, filesOf, inputsOf, renewInputs } from './inputs.ts';
import type { ImportedModule, ImportParts, PickParts } from './load.ts';
import type { ConfigPlace } from './plugin-config.ts';
import type { PluginProblem } from '../hosted/hosted.ts';
import type { VersionParts } from './version.ts';
import { assemble } from './assemble.ts';
import type { AssemblyParts } from './assemble.ts';
import { importModule, pickSatellites } from './load.ts';
import { Version } from './version.ts';

export interface InlineModuleParts extends Omit<PrepareParts, 'report' | 'others' | 'directory'> {
  /** The plugins directory that is in use. */
  readonly directory: () => string | undefined;
  /** What is imported of other plugins. */
  readonly others: () => readonly ImportedModule[];
}

export class InlineModule {
  readonly #parts: InlineModuleParts;
  /** The inputs of the last attempt to import it. */
  #attempted = '';
  /** What was imported last, whether it runs or not. */
  #imported: ImportedModule | undefined;
  /** An import that nobody has used yet, and the inputs that it is of. */
  #preloaded: { readonly inputs: string; readonly imported: Promise<ImportedModule> } | undefined;
  /** What it was made of when it last ran. */
  #files: readonly string[] = [];
  #stale: readonly string[] = [];
  /** How its file was found last. */
  found: FoundModule;

  constructor(found: FoundModule, parts: InlineModuleParts) {
    this.found = found;
    this.#parts = parts;
  }

  get imported(): ImportedModule | undefined {
    return this.#imported;
  }

  /** What of it runs as it was when the relay first imported it though it has changed, as people are told of it. */
  get stale(): readonly string[] {
    return this.#stale;
  }

  /** What the process keeps of versions that no longer run. */
  get kept(): Kept {
    return keptBehind(this.#files);
  }

  /** True if it is another one than when its import was last tried. */
  async isChanged(): Promise<boolean> {
    return (await this.#inputs()) !== this.#attempted;
  }

  /** Imports its current version. Rejects with whatever it throws, or with why it must not be executed. */
  async import(signal?: AbortSignal): Promise<ImportedModule> {
    this.#attempted = await this.#inputs();
    const { module, file, refused } = this.found;
    if (refused !== undefined) throw new PluginFailure({ module, file: clean(file), reason: refused });
    const preloaded = this.#preloaded;
    this.#preloaded = undefined;
    // A module that hangs would be waited for twice.
    if (preloaded?.inputs !== this.#attempted) return this.#import(signal);
    return signal ? unlessAborted(signal, () => preloaded.imported) : preloaded.imported;
  }

  /**
   * Imports its current version, so that others know whose class is whose before any of them is reloaded. Never rejects: the reload does.
   */
  async preload(): Promise<void> {
    if (this.found.refused !== undefined) return;
    const inputs = await this.#inputs();
    const imported = this.#import();
    this.#preloaded = { inputs, imported };
    await imported.catch(() => undefined);
  }

  /** Takes note of what changed on the disk. */
  async lookForChanges(): Promise<void> {
    await renewChanged(this.found.root);
  }

  /** Makes it and all that it imports new, changed or not. */
  async renew(): Promise<void> {
    await renewInputs(this.found, this.#place);
  }

  /** Picks and constructs the satellites; what cannot be constructed is reported and left out. */
  construct(imported: ImportedModule, report: (problem: PluginProblem) => void): Version {
    const { others, directory } = this.#parts;
    return construct(imported, { ...this.#parts, others: others(), directory: directory(), report });
  }

  /**
   * A version that is fit to take the place of `old`, which runs: nothing of it may be left out, and a file without satellites is a save
   * that was cut short.
   */
  async successor(old: Version, signal: AbortSignal): Promise<Version> {
    const imported = await this.#importWhole(signal);
    if (old.satellites.length > 0 && imported.exported.size === 0) throw new PluginFailure(await withoutSatellites(this.found));
    const problems: PluginProblem[] = [];
    const version = this.construct(imported, (problem) => problems.push(problem));
    if (problems[0]) throw new PluginFailure(problems[0]);
    await version.configure(imported, signal);
    return version;
  }

  /** What was imported last runs. */
  async accept(): Promise<void> {
    this.#files = await filesOf(this.found, this.#place);
    acceptInputs(this.#files);
    const stale = (await Promise.all(this.#files.map(staleBehind))).flat();
    this.#stale = [...new Set(stale.map((one) => staleText(this.found, one)))];
  }

  /** It is gone. */
  forget(): void {
    this.#imported = undefined;
  }

  /** As {@link import}, but rejects if a file was not whole. */
  async #importWhole(signal: AbortSignal): Promise<ImportedModule> {
    const importing = await this.import(signal).then(
      (imported) => ({ imported }),
      (error: unknown) => ({ error }),
    );
    const cutShort = cutShortAmong(await filesOf(this.found, this.#place));
    if (cutShort) throw new PluginFailure(cutShortProblem(this.found, cutShort));
    if ('error' in importing) throw importing.error;
    return importing.imported;
  }

  async #import(signal?: AbortSignal): Promise<ImportedModule> {
    return (this.#imported = await importFound(this.found, this.#parts, signal));
  }

  get #place(): ConfigPlace {
    return { directory: this.#parts.directory(), plugins: this.#parts.options.plugins };
  }

  #inputs(): Promise<string> {
    return inputsOf(this.found, this.#place);
  }
}

export interface PrepareParts extends Omit<AssemblyParts, 'options'>, VersionParts, PickParts, Pick<ImportParts, 'relayPlugins'> {}

/** Imports the current version of it. Rejects with whatever it throws. */
export function importFound(
  found: FoundModule,
  { clock, options, relayPlugins }: Pick<PrepareParts, 'clock' | 'options' | 'relayPlugins'>,
  signal?: AbortSignal,
): Promise<ImportedModule> {
  return importModule(found, { clock, timeoutMs: options.setupTimeoutMs, relayPlugins, signal });
}

/** Picks and constructs the satellites of an imported module; what cannot be constructed is reported and left out. */
export function construct(imported: ImportedModule, parts: PrepareParts): Version {
  const module = pickSatellites(imported, parts);
  return new Version(assemble(module, parts), parts);
}

/** The plugins of a host by their names, and the lines that messages are put into. */
import type { HostedPlugin, SatelliteLine } from './hosted-plugin.ts';
import { compare } from './names.ts';
import { RelayError, clean, suggest } from '../../core/core.ts';

export class PluginRegistry {
  readonly #plugins = new Map<string, HostedPlugin>();
  #lines: readonly SatelliteLine[] = [];

  /** In the order in which they came: modules in order of their names, then programs. */
  get all(): readonly HostedPlugin[] {
    return [...this.#plugins.values()];
  }

  /** Of the satellites of all plugins. */
  get lines(): readonly SatelliteLine[] {
    return this.#lines;
  }

  has(name: string): boolean {
    return this.#plugins.has(name);
  }

  /** Throws a RelayError INVALID_PARAMS if there is none of this name. */
  find(name: string): HostedPlugin {
    const plugin = this.#plugins.get(name);
    if (plugin) return plugin;
    const known = [...this.#plugins.keys()].sort(compare);
    throw noSuchPlugin(name, known);
  }

  /** Takes a new plugin; false if there is another of its name. */
  add(plugin: HostedPlugin): boolean {
    if (this.has(plugin.name)) return false;
    this.#plugins.set(plugin.name, plugin);
    this.takeLines();
    return true;
  }

  /** The plugin of this name has ended for good. */
  remove(name: string): void {
    this.#plugins.delete(name);
    this.takeLines();
  }

  /** To be called when a plugin has other satellites than before. */
  takeLines(): void {
    this.#lines = this.all.flatMap(({ receivers }) => receivers);
  }
}

/** A RelayError INVALID_PARAMS that says so, with the name among `known` that may be meant. */
export function noSuchPlugin(name: string, known: readonly string[]): RelayError {
  return new RelayError('INVALID_PARAMS', `there is no plugin '${clean(name, 60)}'${suggest(name, known)}`);
}

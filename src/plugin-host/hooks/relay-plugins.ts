/**
 * Loads the relay plugin classes named in config.ts and provides their hooks and carriers to the relay. If one fails to load, the relay
 * does not start, because the plugin may be a filter.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DependencyContainer } from 'tsyringe';
import { clean, reasonOf, RelayError, withTimeout } from '../../core/core.ts';
import type { Clock, Log, LogSource } from '../../core/core.ts';
import { registerLoader } from '../../loader/loader.mjs';
import { relayPluginOptionsOf } from '../../plugin/internal.ts';
import type { AnyClass, RelayHooks, RelayPluginOptions as DecoratorOptions } from '../../plugin/internal.ts';
import type { Carrier } from '../../plugin/plugin.ts';
import { compare, placeOf, problemAt, reasonText, whereThrown } from '../hosted/hosted.ts';
import type { HostedOptions } from '../hosted/hosted.ts';
import { checkConfig, Injector, relayPluginClasses } from '../modules/modules.ts';
import type { ModuleOptions } from '../modules/modules.ts';
import { findRelayPlugins } from './find-relay-plugins.ts';
import type { NamedRelayPlugin } from './find-relay-plugins.ts';
import { Hook } from './hook.ts';
import type { HookCounters } from './hook.ts';
import type { RelayPluginOptions } from './options.ts';

export interface RelayPluginsParts {
  readonly options: ModuleOptions & HostedOptions & RelayPluginOptions;
  /** The same as for the plugin host. */
  readonly directoryRequired: boolean;
  readonly container: DependencyContainer;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** The directory where compiled plugins are cached. Undefined disables the cache. */
  readonly cacheDir: string | undefined;
  /** The size limit of a dict that a hook returns, in bytes of XML. */
  readonly maxDictBytes: number;
}

/** The hooks of all relay plugins, in order. */
export interface Hooks {
  readonly onAccept: readonly Hook[];
  readonly onForward: readonly Hook[];
}

/** One relay plugin and the outcomes of its hooks since the start. */
export interface RelayPluginStatus extends Readonly<HookCounters> {
  /** `key.KeyFilter`; a second plugin of that name is `key.KeyFilter#2`. */
  readonly name: string;
  readonly order: number;
  /** The scheme of the URLs that the plugin connects to, if it is a transport. */
  readonly carries: string | undefined;
}

interface Loaded {
  readonly name: string;
  readonly named: NamedRelayPlugin;
  readonly target: AnyClass;
  readonly order: number;
  readonly options: DecoratorOptions;
  readonly instance: RelayHooks<unknown>;
  readonly counters: HookCounters;
}

export class RelayPlugins {
  readonly #parts: RelayPluginsParts;
  readonly #log: Log;
  // Sorted by `order`, then by name.
  #loaded: readonly Loaded[] = [];
  #setUp: Loaded[] = [];
  #hooks: Hooks | undefined;

  constructor(parts: RelayPluginsParts) {
    this.#parts = parts;
    this.#log = parts.logs('relay-plugins');
  }

  /**
   * Loads, constructs and sets up all plugins in order. Rejects with a RelayError CONFIG_INVALID or PLUGIN_REFUSED after exiting the
   * plugins that were already set up.
   */
  async start(): Promise<void> {
    const { options, directoryRequired, cacheDir } = this.#parts;
    if (options.relayPlugins.length === 0) return;
    registerLoader({ cacheDir });
    const loaded: Loaded[] = [];
    for (const named of await findRelayPlugins({ ...options, directoryRequired })) loaded.push(...(await this.#load(named, loaded)));
    loaded.sort((a, b) => a.order - b.order || compare(a.name, b.name));
    requireOneCarrierEach(loaded);
    try {
      for (const one of loaded) await this.#setup(one);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#loaded = loaded;
    const hooks = { onAccept: this.#hooksOf('onAccept'), onForward: this.#hooksOf('onForward') };
    if (hooks.onAccept.length + hooks.onForward.length > 0) this.#hooks = hooks;
    this.#log.info(`relay plugins, in order: ${loaded.map(({ name }) => name).join(', ')}`);
  }

  /** Exits the plugins in reverse order, each with a timeout. Never rejects. */
  async stop(): Promise<void> {
    const { clock, options } = this.#parts;
    const { exitTimeoutMs: ms } = options;
    for (const { name, instance } of this.#setUp.splice(0).reverse()) {
      try {
        await withTimeout(clock, ms, `exit() took longer than ${ms} ms`, () => instance.exit?.());
      } catch (error) {
        this.#log.error(`${name}: exit failed: ${clean(reasonOf(error), 500)}`);
      }
    }
  }

  /** The hooks of all plugins. Undefined if there are none or the start has not finished. Read once per dict. */
  get hooks(): Hooks | undefined {
    return this.#hooks;
  }

  /** Throws a RelayError CONFIG_INVALID if no relay plugin supports the scheme of `url`. */
  requireCarrier(url: URL): void {
    if (this.#pluginFor(url)) return;
    const scheme = clean(url.protocol.slice(0, -1), 40);
    throw new RelayError(
      'CONFIG_INVALID',
      `peers: nothing carries ${scheme}: URLs; name a relay plugin in relayPlugins that carries '${scheme}'`,
      { data: { option: 'peers' } },
    );
  }

  /** Creates a carrier for one connection to `url`, whose scheme must be supported. Throws whatever the plugin throws. */
  carrier(url: URL): Carrier {
    const made = this.#pluginFor(url)?.instance.createCarrier?.();
    if (made !== undefined) return made;
    throw new RelayError('TRANSPORT', 'createCarrier() answered no carrier');
  }

  /** The plugins in the order in which their hooks run. */
  status(): readonly RelayPluginStatus[] {
    return this.#loaded.map(({ name, order, options, counters }) => ({ name, order, carries: options.carries, ...counters }));
  }

  #pluginFor({ protocol }: URL): Loaded | undefined {
    return this.#loaded.find(({ options: { carries } }) => carries !== undefined && protocol === `${carries}:`);
  }

  #hooksOf(kind: keyof Hooks): Hook[] {
    const { options, clock, maxDictBytes } = this.#parts;
    return this.#loaded.flatMap(({ name, named, instance, counters }) => {
      const method = instance[kind]?.bind(instance);
      const common = { name, directory: named.root, counters, clock, log: this.#log, timeoutMs: options.hookTimeoutMs, maxDictBytes };
      return method ? [new Hook({ ...common, method })] : [];
    });
  }

  async #load(named: NamedRelayPlugin, before: readonly Loaded[]): Promise<Loaded[]> {
    const { clock, options, container, logs } = this.#parts;
    const { setupTimeoutMs: ms } = options;
    try {
      const url = pathToFileURL(join(named.root, named.path)).href;
      const namespace = await withTimeout(clock, ms, `loading it took longer than ${ms} ms`, () => import(url) as Promise<object>);
      const targets = relayPluginClasses(namespace);
      if (targets.length === 0) throw new Error('it exports no class decorated with @RelayPlugin');
      const injector = new Injector(container, logs(`plugin.${named.module}`));
      return targets.map((target) => {
        const decorated = relayPluginOptionsOf(target) ?? {};
        const instance = injector.construct(target) as RelayHooks<unknown>;
        checkShape(target.name, decorated, instance);
        const name = numbered(`${named.module}.${target.name || 'default'}`, before);
        const counters = { passed: 0, transformed: 0, refused: 0, late: 0, failed: 0 };
        return { name, named, target, order: decorated.order ?? 0, options: decorated, instance, counters };
      });
    } catch (error) {
      const problem = problemAt(error, named);
      throw refused(placeOf(problem), `it does not load: ${problem.reason}`, error);
    }
  }

  async #setup(loaded: Loaded): Promise<void> {
    const { name, named, target, options, instance } = loaded;
    const { setupTimeoutMs: ms } = this.#parts.options;
    const raw = { value: named.config, source: 'relayPlugins in config.ts' };
    const config = await checkConfig({ name, target, options: { config: options.config } }, raw);
    try {
      await withTimeout(this.#parts.clock, ms, `setup() took longer than ${ms} ms`, () => instance.setup?.(config));
    } catch (error) {
      throw refused(name, `it refuses to start: ${reasonText(error, named.root)}${whereThrown(error, named.root)}`, error);
    }
    this.#setUp.push(loaded);
  }
}

function requireOneCarrierEach(loaded: readonly Loaded[]): void {
  for (const { name, options } of loaded) {
    const other = loaded.find((one) => one.name !== name && one.options.carries === options.carries);
    if (options.carries !== undefined && other) throw refused(name, `${other.name} carries '${options.carries}' too; name one of them`);
  }
}

function numbered(name: string, before: readonly Loaded[]): string {
  const same = before.filter((one) => one.name.split('#', 1)[0] === name).length;
  return same === 0 ? name : `${name}#${same + 1}`;
}

function refused(name: string, reason: string, cause?: unknown): RelayError {
  return new RelayError('PLUGIN_REFUSED', `relay plugin ${clean(name)}: ${reason}`, { cause });
}

const SCHEME = /^[a-z][a-z0-9+.-]{0,30}$/;

/** Throws an Error if the class is invalid. Without this check, a misspelled hook would silently never be called. */
function checkShape(name: string, { order = 0, carries }: DecoratorOptions, instance: RelayHooks<unknown>): void {
  const { onAccept, onForward, createCarrier } = instance as Readonly<Record<string, unknown>>;
  for (const [method, value] of Object.entries({ onAccept, onForward, createCarrier })) {
    if (value !== undefined && typeof value !== 'function') throw new Error(`${name}.${method} is not a method`);
  }
  if ((onAccept ?? onForward ?? createCarrier) === undefined) throw new Error(`${name} has neither onAccept, onForward nor createCarrier`);
  if (!Number.isFinite(order)) throw new Error(`the order of ${name} is not a number`);
  if ((carries === undefined) !== (createCarrier === undefined))
    throw new Error(`${name} needs both @RelayPlugin({ carries: 'scheme' }) and createCarrier(), or neither`);
  if (carries !== undefined && (!SCHEME.test(carries) || /^https?$/.test(carries)))
    throw new Error(`${name} carries '${clean(carries, 40)}': that is not a URL scheme, or it is HTTP, which the relay carries itself`);
}

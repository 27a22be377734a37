/** One version of a module: its satellites, which are constructed, configured, set up and ended together. */
import type { DependencyContainer } from 'tsyringe';
import { RelayError, clean, suggest } from '../../core/core.ts';
import type { Clock, LogSource } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import { docCommentsOf } from '../../loader/loader.mjs';
import { ATTACH } from '../../plugin/internal.ts';
import type { AnyClass, ControllerOptions, DatasourceOptions, DeliveryReport, WorkOptions } from '../../plugin/internal.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import { problemAt, incompatibility } from '../hosted/hosted.ts';
import type { DurableQueues, HostedOptions, HostEvent, Inbox, Offers, PluginProblem, RelayPort, StatedVersion } from '../hosted/hosted.ts';
import { exposedMethods } from './exposed.ts';
import type { ExposedMethod } from './exposed.ts';
import type { FoundModule } from './find.ts';
import { generatorMethods } from './generators.ts';
import type { GeneratorMethod } from './generators.ts';
import { Injector } from './inject.ts';
import type { LoadedModule, SatelliteClass, SatelliteInstance } from './load.ts';
import { checkConfig } from './plugin-config.ts';
import type { RawConfig } from './plugin-config.ts';
import { makeInbox } from './recipient.ts';
import { Satellite } from './satellite.ts';
import type { SetupLimits } from './satellite.ts';
import { endpointMethods } from './service-endpoints.ts';
import type { EndpointMethod } from './service-endpoints.ts';
import type { Watchdog } from './watchdog.ts';

export interface VersionParts {
  readonly options: HostedOptions;
  /** The version of the relay. */
  readonly relayVersion: string;
  readonly container: DependencyContainer;
  readonly logs: LogSource;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  readonly events: EventSink<HostEvent>;
  /** The queues of durable satellites. Default: no satellite is durable, as in a child, where the relay has the inbox. */
  readonly durable?: DurableQueues | undefined;
  /** Called for each inbox that has become ready. */
  readonly wake: (inbox: Inbox) => void;
}

/** A satellite with its class and its instance. */
export interface ConstructedSatellite {
  readonly module: LoadedModule;
  readonly declared: SatelliteClass;
  readonly instance: SatelliteInstance;
  /** The methods that it exposes while it is running. */
  readonly methods: readonly Documented<ExposedMethod>[];
  /** The work that it offers while it is running. */
  readonly work: readonly Documented<GeneratorMethod<WorkOptions>>[];
  /** What it records and what it can be commanded to do while it is running. */
  readonly datasources: readonly Documented<GeneratorMethod<DatasourceOptions>>[];
  readonly controllers: readonly Documented<GeneratorMethod<ControllerOptions>>[];
  /** The watchers and reactors that it offers while it is running. */
  readonly endpoints: readonly Documented<EndpointMethod>[];
  readonly satellite: Satellite;
  /** Undefined for a satellite without a `receive` of its own. */
  readonly inbox: Inbox | undefined;
}

/** A method with its doc comment. */
export type Documented<Method> = Method & { readonly help: string };

interface Declared extends SatelliteClass {
  readonly methods: readonly ExposedMethod[];
  readonly work: readonly GeneratorMethod<WorkOptions>[];
  readonly datasources: readonly GeneratorMethod<DatasourceOptions>[];
  readonly controllers: readonly GeneratorMethod<ControllerOptions>[];
  readonly endpoints: readonly EndpointMethod[];
}

export class Version {
  readonly #limits: Pick<HostedOptions, 'setupTimeoutMs' | 'exitTimeoutMs'>;
  readonly satellites: readonly ConstructedSatellite[];
  readonly inboxes: readonly Inbox[];
  #configs: readonly unknown[] = [];

  /** Why it does nothing; undefined if it may do something. */
  readonly emptyReason: string | undefined;

  /** Constructs the satellites of a module, in order. Calls `report` for each that cannot be constructed. */
  constructor(module: LoadedModule, parts: VersionParts, report: (problem: PluginProblem) => void) {
    this.#limits = parts.options;
    this.satellites = construct(module, parts, report);
    const idle = this.satellites.map(idleReason);
    for (const reason of idle) if (reason !== undefined) parts.logs('plugin-host').warn(`${clean(module.file)}: ${reason}`);
    this.emptyReason =
      module.emptyReason ?? (this.satellites.length > 0 && idle.every((reason) => reason !== undefined) ? idle[0] : undefined);
    this.inboxes = this.satellites.flatMap(({ inbox }) => inbox ?? []);
  }

  /** The version that its satellites declare: that of the first one that declares any. */
  get stated(): StatedVersion {
    const all = this.satellites.map(({ declared, module }) => statedBy(declared, module));
    return {
      version: all.find(({ version }) => version !== undefined)?.version,
      requires: all.find(({ requires }) => requires !== undefined)?.requires,
    };
  }

  get methods(): readonly HostedMethod[] {
    return this.satellites.flatMap(({ satellite }) => satellite.methods);
  }

  /** What its satellites offer besides methods. */
  get offers(): Offers {
    const all = this.satellites.map(({ satellite }) => satellite.offers);
    return {
      work: all.flatMap(({ work }) => work),
      datasources: all.flatMap(({ datasources }) => datasources),
      controllers: all.flatMap(({ controllers }) => controllers),
      endpoints: all.flatMap(({ endpoints }) => endpoints),
    };
  }

  /** Checks the configuration of its satellites, and keeps it for their `setup`. Rejects with a RelayError PLUGIN_REFUSED. */
  async configure(raw: RawConfig): Promise<void> {
    const configs: unknown[] = [];
    for (const { declared } of this.satellites) configs.push(await checkConfig(declared, raw));
    this.#configs = configs;
  }

  /** Lets its satellites send and call. */
  attach(port: RelayPort): void {
    for (const { satellite } of this.satellites) satellite.attach(port);
  }

  /** Reports to the satellite of this name what became of a message. Rejects as its `reportDelivery` does; other names do nothing. */
  async reportDelivery(name: string, report: DeliveryReport): Promise<void> {
    await this.satellites.find(({ declared }) => declared.name === name)?.satellite.reportDelivery(report);
  }

  /**
   * Sets up its satellites, in order. `states` has the states of the satellites of the previous version, by name; `onRunning` is called
   * after each setup. Rejects with a RelayError PLUGIN_REFUSED; then the caller must exit the satellites that are running.
   */
  async setUp({ signal, states, onRunning }: SetUpParts = {}): Promise<void> {
    const limits: SetupLimits = { timeoutMs: this.#limits.setupTimeoutMs, signal };
    for (const [index, { satellite }] of this.satellites.entries()) {
      await satellite.setup(this.#configs[index], limits, states?.get(satellite.name));
      onRunning?.();
    }
  }

  /** True if one of its satellites passes state to the next version. */
  get handsOver(): boolean {
    return this.satellites.some(({ instance }) => typeof instance.handover === 'function');
  }

  /** The state that each satellite passes to the next version, by name. Rejects with a RelayError PLUGIN_REFUSED. */
  async handOver(signal?: AbortSignal): Promise<ReadonlyMap<string, unknown>> {
    const limits: SetupLimits = { timeoutMs: this.#limits.exitTimeoutMs, signal };
    const states = new Map<string, unknown>();
    for (const { satellite } of this.satellites) states.set(satellite.name, await satellite.handover(limits));
    return states;
  }

  /** Keeps messages for another version. Resolves when no `receive` is running. */
  async pause(): Promise<void> {
    await Promise.all(this.inboxes.map((inbox) => inbox.pause()));
  }

  /** Resumes delivery after {@link pause}. */
  resume(): void {
    for (const inbox of this.inboxes) inbox.resume();
  }

  /** Takes over the messages that wait in the inboxes of the same names of `old`, which is paused. */
  succeed(old: Version): void {
    for (const inbox of this.inboxes) {
      const before = old.inboxes.find(({ name }) => name === inbox.name);
      if (before) inbox.succeed(before);
    }
  }

  /** Waits for the calls in progress, at most `timeoutMs`. Default: the time limit of an exit. */
  async finishCalls(timeoutMs = this.#limits.exitTimeoutMs): Promise<void> {
    await Promise.all(this.satellites.map(({ satellite }) => satellite.finishCalls(timeoutMs)));
  }

  /** Exits its satellites in reverse order, each within its time limit. Never rejects. */
  async exit(): Promise<void> {
    for (const { satellite } of [...this.satellites].reverse()) await satellite.exit(this.#limits.exitTimeoutMs);
  }
}

interface SetUpParts {
  readonly signal?: AbortSignal | undefined;
  readonly states?: ReadonlyMap<string, unknown> | undefined;
  readonly onRunning?: (() => void) | undefined;
}

function construct(module: LoadedModule, parts: VersionParts, report: (problem: PluginProblem) => void): ConstructedSatellite[] {
  const reject = ({ name }: SatelliteClass, error: unknown): void => {
    const problem = problemAt(error, module);
    report({ ...problem, module: module.module, reason: `${clean(name)}: ${problem.reason}` });
  };
  const injector = new Injector(parts.container, parts.logs(`plugin.${module.module}`));
  return validClasses(module, parts.relayVersion, reject).flatMap((declared) => {
    try {
      return constructOne(module, declared, injector.construct(declared.target), parts);
    } catch (error) {
      reject(declared, error);
      return [];
    }
  });
}

/** The classes of a module that work with this relay, and whose exposed methods are valid and have different names. */
function validClasses(module: LoadedModule, relayVersion: string, reject: (satellite: SatelliteClass, error: unknown) => void): Declared[] {
  const valid = module.satellites.flatMap((satellite): Declared[] => {
    try {
      const reason = incompatibility(statedBy(satellite, module), relayVersion);
      if (reason !== undefined) throw new Error(reason);
      const { target } = satellite;
      return [
        {
          ...satellite,
          methods: exposedMethods(target, module.module),
          work: generatorMethods('Work', target, module.module),
          datasources: generatorMethods('Datasource', target, module.module),
          controllers: generatorMethods('Controller', target, module.module),
          endpoints: endpointMethods(target, module.module),
        },
      ];
    } catch (error) {
      reject(satellite, error);
      return [];
    }
  });
  const claims = new Map<string, string[]>();
  for (const { name, methods } of valid) for (const { name: method } of methods) claims.set(method, [...(claims.get(method) ?? []), name]);
  return valid.filter((satellite) => {
    const contested = satellite.methods.map(({ name }) => name).find((method) => (claims.get(method)?.length ?? 0) > 1);
    if (contested === undefined) return true;
    reject(satellite, new Error(`${claims.get(contested)?.join(' and ') ?? ''} both expose ${contested}; rename one`));
    return false;
  });
}

/** In place of a version, while there is none. */
export const NO_VERSION: Pick<Version, 'reportDelivery'> = {
  reportDelivery: (name) => Promise.reject(new RelayError('UNAVAILABLE', `${name} is not running`)),
};

/** The version that a class declares, or else that of its package. */
function statedBy({ options: { version, requires } }: SatelliteClass, { stated = {} }: FoundModule): StatedVersion {
  return { version: version ?? stated.version, requires: requires ?? stated.requires };
}

function constructOne(module: LoadedModule, declared: Declared, instance: SatelliteInstance, parts: VersionParts): ConstructedSatellite {
  const { name, target } = declared;
  const { clock, options, watchdog, events, wake } = parts;
  const log = parts.logs(`plugin.${module.module}`);
  const common = { name, directory: module.root, clock, log, watchdog, watched: watchdog.of(module.module) };
  const inbox = hasOwnMethod(instance, target, 'receive')
    ? makeInbox({
        ...{ ...common, plugin: module.module, events, target: instance, wake, timeoutMs: options.receiveTimeoutMs },
        ...{ asked: declared.options.inbox, allowed: options.inbox },
        durable: declared.options.durable === true ? parts.durable?.queue(name) : undefined,
      })
    : undefined;
  const docs = docCommentsOf(module.url)[target.name] ?? {};
  const withHelp = <Method extends { readonly method: string }>(method: Method): Documented<Method> => ({
    ...method,
    help: cleanLines(docs[method.method] ?? ''),
  });
  const offered = {
    methods: declared.methods.map(withHelp),
    work: declared.work.map(withHelp),
    datasources: declared.datasources.map(withHelp),
    controllers: declared.controllers.map(withHelp),
    endpoints: declared.endpoints.map(withHelp),
  };
  const own = { module: module.module, file: module.file, instance, inbox, events };
  const satellite = new Satellite({ ...common, ...offered, ...own, reportTimeoutMs: options.receiveTimeoutMs });
  return { module, declared, instance, ...offered, satellite, inbox };
}

/** Why a satellite does nothing, though it was constructed; undefined if it may do something. */
function idleReason({ declared, instance, inbox, ...offered }: ConstructedSatellite): string | undefined {
  const { methods, work, datasources, controllers, endpoints } = offered;
  if (inbox || [methods, work, datasources, controllers, endpoints].some(({ length }) => length > 0)) return undefined;
  const { prototype } = declared.target;
  const own = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor');
  const misspelt = own.map((name) => ({ name, hint: suggest(name, ['receive']) })).find(({ hint }) => hint.includes('did you mean'));
  const lacks = `${clean(declared.name)} has neither receive() nor a method decorated with @Exposed, @Work, @Datasource, @Controller, @Watcher or @Reactor`;
  if (misspelt) return `${lacks}; did you mean receive() by ${clean(misspelt.name, 60)}()?`;
  // A sensor may start in its setup, or in its constructor, and only send.
  const isActive = own.includes('setup') || typeof instance[ATTACH] !== 'function' || Object.keys(instance).length > 0;
  return isActive ? undefined : `${lacks}, and no setup() in which it could begin to send, so it does nothing`;
}

/**
 * True if it has such a method of its own. Those of the base class, which is recognized by the mark beside them, do nothing, so messages
 * are not queued for it.
 */
export function hasOwnMethod<Name extends 'receive' | 'onDelivery'>(
  instance: SatelliteInstance,
  target: AnyClass,
  name: Name,
): instance is SatelliteInstance & Required<Pick<SatelliteInstance, Name>> {
  if (typeof instance[name] !== 'function') return false;
  let holder: unknown = instance;
  while (typeof holder === 'object' && holder !== null && !Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder);
  return holder === target.prototype || !Object.hasOwn(holder as object, ATTACH);
}

/** Help without control characters, except line breaks. */
function cleanLines(help: string): string {
  const lines = help.split('\n').map((line) => clean(line.replaceAll('\t', ' '), Infinity));
  return lines.join('\n');
}

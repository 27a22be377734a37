/** From loaded classes to constructed satellites; what cannot be constructed is reported and left out. */
import type { HostedOptions, PluginProblem, SatelliteEvent, StatedVersion } from '../hosted/hosted.ts';
import type { DependencyContainer } from 'tsyringe';
import { docCommentsOf } from '../../loader/loader.mjs';
import { clean } from '../../core/core.ts';
import type { Clock, LogSource } from '../../core/core.ts';
import { ATTACH } from '../../plugin/for-host.ts';
import type { AnyClass } from '../../plugin/for-host.ts';
import { exposedMethods } from './exposed.ts';
import type { ExposedMethod } from './exposed.ts';
import { makeInbox } from './inbox.ts';
import type { FoundModule } from './find.ts';
import { Injector } from './inject.ts';
import type { LoadedModule, SatelliteClass, SatelliteInstance } from './load.ts';
import { problemAt, whyUnfit } from '../hosted/hosted.ts';
import { Receiver } from './receiver.ts';
import { Satellite } from './satellite.ts';
import type { Watchdog } from './watchdog.ts';

export interface AssemblyParts {
  readonly options: Pick<HostedOptions, 'inbox' | 'receiveTimeoutMs'>;
  /** Version of the relay. */
  readonly relayVersion: string;
  readonly container: DependencyContainer;
  readonly logs: LogSource;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  readonly report: (problem: PluginProblem) => void;
  readonly onReady: (receiver: Receiver) => void;
  readonly onEvent: (event: SatelliteEvent) => void;
}

/** A method with its doc comment. */
export type DocumentedMethod = ExposedMethod & { readonly help: string };

/** A satellite, its class, its instance and its line. */
export interface Assembled {
  readonly module: LoadedModule;
  readonly declared: SatelliteClass;
  readonly instance: SatelliteInstance;
  /** Callable once it runs. */
  readonly methods: readonly DocumentedMethod[];
  readonly satellite: Satellite;
  /** Undefined for one that has no `receive` of its own. */
  readonly receiver: Receiver | undefined;
}

interface Declared extends SatelliteClass {
  readonly methods: readonly ExposedMethod[];
}

/** Constructs the satellites of a module, in order. */
export function assemble(module: LoadedModule, parts: AssemblyParts): readonly Assembled[] {
  const injector = new Injector(parts.container, parts.logs(`plugin.${module.module}`));
  return declaredIn(module, parts).flatMap((declared) => {
    try {
      const instance = injector.construct(declared.target);
      return make(module, declared, instance, parts);
    } catch (error) {
      report(module, declared, error, parts);
      return [];
    }
  });
}

/** The classes of a module that fit this relay, and whose `@Exposed` methods make sense and have names of their own. */
function declaredIn(module: LoadedModule, parts: AssemblyParts): Declared[] {
  const sensible = module.satellites.flatMap((satellite): Declared[] => {
    try {
      const unfit = whyUnfit(statedBy(satellite, module), parts.relayVersion);
      if (unfit !== undefined) throw new Error(unfit);
      return [{ ...satellite, methods: exposedMethods(satellite.target, module.module) }];
    } catch (error) {
      report(module, satellite, error, parts);
      return [];
    }
  });
  const claims = new Map<string, string[]>();
  for (const { name, methods } of sensible)
    for (const { name: method } of methods) claims.set(method, [...(claims.get(method) ?? []), name]);
  return sensible.filter((satellite) => {
    const contested = satellite.methods.map(({ name }) => name).find((method) => (claims.get(method)?.length ?? 0) > 1);
    if (contested === undefined) return true;
    const reason = `${claims.get(contested)?.join(' and ') ?? ''} both expose ${contested}; rename one`;
    report(module, satellite, new Error(reason), parts);
    return false;
  });
}

/** What the satellites of a module say of its version: the first one that says so. */
export function statedOf(satellites: readonly Assembled[]): StatedVersion {
  const all = satellites.map(({ declared, module }) => statedBy(declared, module));
  return {
    version: all.find(({ version }) => version !== undefined)?.version,
    requires: all.find(({ requires }) => requires !== undefined)?.requires,
  };
}

/** What a class of a module says of its version; where it says nothing, its package does. */
function statedBy({ options: { version, requires } }: SatelliteClass, { stated = {} }: FoundModule): StatedVersion {
  return { version: version ?? stated.version, requires: requires ?? stated.requires };
}

function report(loaded: LoadedModule, { name }: SatelliteClass, error: unknown, parts: AssemblyParts): void {
  const problem = problemAt(error, loaded);
  parts.report({ ...problem, module: loaded.module, reason: `${clean(name)}: ${problem.reason}` });
}

function make(module: LoadedModule, declared: Declared, instance: SatelliteInstance, parts: AssemblyParts): Assembled {
  const { name, target } = declared;
  const { clock, options, watchdog, onEvent, onReady } = parts;
  const log = parts.logs(`plugin.${module.module}`);
  const common = { name, directory: module.root, clock, log, watchdog, watched: watchdog.of(module.module) };
  const receiver = receives(instance, target)
    ? new Receiver({
        ...{ ...common, target: instance, onReady, timeoutMs: options.receiveTimeoutMs },
        inbox: makeInbox({ ...common, asked: declared.options.inbox, allowed: options.inbox }),
      })
    : undefined;
  const docs = docCommentsOf(module.url)[target.name] ?? {};
  const methods = declared.methods.map((method) => ({ ...method, help: shown(docs[method.method] ?? '') }));
  const satellite = new Satellite({ ...common, module: module.module, file: module.file, instance, receiver, methods, onEvent });
  return { module, declared, instance, methods, satellite, receiver };
}

/** True if it has a `receive` of its own. The base class's, known by the mark beside it, does nothing, so nothing is queued for it. */
function receives(
  instance: SatelliteInstance,
  target: AnyClass,
): instance is SatelliteInstance & Required<Pick<SatelliteInstance, 'receive'>> {
  if (typeof instance.receive !== 'function') return false;
  let holder: unknown = instance;
  while (typeof holder === 'object' && holder !== null && !Object.hasOwn(holder, 'receive')) holder = Object.getPrototypeOf(holder);
  return holder === target.prototype || !Object.hasOwn(holder as object, ATTACH);
}

/** Help as a page or a terminal may show it: lines of text alone. */
function shown(help: string): string {
  const lines = help.split('\n').map((line) => clean(line.replaceAll('\t', ' '), Infinity));
  return lines.join('\n');
}

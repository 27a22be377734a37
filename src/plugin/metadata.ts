/** What the decorators record on a class, and how the plugin host reads it, even if another copy of this package recorded it. */
import type { AccessClass } from '../core/core.ts';
import type { Dict } from '../values/values.ts';
import type { ControllerOptions, DatasourceOptions } from './recording.ts';
import type { RelayPluginOptions } from './relay-plugin.ts';
import type { StandardSchema } from './schema.ts';
import type { EndpointOptions } from './service.ts';
import type { WorkOptions } from './work.ts';

/** The names for `params` and `returns` of `@Exposed`. */
export const XML_RPC_TYPES = 'int i4 i8 boolean string double dateTime.iso8601 base64 array struct nil any'.split(
  ' ',
) as readonly XmlRpcType[];

/** A type of a parameter or an answer. `any` is not checked. */
export type XmlRpcType =
  'int' | 'i4' | 'i8' | 'boolean' | 'string' | 'double' | 'dateTime.iso8601' | 'base64' | 'array' | 'struct' | 'nil' | 'any';

/** Options of `@Satellite`. */
export interface SatelliteOptions {
  /** The schema of the configuration (zod 4, or any Standard Schema). `setup` gets its output. Default: unchecked. */
  readonly config?: StandardSchema | undefined;
  /**
   * Where the module runs: `inline`, in the process of the relay, or `child`, in a process of its own, where it may block, leak and crash
   * without harming others. Must be a literal, since it is read without running the module. The `isolation` option of the operator wins.
   * Default `inline`.
   */
  readonly isolation?: 'inline' | 'child' | undefined;
  /** The version of the plugin, such as `1.2.0`. Default: that of the package.json of its folder or npm package, or none. */
  readonly version?: string | undefined;
  /**
   * The versions of the relay that it works with, as an npm range: `^0.1.0`. Other relays do not load it. Default: `co2.requires` of that
   * package.json, or any.
   */
  readonly requires?: string | undefined;
  /**
   * The queue of messages that arrive faster than `receive` processes them. Default: the `inbox` option of the operator; the oldest are
   * dropped.
   */
  readonly inbox?: SatelliteInbox | undefined;
  /**
   * True: each message is stored before its sender gets an acknowledgement, and delivered at least once, also after the plugin or the relay
   * was stopped or crashed. `context.redelivered` tells that a message may have been received before. Its queue is on the disk, so that
   * `inbox` does not apply. Default false.
   */
  readonly durable?: boolean | undefined;
}

/** The inbox that a class requests. */
export interface SatelliteInbox {
  /**
   * What happens to queued messages. `drop-oldest`, the default: when the inbox is full, the oldest are dropped. `merge`: of messages with
   * the same `key` only the newest is queued, in the position of the oldest. Use it for states of which only the last counts, such as a
   * temperature or a position. When the inbox is full, the oldest are dropped as well.
   */
  readonly overflow?: 'drop-oldest' | 'merge' | undefined;
  /**
   * For `merge`: identifies the thing whose state the dict is. If it returns undefined, the dict is not merged. Called for each message on
   * arrival, so it must be fast and free of side effects.
   */
  readonly key?: ((dict: Dict) => string | undefined) | undefined;
  /** Messages that may be queued, at most the operator's `inbox.maxMessages`, which is the default. */
  readonly maxMessages?: number | undefined;
  /**
   * Bytes of the queued messages, counted as their XML and about 768 bytes each; at most the operator's `inbox.maxBytes`, which is the
   * default.
   */
  readonly maxBytes?: number | undefined;
}

/** Options of `@Exposed`. */
export interface ExposedOptions {
  /** The types of the parameters, in order. Other calls are rejected (-32602). Default: parameters are not checked. */
  readonly params?: readonly XmlRpcType[] | undefined;
  /** The type of the answer. It is checked, and determines how an integer is written. Default: determined by the value. */
  readonly returns?: XmlRpcType | undefined;
  /** A schema of the list of parameters, in place of `params`: `z.tuple([z.int(), z.string()])`. */
  readonly schema?: StandardSchema | undefined;
  /**
   * The access that a caller needs: `call`; `message` for methods that exchange dicts; `admin` for methods that only the operator may call,
   * with a token. `read`, which would open the method to anyone, is the operator's decision (`access.anonymous`). Default `call`.
   */
  readonly access?: Exclude<AccessClass, 'read'> | undefined;
}

/** The decorators of methods, with their options. */
export interface MethodDecorators {
  Exposed: ExposedOptions;
  Work: WorkOptions;
  Datasource: DatasourceOptions;
  Controller: ControllerOptions;
  Watcher: EndpointOptions;
  Reactor: EndpointOptions;
}

/** The options of one decorator by the name of the method that it decorates. */
export type DecoratedMethods<Decorator extends keyof MethodDecorators> = ReadonlyMap<string, MethodDecorators[Decorator]>;

const SATELLITE = Symbol.for('co2-relay.satellite');
const RELAY_PLUGIN = Symbol.for('co2-relay.relay-plugin');
const METHOD_MARKS: Readonly<Record<keyof MethodDecorators, symbol>> = {
  Exposed: Symbol.for('co2-relay.exposed'),
  Work: Symbol.for('co2-relay.work'),
  Datasource: Symbol.for('co2-relay.datasource'),
  Controller: Symbol.for('co2-relay.controller'),
  Watcher: Symbol.for('co2-relay.watcher'),
  Reactor: Symbol.for('co2-relay.reactor'),
};
const INJECTED = Symbol.for('co2-relay.inject');
const INJECTABLE = Symbol.for('co2-relay.injectable');

/** Any class. */
export type AnyClass = abstract new (...args: never[]) => object;

export function markSatellite(target: AnyClass, options: SatelliteOptions): void {
  Object.defineProperty(target, SATELLITE, { value: options, configurable: true });
}

/** The options of a class that is itself decorated with `@Satellite`. Undefined for other classes, including its subclasses. */
export function satelliteOptionsOf(value: unknown): SatelliteOptions | undefined {
  return typeof value === 'function' ? own<SatelliteOptions>(value, SATELLITE) : undefined;
}

export function markRelayPlugin(target: AnyClass, options: RelayPluginOptions): void {
  Object.defineProperty(target, RELAY_PLUGIN, { value: options, configurable: true });
}

/** The options of a class that is itself decorated with `@RelayPlugin`. Undefined for other classes. */
export function relayPluginOptionsOf(value: unknown): RelayPluginOptions | undefined {
  return typeof value === 'function' ? own<RelayPluginOptions>(value, RELAY_PLUGIN) : undefined;
}

/** Records the options of a decorated method on its prototype. */
export function markMethodOf<Decorator extends keyof MethodDecorators>(
  decorator: Decorator,
  prototype: object,
  method: string,
  options: MethodDecorators[Decorator],
): void {
  const mark = METHOD_MARKS[decorator];
  const methods = own<Map<string, MethodDecorators[Decorator]>>(prototype, mark) ?? new Map<string, MethodDecorators[Decorator]>();
  Object.defineProperty(prototype, mark, { value: methods.set(method, options), configurable: true });
}

/** Records the options on the method itself. */
export function markMethod<Decorator extends keyof MethodDecorators>(
  decorator: Decorator,
  method: object,
  options: MethodDecorators[Decorator],
): void {
  Object.defineProperty(method, METHOD_MARKS[decorator], { value: options, configurable: true });
}

/** The methods of `target` itself that have this decorator. Inherited ones are not included. */
export function methodsWith<Decorator extends keyof MethodDecorators>(decorator: Decorator, target: AnyClass): DecoratedMethods<Decorator> {
  const mark = METHOD_MARKS[decorator];
  const prototype = target.prototype as object;
  const methods = new Map(own<DecoratedMethods<Decorator>>(prototype, mark));
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    const options = typeof value === 'function' ? own<MethodDecorators[Decorator]>(value as object, mark) : undefined;
    if (options) methods.set(name, options);
  }
  return methods;
}

export function markInjected(target: object, index: number, token: InjectionToken): void {
  const tokens = own<Map<number, InjectionToken>>(target, INJECTED) ?? new Map<number, InjectionToken>();
  Object.defineProperty(target, INJECTED, { value: tokens.set(index, token), configurable: true });
}

/** The tokens of `@Inject`, by constructor parameter. */
export function injectedTokensOf(target: AnyClass): ReadonlyMap<number, InjectionToken> {
  return own<ReadonlyMap<number, InjectionToken>>(target, INJECTED) ?? new Map<number, InjectionToken>();
}

export function markInjectable(target: AnyClass): void {
  Object.defineProperty(target, INJECTABLE, { value: true, configurable: true });
}

/** True for a class decorated with `@Injectable`. */
export function isInjectable(target: AnyClass): boolean {
  return own<boolean>(target, INJECTABLE) === true;
}

/** The argument of `@Inject`: a class, a symbol or a string. */
export type InjectionToken = AnyClass | symbol | string;

function own<T>(holder: object, mark: symbol): T | undefined {
  return Object.hasOwn(holder, mark) ? ((holder as Record<symbol, unknown>)[mark] as T) : undefined;
}

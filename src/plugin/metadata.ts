/** What the decorators leave on a class, and how the plugin host reads it, also from another loaded copy of this package. */
import type { AccessClass } from '../core/core.ts';
import type { Dict } from '../values/values.ts';
import type { RelayPluginOptions } from './relay-plugin.ts';
import type { StandardSchema } from './schema.ts';

/** The names that `params` and `returns` of `@Exposed` may have; `any` is not checked. */
export type XmlRpcType =
  'int' | 'i4' | 'i8' | 'boolean' | 'string' | 'double' | 'dateTime.iso8601' | 'base64' | 'array' | 'struct' | 'nil' | 'any';

/** Options of `@Satellite`. */
export interface SatelliteOptions {
  /** Schema of the plugin's configuration (zod 4, or any Standard Schema); `setup` gets what it returns. Default: unchecked. */
  readonly config?: StandardSchema | undefined;
  /**
   * Where the module runs: `inline`, in the relay's process, or `child`, in one of its own, where it can block, leak and crash and hurts
   * nobody else. To be written
   * as a literal, since it is read without running the module. The operator's `isolation` wins. Default `inline`.
   */
  readonly isolation?: 'inline' | 'child' | undefined;
  /** Version of the plugin, as npm writes them: `1.2.0`. Default: that of the package.json in its folder or npm package, or none. */
  readonly version?: string | undefined;
  /**
   * Versions of the relay that it works with, as npm writes ranges: `^0.1.0`; another relay leaves it out. Default: `co2.requires` of that
   * package.json, or any.
   */
  readonly requires?: string | undefined;
  /**
   * The line in which messages wait for a `receive` that is slower than they come. Default: as the operator says (`inbox`), the oldest are
   * dropped.
   */
  readonly inbox?: SatelliteInbox | undefined;
}

/** What a class asks of its waiting line. */
export interface SatelliteInbox {
  /**
   * What happens to what waits. `drop-oldest`, the default: at the bound the oldest go. `merge`: of what has the same `key` only the newest
   * waits, in the place
   * of the oldest: for states, of which the last counts (a temperature, a position). At the bound the oldest go there, too.
   */
  readonly overflow?: 'drop-oldest' | 'merge' | undefined;
  /**
   * For `merge`: of which thing the dict is a state; undefined: it is none and is never merged. Called for each message as it comes, so it
   * must be quick and only look.
   */
  readonly key?: ((dict: Dict) => string | undefined) | undefined;
  /** Messages that may wait; the operator's `inbox.maxMessages` is the most there is. Default: that. */
  readonly maxMessages?: number | undefined;
  /**
   * Bytes that what waits may hold, about 768 for each message besides its XML; the operator's `inbox.maxBytes` is the most there is.
   * Default: that.
   */
  readonly maxBytes?: number | undefined;
}

/** Options of `@Exposed`. */
export interface ExposedOptions {
  /** Types of the parameters, in order; a call with others is refused (-32602). Default: parameters come unchecked. */
  readonly params?: readonly XmlRpcType[] | undefined;
  /** Type of the answer: decides what a whole number goes out as, and is checked. Default: by the value. */
  readonly returns?: XmlRpcType | undefined;
  /** Schema of the list of parameters, instead of `params`: `z.tuple([z.int(), z.string()])`. */
  readonly schema?: StandardSchema | undefined;
  /**
   * The right that a caller needs: `call`; `message` for what belongs to the traffic of dicts; `admin` for what only the operator may, with
   * a token.
   * Not `read`, which would open the method to strangers: that is the operator's decision (`access.anonymous`). Default `call`.
   */
  readonly access?: Exclude<AccessClass, 'read'> | undefined;
}

/** Options by method name. */
export type ExposedMethods = ReadonlyMap<string, ExposedOptions>;

const SATELLITE = Symbol.for('co2-relay.satellite');
const RELAY_PLUGIN = Symbol.for('co2-relay.relay-plugin');
const EXPOSED = Symbol.for('co2-relay.exposed');
const INJECTED = Symbol.for('co2-relay.inject');
const INJECTABLE = Symbol.for('co2-relay.injectable');

/** Any class. */
export type AnyClass = abstract new (...args: never[]) => object;

export function markSatellite(target: AnyClass, options: SatelliteOptions): void {
  Object.defineProperty(target, SATELLITE, { value: options, configurable: true });
}

/** Options of a class decorated with `@Satellite` itself (not of one that inherits from such a class), else undefined. */
export function satelliteOptionsOf(value: unknown): SatelliteOptions | undefined {
  return typeof value === 'function' ? own<SatelliteOptions>(value, SATELLITE) : undefined;
}

export function markRelayPlugin(target: AnyClass, options: RelayPluginOptions): void {
  Object.defineProperty(target, RELAY_PLUGIN, { value: options, configurable: true });
}

/** Options of a class decorated with `@RelayPlugin` itself, else undefined. */
export function relayPluginOptionsOf(value: unknown): RelayPluginOptions | undefined {
  return typeof value === 'function' ? own<RelayPluginOptions>(value, RELAY_PLUGIN) : undefined;
}

export function markExposed(prototype: object, method: string, options: ExposedOptions): void {
  const methods = own<Map<string, ExposedOptions>>(prototype, EXPOSED) ?? new Map<string, ExposedOptions>();
  Object.defineProperty(prototype, EXPOSED, { value: methods.set(method, options), configurable: true });
}

/** The methods of `target` itself that carry `@Exposed`; inherited ones are not among them. */
export function exposedMethodsOf(target: AnyClass): ExposedMethods {
  return own<ExposedMethods>(target.prototype as object, EXPOSED) ?? new Map<string, ExposedOptions>();
}

export function markInjected(target: object, index: number, token: InjectionToken): void {
  const tokens = own<Map<number, InjectionToken>>(target, INJECTED) ?? new Map<number, InjectionToken>();
  Object.defineProperty(target, INJECTED, { value: tokens.set(index, token), configurable: true });
}

/** What `@Inject` named, by constructor parameter. */
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

/** What `@Inject` takes: a class, a symbol or a string. */
export type InjectionToken = AnyClass | symbol | string;

function own<T>(holder: object, mark: symbol): T | undefined {
  return Object.hasOwn(holder, mark) ? ((holder as Record<symbol, unknown>)[mark] as T) : undefined;
}

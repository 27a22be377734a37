/** Runs calls: rate limit, lookup, access, method. Clients, satellites and programs all come through here. */
import { Access, RateLimits } from '../access/access.ts';
import type { AccessOptions, Principal } from '../access/access.ts';
import { RelayError, clean, faultFor, isPromise, reasonOf, withTimeout } from '../core/core.ts';
import type { Clock, FaultAnswer, Log } from '../core/core.ts';
import type { Identity } from '../message/message.ts';
import type { CallOptions } from '../plugin/internal.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { parseResponse, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import { pluginCaller, programCaller } from './caller.ts';
import type { Caller } from './caller.ts';
import { addIntrospection } from './introspection.ts';
import { MethodRegistry } from './method-registry.ts';
import type { HostedMethod, Method } from './method-registry.ts';
import { addNestedCalls, refuseNesting, requireCount } from './nested-calls.ts';

export interface DispatcherOptions extends AccessOptions {
  /** ms for a method of a plugin to answer. */
  readonly callTimeoutMs: number;
  /** Calls in one request. */
  readonly maxMulticall: number;
}

/** Recognizes a peer whose name resolves to a new address. */
export interface PeerAddresses {
  isPeerAddress(address: string): boolean;
  /** True if `hostId` may be that of a configured peer. */
  mayHaveMoved(hostId: string): boolean;
  /** Resolves the names of the peers again; true if `address` is one of theirs then. */
  recheck(address: string): Promise<boolean>;
}

export interface DispatcherDependencies {
  readonly options: DispatcherOptions;
  readonly log: Log;
  readonly clock: Clock;
  /** The identity of this relay. Throws a RelayError UNAVAILABLE before it listens. */
  readonly self: () => Identity;
  readonly peers: PeerAddresses;
}

export class Dispatcher {
  /** All methods that can be called. */
  readonly registry = new MethodRegistry();
  readonly #dependencies: DispatcherDependencies;
  readonly #limits: RateLimits;
  #options: DispatcherOptions;
  #access: Access;

  constructor(dependencies: DispatcherDependencies) {
    const { options, log, clock } = dependencies;
    this.#dependencies = dependencies;
    this.#limits = new RateLimits(options.limits, clock, log);
    this.#options = options;
    this.#access = new Access(options.access);
    addIntrospection(this.registry);
    addNestedCalls(this.registry, this, () => this.#options.maxMulticall);
  }

  /** Calls that exceeded the limit of their caller. */
  get rateLimited(): number {
    return this.#limits.refused;
  }

  /** Uses other options from now on; running calls keep those that they started with. */
  reconfigure(options: DispatcherOptions): void {
    this.#options = options;
    this.#access = new Access(options.access);
  }

  /** Throws a RelayError RATE_LIMITED if a call of this caller would be refused now; asked before a body is read. Charges nothing. */
  requireAllowance(caller: Principal): void {
    this.#limits.require(caller);
  }

  /** Charges a request that is not a call: a page, or a body that cannot be read. Throws a RelayError RATE_LIMITED. */
  count(caller: Principal): void {
    this.#limits.take(caller);
  }

  /**
   * Charges the rate limit, finds the method, checks access and runs it. Throws RelayErrors, Faults, and whatever a plugin throws: see
   * {@link faultFor}.
   */
  async call(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    this.#limits.take(caller);
    const method = this.registry.find(name);
    if (name === 'notify' && this.#mayBeMovedPeer(params, caller)) return this.#callOfMovedPeer(method, params, caller);
    this.#access.check(caller, name, method.access);
    const answer = method.invoke(params, caller);
    const result = isPromise(answer) ? await answer : answer;
    return result === undefined ? true : result;
  }

  /**
   * True for a dict with the stamp of a peer from a caller that was not a peer when its request arrived. An earlier dict of the same batch
   * may have changed that. Connections over the unix socket have no address.
   */
  #mayBeMovedPeer([dict]: readonly Value[], caller: Caller): boolean {
    if (caller.isPeer || !caller.isDirect || caller.port === 0 || !isDict(dict) || !isDict(dict.co2)) return false;
    const { by } = dict.co2;
    return typeof by === 'string' && this.#dependencies.peers.mayHaveMoved(by);
  }

  /**
   * `notify` by a caller that may be a peer whose name resolves to a new address: the names are resolved again first. A refusal because of
   * the address
   * is temporary, since the name server or the operator may be late, and a peer drops what is refused for good. Throws like {@link call}.
   */
  async #callOfMovedPeer(method: Method, params: readonly Value[], stranger: Caller): Promise<Sendable> {
    const { peers } = this.#dependencies;
    const isPeer = peers.isPeerAddress(stranger.address) || (await peers.recheck(stranger.address));
    const caller: Caller = isPeer
      ? { ...stranger, role: stranger.role.kind === 'token' ? stranger.role : { kind: 'peer' }, isPeer }
      : stranger;
    try {
      this.#access.check(caller, method.name, method.access);
    } catch (error) {
      throw isPeer ? error : notYetAPeer(error, caller);
    }
    try {
      return (await method.invoke(params, caller)) ?? true;
    } catch (error) {
      throw !isPeer && RelayError.is(error) && error.code === 'ORIGIN_REFUSED' ? notYetAPeer(error, caller) : error;
    }
  }

  /** Runs one of several calls of a request: it must not hold calls itself. Throws like {@link call}. */
  async callNested(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    refuseNesting(name);
    return this.call(name, params, caller);
  }

  /** Throws a RelayError LIMIT if a request may not hold `count` calls. */
  requireBatch(count: number): void {
    requireCount('a batch', count, this.#options.maxMulticall);
  }

  /** A call by the satellite of this name. */
  async callAs(satellite: string, name: string, params: readonly Value[], { node }: CallOptions, usesI8: boolean): Promise<Sendable> {
    if (node !== undefined)
      throw new RelayError('INVALID_PARAMS', `no route to node '${clean(node, 100)}': relays are no mesh yet, leave node out to call here`);
    return this.call(name, params, pluginCaller(satellite, this.#dependencies.self(), usesI8));
  }

  /**
   * A call by a class in this process. Parameters and result are copied as if they had crossed the wire, so that no two plugins share an
   * object.
   */
  async callFromSatellite(satellite: string, name: string, params: readonly Sendable[], options: CallOptions): Promise<Value> {
    const { value, usesI8 } = copied(params);
    return copied(await this.callAs(satellite, name, value as readonly Value[], options, usesI8)).value;
  }

  /** A call by the program that runs this relay, which may call everything. Copied as that of {@link callFromSatellite}. */
  async callFromProgram(name: string, params: readonly Sendable[]): Promise<Value> {
    const { value, usesI8 } = copied(params);
    return copied(await this.call(name, value as readonly Value[], programCaller(this.#dependencies.self(), usesI8))).value;
  }

  /** True if the caller may call the method of this name. */
  may(name: string, caller: Principal): boolean {
    try {
      this.#access.check(caller, name, this.registry.find(name).access);
      return true;
    } catch (error) {
      if (RelayError.is(error)) return false;
      throw error;
    }
  }

  /** The fault for what a call threw; unknown errors are logged under an id that the fault names. */
  faultFor(error: unknown, method: string): FaultAnswer {
    return faultFor(error, method, this.#dependencies.log);
  }

  /**
   * Replaces the callable methods of a plugin. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if another owner has one of the
   * names.
   */
  expose(plugin: string, methods: readonly HostedMethod[]): void {
    this.registry.replace(
      plugin,
      methods.map((method) => this.#hosted(plugin, method)),
    );
  }

  #hosted(plugin: string, { name, access, help, signature, invoke }: HostedMethod): Method {
    return {
      ...{ name, plugin, access, help, signatures: signature },
      invoke: (params, { usesI8 }) => {
        const answer = invoke(params, usesI8);
        if (!isPromise(answer)) return answer;
        const { callTimeoutMs } = this.#options;
        const text = `${name} did not answer in ${callTimeoutMs} ms (callTimeoutMs)`;
        return withTimeout(this.#dependencies.clock, callTimeoutMs, text, () => answer);
      },
    };
  }
}

/** The value as it would arrive over a connection, and whether it holds 64-bit integers. */
function copied(value: Sendable): { readonly value: Value; readonly usesI8: boolean } {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new RelayError('INTERNAL', answer.text);
  return { value: answer.value, usesI8: answer.extensions.i8 };
}

/** A refusal because of the address, as one that a peer tries again. */
function notYetAPeer(error: unknown, { address }: Caller): RelayError {
  const text = `${address} is not the address of a peer as far as this relay knows, so the dict is refused for now (${reasonOf(error)}); is the peer listed here, by a name that leads there?`;
  return new RelayError('UNAVAILABLE', text, { cause: error });
}

/** How a method is called: one registry, one place where a caller's rate and access are decided, for clients, satellites and programs alike. */
import { RelayError, clean, faultFor, isPromise, reasonOf, withTimeout } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Clock, FaultAnswer, Log } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { CallOptions, HostedMethod } from '../plugin-host/plugin-host.ts';
import { Access, RateLimits } from '../access/access.ts';
import type { Caller } from './caller.ts';
import type { Principal } from '../access/access.ts';
import type { Identity } from './intake.ts';
import { MethodRegistry } from './method-registry.ts';
import type { Method } from './method-registry.ts';
import { addIntrospection } from './methods/introspection.ts';
import { addNestedCalls, refuseNesting, requireCount } from './methods/nested.ts';
import type { RelayOptions } from './options.ts';
import { asReceived, pluginCaller, received } from './plugin-calls.ts';

export interface CallsParts {
  readonly options: RelayOptions;
  readonly log: Log;
  readonly clock: Clock;
  /** Who this relay is. Throws a RelayError UNAVAILABLE before it listens. */
  readonly self: () => Identity;
  /** Who may be a peer that has moved. */
  readonly peers: Pick<Mesh, 'isPeerAddress' | 'mayHaveMoved' | 'recheck'>;
}

export class Calls {
  /** All methods that can be called. */
  readonly registry = new MethodRegistry();
  readonly #parts: CallsParts;
  readonly #limits: RateLimits;
  #options: RelayOptions;
  #access: Access;

  constructor(parts: CallsParts) {
    const { options, log, clock } = parts;
    this.#parts = parts;
    this.#limits = new RateLimits(options.limits, clock, log);
    this.#options = options;
    this.#access = new Access(options.access);
    addIntrospection(this.registry);
    addNestedCalls(this.registry, {
      call: (name, params, caller) => this.call(name, params, caller),
      faultFor: (error, name) => this.faultFor(error, name),
      maxMulticall: () => this.#options.maxMulticall,
    });
  }

  /** Calls over the limit of their caller. */
  get rateLimited(): number {
    return this.#limits.refused;
  }

  /** Takes other options from now on; calls that run keep what they began with. */
  reconfigure(options: RelayOptions): void {
    this.#options = options;
    this.#access = new Access(options.access);
  }

  /** Throws a RelayError RATE_LIMITED if a call of this caller would be refused now. Counts nothing. */
  requireAllowance(caller: Principal): void {
    this.#limits.require(caller);
  }

  /** Counts a request that is no call. Throws a RelayError RATE_LIMITED. */
  count(caller: Principal): void {
    this.#limits.take(caller);
  }

  /** Counts it, looks `name` up, decides access, runs it; an inner call takes the same way. Throws RelayErrors, Faults, and whatever a plugin throws. */
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
   * True for a dict with the stamp of a peer, from a caller that was not known as one when its request came in. A dict before it in the same batch may have changed that. Over the unix
   * socket there is no address.
   */
  #mayBeMovedPeer([dict]: readonly Value[], caller: Caller): boolean {
    const { peers } = this.#parts;
    if (caller.isPeer || !caller.isDirect || caller.port === 0 || !isDict(dict) || !isDict(dict.co2)) return false;
    const { by } = dict.co2;
    return typeof by === 'string' && peers.mayHaveMoved(by);
  }

  /**
   * `notify` by a caller that may be a peer whose name has moved: the names are resolved again before it is decided who calls. A refusal because of the address is no final one: the
   * name server, or the operator, may be late, and a peer drops what is refused for good. Throws as {@link call} does.
   */
  async #callOfMovedPeer(method: Method, params: readonly Value[], stranger: Caller): Promise<Sendable> {
    const { peers } = this.#parts;
    const isPeer = peers.isPeerAddress(stranger.address) || (await peers.recheck(stranger.address));
    const caller: Caller = isPeer
      ? { ...stranger, role: stranger.role.kind === 'token' ? stranger.role : { kind: 'peer' }, isPeer }
      : stranger;
    try {
      this.#access.check(caller, method.name, method.access);
    } catch (error) {
      throw isPeer ? error : notYet(error, caller);
    }
    try {
      return (await method.invoke(params, caller)) ?? true;
    } catch (error) {
      throw !isPeer && RelayError.is(error) && error.code === 'ORIGIN_REFUSED' ? notYet(error, caller) : error;
    }
  }

  /** One of several calls of one request: none may hold calls itself. */
  async callAmong(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    refuseNesting(name);
    return this.call(name, params, caller);
  }

  /** Throws a RelayError LIMIT if one request may not hold `count` calls. */
  requireBatch(count: number): void {
    requireCount('a batch', count, this.#options.maxMulticall);
  }

  /** A call by the satellite of this name; `usesI8` as of a {@link Caller}. */
  async callAs(satellite: string, name: string, params: readonly Value[], { node }: CallOptions, usesI8: boolean): Promise<Sendable> {
    if (node !== undefined)
      throw new RelayError('INVALID_PARAMS', `no route to node '${clean(node, 100)}': relays are no mesh yet, leave node out to call here`);
    return this.call(name, params, pluginCaller(satellite, this.#parts.self(), usesI8));
  }

  /** A call by a class in this process: what it gives and gets are copies, as if they had crossed the wire. */
  async callFromSatellite(satellite: string, name: string, params: readonly Sendable[], options: CallOptions): Promise<Value> {
    const { value, usesI8 } = received(params);
    return asReceived(await this.callAs(satellite, name, value as readonly Value[], options, usesI8));
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
    return faultFor(error, method, this.#parts.log);
  }

  /** Makes these, and no others, the callable methods of a plugin. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if one has the name of another's. */
  expose(plugin: string, methods: readonly HostedMethod[]): void {
    this.registry.replace(
      plugin,
      methods.map((method) => this.#hosted(plugin, method)),
    );
  }

  /** The methods that plugins expose, sorted by name. */
  exposed(): Method[] {
    return this.registry
      .names()
      .map((name) => this.registry.find(name))
      .filter(({ plugin }) => plugin !== undefined);
  }

  #hosted(plugin: string, hosted: HostedMethod): Method {
    return {
      name: hosted.name,
      plugin,
      access: hosted.access,
      help: hosted.help,
      signatures: hosted.signature,
      invoke: (params, { usesI8 }) => {
        const answer = hosted.invoke(params, usesI8);
        if (!isPromise(answer)) return answer;
        const { callTimeoutMs } = this.#options;
        const late = `${hosted.name} did not answer in ${callTimeoutMs} ms (callTimeoutMs)`;
        return withTimeout(this.#parts.clock, callTimeoutMs, late, () => answer);
      },
    };
  }
}

/** A refusal by address, as one that a peer tries again. */
function notYet(error: unknown, { address }: Caller): RelayError {
  const text = `${address} is not the address of a peer as far as this relay knows, so the dict is refused for now (${reasonOf(error)}); is the peer listed here, by a name that leads there?`;
  return new RelayError('UNAVAILABLE', text, { cause: error });
}

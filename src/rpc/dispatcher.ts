/** Runs calls: rate limit, lookup, access, method. Clients, satellites and programs all come through here. */
import { Access, RateLimits, describeCaller } from '../access/access.ts';
import type { AccessOptions, Principal } from '../access/access.ts';
import { Accepted, Fault, RelayError, andThen, errorId, faultFor, isPromise, reasonOf, resultOf, withTimeout } from '../core/core.ts';
import type { AccessClass, Clock, ErrorCode, FaultAnswer, Log, MaybePromise } from '../core/core.ts';
import type { Identity } from '../message/message.ts';
import type { CallOptions } from '../plugin/internal.ts';
import { Double, isDict, numberOfType } from '../values/values.ts';
import type { ExactOf, Sendable, Value } from '../values/values.ts';
import { parseResponse, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { CallTimes } from './call-durations.ts';
import type { CallDurations } from './call-durations.ts';
import { callerOf, pluginCaller, programCaller } from './caller.ts';
import type { Caller } from './caller.ts';
import { addIntrospection } from './introspection.ts';
import { MethodRegistry } from './method-registry.ts';
import type { HostedMethod, Method, Signature } from './method-registry.ts';
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

/** A method of a plugin threw, broke its declaration, or did not answer in time. */
export interface MethodFailure {
  readonly plugin: string;
  readonly method: string;
  /** What it threw. */
  readonly error: unknown;
  /** The id that the caller got; undefined if the fault says everything itself. */
  readonly id?: string | undefined;
}

/** How a satellite calls. */
export interface SatelliteCall extends CallOptions {
  /** The numbers of its language have no types, so the signature of the method decides between int, i8 and double. Default false. */
  readonly plainNumbers?: boolean | undefined;
}

/** What a fault is counted as: the code of a RelayError, APPLICATION for an unexpected error, or a Fault that a plugin threw on purpose. */
export type FaultKind = ErrorCode | 'FAULT';

/** Calls since the start. */
export interface CallStatus {
  /** By method; at most 200 methods have an entry of their own. */
  readonly durations: readonly CallDurations[];
  /** Faults that were answered, by their kind; also for requests that could not be read. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
}

/** A call to another node of the mesh, or to this one under its own name. */
export interface CallToNode {
  /** Its id or nick. */
  readonly node: string;
  readonly method: string;
  /** With the types that their numbers have. */
  readonly params: readonly Sendable[];
  readonly timeoutMs?: number | undefined;
  /** See {@link SatelliteCall}. */
  readonly plainNumbers?: boolean | undefined;
}

/** The same with what the other node has to know of whom this relay calls for. */
export interface CallForCaller extends CallToNode {
  /** For its log. */
  readonly as: string;
  readonly rights: readonly AccessClass[];
  /** Aborted when the caller is gone. */
  readonly signal: AbortSignal | undefined;
}

export interface DispatcherDependencies {
  readonly options: DispatcherOptions;
  readonly log: Log;
  readonly clock: Clock;
  /** The identity of this relay. Throws a RelayError UNAVAILABLE before it listens. */
  readonly self: () => Identity;
  /** Calls a method of another node. Rejects with a RelayError NOT_FOUND, or as that method. */
  readonly callNode: (call: CallForCaller) => Promise<Sendable>;
  readonly peers: PeerAddresses;
  /** Logs the failure of a method under its plugin. Returns the reason, with the place in the plugin's code. */
  readonly reportFailure: (failure: MethodFailure) => string;
}

export class Dispatcher {
  /** All methods that can be called. */
  readonly registry = new MethodRegistry();
  readonly #dependencies: DispatcherDependencies;
  readonly #limits: RateLimits;
  readonly #times = new CallTimes();
  readonly #faults = new Map<FaultKind, number>();
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

  /** True if the caller has the right `admin`. */
  isAdmin(caller: Principal): boolean {
    return this.#access.isAdmin(caller);
  }

  status(): CallStatus {
    return { durations: this.#times.list(), faults: Object.fromEntries(this.#faults) };
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
    return this.callAtOnce(name, params, caller);
  }

  /** Like {@link call}, but without a promise if the method returns none. */
  callAtOnce(name: string, params: readonly Value[], caller: Caller): MaybePromise<Sendable> {
    return andThen(this.#callInOrder(name, params, caller), resultOf);
  }

  /** Like {@link callAtOnce}, but does not wait for the result of what is {@link Accepted}. */
  #callInOrder(name: string, params: readonly Value[], caller: Caller): MaybePromise<Sendable | Accepted<Sendable>> {
    this.#limits.take(caller);
    const method = this.registry.get(name) ?? this.#noSuchMethod(name, caller);
    if (name === 'notify' && this.#mayBeMovedPeer(params, caller)) return this.#callOfMovedPeer(method, params, caller);
    this.#checkAccess(caller, name, method);
    const { clock } = this.#dependencies;
    const startedAt = clock.now();
    let isLater = false;
    try {
      const answer = method.invoke(params, caller);
      isLater = isPromise(answer) || answer instanceof Accepted;
      if (answer instanceof Accepted) return new Accepted(this.#awaited(answer.result, name, startedAt));
      if (isPromise(answer)) return this.#awaitedInOrder(answer, name, startedAt);
      return answer === undefined ? true : answer;
    } finally {
      if (!isLater) this.#times.record(name, clock.now() - startedAt);
    }
  }

  /** Throws a RelayError FORBIDDEN if the caller may not call the method. */
  #checkAccess(caller: Principal, name: string, { access, isForAll, isOfConnection }: Method): void {
    const { role } = caller;
    if (role.kind === 'peer' && role.node && (isOfConnection === true || isForAll === true))
      throw new RelayError('FORBIDDEN', `${name} cannot be called through the mesh, only at the relay itself`);
    if (isForAll !== true) this.#access.check(caller, name, access);
  }

  /** Awaits the method, not the result of what is accepted by then. */
  async #awaitedInOrder(
    answer: PromiseLike<Sendable | Accepted<Sendable> | undefined>,
    name: string,
    startedAt: number,
  ): Promise<Sendable | Accepted<Sendable>> {
    let isLater = false;
    try {
      const result = await answer;
      isLater = result instanceof Accepted;
      if (result instanceof Accepted) return new Accepted(this.#awaited(result.result, name, startedAt));
      return result === undefined ? true : result;
    } finally {
      if (!isLater) this.#times.record(name, this.#dependencies.clock.now() - startedAt);
    }
  }

  async #awaited(answer: PromiseLike<Sendable | undefined>, name: string, startedAt: number): Promise<Sendable> {
    try {
      const result = await answer;
      return result === undefined ? true : result;
    } finally {
      this.#times.record(name, this.#dependencies.clock.now() - startedAt);
    }
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
    const { peers, clock } = this.#dependencies;
    const isPeer = peers.isPeerAddress(stranger.address) || (await peers.recheck(stranger.address));
    const caller: Caller = isPeer
      ? { ...stranger, role: stranger.role.kind === 'token' ? stranger.role : { kind: 'peer' }, isPeer }
      : stranger;
    try {
      this.#access.check(caller, method.name, method.access);
    } catch (error) {
      throw isPeer ? error : notYetAPeer(error, caller);
    }
    const startedAt = clock.now();
    try {
      return await resultOf((await method.invoke(params, caller)) ?? true);
    } catch (error) {
      throw !isPeer && RelayError.is(error) && error.code === 'ORIGIN_REFUSED' ? notYetAPeer(error, caller) : error;
    } finally {
      this.#times.record(method.name, clock.now() - startedAt);
    }
  }

  /** Throws a RelayError NO_SUCH_METHOD, with a similar name for callers who may read the names. */
  #noSuchMethod(name: string, caller: Caller): never {
    throw this.registry.noSuchMethod(name, this.may('co2.get_method_names', caller));
  }

  /** Runs one of several calls of a request: it must not hold calls itself. Throws like {@link call}. */
  async callNested(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    return resultOf(await this.callNestedAtOnce(name, params, caller));
  }

  /** Like {@link callNested}, but without a promise if the method returns none, and without waiting for what is {@link Accepted}. */
  callNestedAtOnce(name: string, params: readonly Value[], caller: Caller): MaybePromise<Sendable | Accepted<Sendable>> {
    refuseNesting(name);
    if (this.registry.has(name)) return this.#callInOrder(name, params, caller);
    this.#limits.take(caller);
    // A search for a similar name for each call of a large batch would delay everybody.
    throw this.registry.noSuchMethod(name, false);
  }

  /** Throws a RelayError LIMIT if a request may not hold `count` calls. */
  requireBatch(count: number): void {
    requireCount('a batch', count, this.#options.maxMulticall);
  }

  /** A call by the satellite of this name. */
  async callAs(satellite: string, name: string, params: readonly Value[], options: SatelliteCall, exactOf: ExactOf): Promise<Sendable> {
    const { node, plainNumbers } = options;
    if (node !== undefined) {
      const exact = (exactOf(params) as readonly Sendable[] | undefined) ?? params;
      return this.callNode(
        { node, method: name, params: exact, plainNumbers },
        pluginCaller(satellite, this.#dependencies.self(), exactOf),
      );
    }
    const exact = plainNumbers ? this.#typed(name, params, exactOf) : exactOf;
    return this.call(name, params, pluginCaller(satellite, this.#dependencies.self(), exact));
  }

  /**
   * Calls a method of another node for a caller, with no more rights than the caller has here. Rejects with a RelayError FORBIDDEN or
   * NOT_FOUND, or as that method.
   */
  async callNode(call: CallToNode, caller: Principal): Promise<Sendable> {
    this.#access.requireCovered(caller, call.method);
    const rights = this.#access.classesOf(caller);
    return this.#dependencies.callNode({ ...call, as: describeCaller(caller), rights, signal: caller.gone });
  }

  /** A call by another node of the mesh. Rejects like {@link call}. */
  async callFromNode(name: string, params: readonly Value[], caller: Caller, plainNumbers: boolean): Promise<Sendable> {
    const exact = plainNumbers ? this.#typed(name, params, caller.exactOf) : caller.exactOf;
    return this.call(name, params, callerOf(caller, caller.sourceOf, exact));
  }

  /** The items of a method for another node of the mesh, after the checks of {@link call}. Throws like {@link call}. */
  streamForNode(name: string, params: readonly Value[], caller: Caller): AsyncIterable<Sendable> {
    this.#limits.take(caller);
    const method = this.registry.get(name) ?? this.#noSuchMethod(name, caller);
    this.#checkAccess(caller, name, method);
    if (method.stream) return method.stream(params, caller);
    throw new RelayError('INVALID_PARAMS', `${name} has one result, and cannot be read as a stream`);
  }

  /**
   * A call by a class in this process. Parameters and result are copied as if they had crossed the wire, so that no two plugins share an
   * object.
   */
  async callFromSatellite(satellite: string, name: string, params: readonly Sendable[], options: CallOptions): Promise<Value> {
    const sent = copied(params);
    const result = await this.callAs(satellite, name, sent.value as readonly Value[], { ...options, plainNumbers: true }, sent.exactOf);
    return copied(result).value;
  }

  /** The exact parameters of a call whose numbers have no types: what the signature declares a double or an i8 is one. */
  #typed(name: string, params: readonly Value[], exactOf: ExactOf): ExactOf {
    const { signatures } = this.registry.get(name) ?? {};
    const exact = typed((exactOf(params) as readonly Sendable[] | undefined) ?? params, signatures);
    return (part) => (part === params ? exact : exactOf(part));
  }

  /** A call by the program that runs this relay, which may call everything. Copied as that of {@link callFromSatellite}. */
  async callFromProgram(name: string, params: readonly Sendable[]): Promise<Value> {
    const sent = copied(params);
    const list = sent.value as readonly Value[];
    const caller = programCaller(this.#dependencies.self(), this.#typed(name, list, sent.exactOf));
    return copied(await this.call(name, list, caller)).value;
  }

  /** True if the caller may call the method of this name. */
  may(name: string, caller: Principal): boolean {
    const method = this.registry.get(name);
    if (!method) return false;
    try {
      this.#checkAccess(caller, name, method);
      return true;
    } catch (error) {
      if (RelayError.is(error)) return false;
      throw error;
    }
  }

  /**
   * Throws a RelayError FORBIDDEN if the caller may not read something that is no method but has a name like one, for the globs of tokens.
   */
  requireRead(name: string, caller: Principal): void {
    this.#access.check(caller, name, 'read');
  }

  /** Throws a RelayError FORBIDDEN if the caller may not call the method of this name. */
  requireCall(name: string, caller: Principal): void {
    this.#access.check(caller, name, this.registry.find(name).access);
  }

  /** The fault for what a call threw, which is counted; unknown errors are logged under an id that the fault names. */
  faultFor(error: unknown, method: string): FaultAnswer {
    const kind = Fault.is(error) ? 'FAULT' : RelayError.is(error) ? error.code : 'APPLICATION';
    this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + 1);
    const plugin = this.registry.pluginOf(method);
    // A result that cannot be written is found out by the endpoint that writes it.
    const isResult = plugin !== undefined && RelayError.is(error) && error.code === 'INTERNAL' && !error.isLogged;
    return faultFor(isResult ? this.#unwritable(plugin, method, error) : error, method, this.#dependencies.log);
  }

  #unwritable(plugin: string, method: string, error: RelayError): RelayError {
    const text = `${method}: ${error.message}`;
    if (error.isForCaller) return new RelayError('INTERNAL', text, { cause: error, isForCaller: true });
    const id = errorId();
    this.#dependencies.reportFailure({ plugin, method, error, id });
    return new RelayError('INTERNAL', `${text} (error ${id})`, { cause: error, isLogged: true });
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
    this.#times.makeRoom((name) => this.registry.has(name));
  }

  /**
   * The error for a caller whose call failed, after it was reported. What a method throws may contain paths or data of the machine, so only
   * administrators get it; others get an id.
   */
  #failed(failure: MethodFailure, caller: Principal): unknown {
    const { plugin, method, error } = failure;
    const { reportFailure } = this.#dependencies;
    if (Fault.is(error)) return error;
    if (RelayError.is(error)) {
      if (error.isLogged || !OWN_FAULTS.has(error.code)) return error;
      if (error.code === 'INTERNAL') return this.#unwritable(plugin, method, error);
      reportFailure(failure);
      return error;
    }
    const id = errorId();
    const reason = reportFailure({ ...failure, id });
    const text = this.#access.isAdmin(caller) ? reason : `the log of the plugin has the reason (co2 plugin log ${plugin})`;
    return new RelayError('APPLICATION', `${method} failed (error ${id}): ${text}`, { cause: error, isLogged: true });
  }

  #hosted(plugin: string, { name, access, help, signature, paramNames, invoke }: HostedMethod): Method {
    return {
      ...{ name, plugin, access, help, signatures: signature, paramNames },
      invoke: (params, caller) => {
        const fail = (error: unknown): never => {
          throw this.#failed({ plugin, method: name, error }, caller);
        };
        let answer: MaybePromise<Sendable | undefined>;
        try {
          answer = invoke(params, caller.exactOf);
        } catch (error) {
          return fail(error);
        }
        if (!isPromise(answer)) return answer;
        const running = answer;
        const { callTimeoutMs } = this.#options;
        const text = `${name} did not answer in ${callTimeoutMs} ms (callTimeoutMs)`;
        return withTimeout(this.#dependencies.clock, callTimeoutMs, text, () => running).catch(fail);
      },
    };
  }
}

// Errors of a method that are its own fault, not that of its caller.
const OWN_FAULTS: ReadonlySet<string> = new Set(['APPLICATION', 'INTERNAL', 'TIMEOUT']);

/** The value as it would arrive over a connection. */
function copied(value: Sendable): Extract<ParsedResponse, { readonly kind: 'value' }> {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new RelayError('INTERNAL', answer.text);
  return answer;
}

/**
 * The parameters with the number types on which all signatures for as many parameters agree: JavaScript has no types for whole doubles and
 * for small 64-bit integers.
 */
function typed(params: readonly Sendable[], signatures: readonly Signature[] = []): readonly Sendable[] {
  if (!params.some((value) => typeof value === 'number' || Double.is(value))) return params;
  const [first, ...others] = signatures.filter(({ length }) => length === params.length + 1);
  if (!first?.some((type, index) => index > 0 && (type === 'double' || type === 'i8'))) return params;
  return params.map((value, index) => {
    const type = first[index + 1];
    return others.every((other) => other[index + 1] === type) ? numberOfType(value, type) : value;
  });
}

/** A refusal because of the address, as one that a peer tries again. */
function notYetAPeer(error: unknown, { address }: Caller): RelayError {
  const text = `${address} is not the address of a peer as far as this relay knows, so the dict is refused for now (${reasonOf(error)}); is the peer listed here, by a name that leads there?`;
  return new RelayError('UNAVAILABLE', text, { cause: error });
}

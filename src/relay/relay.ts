/** THE HEART: takes dicts in, sends dicts out, calls methods. Read `#junction` first: everything that flows meets there. */
import { randomBytes } from 'node:crypto';
import { RelayError, clean, withinLimit } from '../message/message.ts';
import type { Clock, Dict, Log, LogSource, Message, Sendable, Value } from '../message/message.ts';
import type { CallOptions, HostedMethod, PluginHost, RelayPort } from '../plugin-host/plugin-host.ts';
import type { Mesh } from '../mesh/mesh.ts';
import { parseResponse, serialiseResponse, serialiseStruct } from '../xmlrpc/xmlrpc.ts';
import { Access } from './access.ts';
import { describeCaller } from './caller.ts';
import type { Caller } from './caller.ts';
import { faultFor } from './failure.ts';
import type { FaultAnswer } from './failure.ts';
import { describeMessage, messageFromCaller, messageFromSatellite } from './intake.ts';
import type { Identity, Minter } from './intake.ts';
import { MethodRegistry } from './method-registry.ts';
import type { Method } from './method-registry.ts';
import { addBasicMethods } from './methods-basic.ts';
import { addIntrospection, describeCall } from './methods-introspection.ts';
import { addNestedCalls } from './methods-nested.ts';
import { RateLimits } from './rate-limits.ts';
import type { RelayOptions } from './options.ts';
import { SeenIds } from './seen-ids.ts';

export { relayDefaults, relayShape } from './options.ts';
export type { RelayOptions } from './options.ts';
export type { Caller, Role } from './caller.ts';
export type { FaultAnswer } from './failure.ts';
export type { Identity } from './intake.ts';

/** What one method looks like to a person who reads about it. */
export interface MethodDescription {
  readonly name: string;
  readonly help: string;
  /** How it is called, in one line for each way. */
  readonly usage: string;
  readonly access: string;
}

/** Counters since the start. */
export interface RelayStatus {
  readonly accepted: number;
  readonly sent: number;
  readonly duplicates: number;
  /** Dicts whose sender might not speak for their host_id. */
  readonly originRefused: number;
  /** Calls over the limit of their caller. */
  readonly rateLimited: number;
}

/** What the relay is made of; it owns none of them. */
export interface RelayParts {
  readonly options: RelayOptions;
  readonly pluginHost: Pick<PluginHost, 'deliver' | 'methods' | 'status'>;
  readonly mesh: Pick<Mesh, 'forward' | 'isPeerAddress'>;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Version of the package. */
  readonly version: string;
  /** Largest dict that a satellite may send: what our own door would take from a peer. */
  readonly maxDictBytes: number;
}

export class Relay {
  readonly #parts: RelayParts;
  readonly #log: Log;
  readonly #access: Access;
  readonly #limits: RateLimits;
  readonly #registry = new MethodRegistry();
  readonly #seen = new SeenIds();
  readonly #mint: Minter;
  readonly #startedAt = new Date();
  readonly #count = { accepted: 0, sent: 0, duplicates: 0, originRefused: 0 };
  #identity: Identity | undefined;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#log = parts.logs('relay');
    this.#access = new Access(parts.options.access);
    this.#limits = new RateLimits(parts.options.limits, parts.clock, this.#log);
    // The instance part keeps ids of two starts of one state directory apart.
    const instance = randomBytes(5).toString('hex');
    let sequence = 0;
    this.#mint = {
      messageId: () => `${instance}.${(++sequence).toString(36)}`,
      clientRandom: () => randomBytes(8).toString('hex'),
      now: () => parts.clock.now(),
    };
    addBasicMethods(this.#registry, {
      properties: () => this.properties(),
      accept: (dict, caller) => {
        this.accept(dict, caller);
      },
    });
    addIntrospection(this.#registry);
    addNestedCalls(this.#registry, {
      call: (name, params, caller) => this.call(name, params, caller),
      faultFor: (error, name) => this.faultFor(error, name),
      maxMulticall: parts.options.maxMulticall,
    });
  }

  /** Tells the relay who it is, once it listens; before that nothing may be sent or accepted. */
  identify(identity: Identity): void {
    this.#identity = identity;
  }

  /** Makes the methods of the loaded plugins callable. */
  expose(methods: readonly HostedMethod[]): void {
    for (const method of methods) this.#registry.add(this.#hosted(method));
  }

  /** What a satellite's `send` and `call` reach. */
  port(): RelayPort {
    return {
      // Whatever `durable` says: until the durable store is there everything is kept in memory.
      send: (satellite, dict) => this.send(satellite, dict),
      call: (satellite, method, params, options) => this.#callFromSatellite(satellite, method, params, options),
    };
  }

  /** Throws a RelayError RATE_LIMITED if a call of this caller would be refused now; for a door, before it reads a body. Counts nothing. */
  requireAllowance(caller: Caller): void {
    this.#limits.require(caller);
  }

  /** Counts a request that is no call: a page, a body that cannot be read. Throws a RelayError RATE_LIMITED. */
  count(caller: Caller): void {
    this.#limits.take(caller);
  }

  /** CALL. Counts it, looks `name` up, decides access, runs it; an inner call takes the same way. Throws RelayErrors, Faults, and whatever a plugin throws: see {@link faultFor}. */
  async call(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    this.#limits.take(caller);
    const method = this.#registry.find(name);
    this.#access.check(caller, name, method.access);
    const result = await method.invoke(params, caller);
    return result === undefined ? true : result;
  }

  /** The fault that a door answers for what `call` threw; unknown errors are logged under an id that the fault names. */
  faultFor(error: unknown, method: string): FaultAnswer {
    return faultFor(error, method, this.#log);
  }

  /** IN. Takes responsibility for a dict that a caller hands in; returns its id. A dict that was here before is accepted and goes nowhere. */
  accept(dict: Dict, caller: Caller): string {
    const message = this.#checked(dict, caller);
    // A dict of ours that comes back is no news either, though a restart forgot its id.
    if (!this.#seen.add(message.id) || message.hostId === this.#self().hostId) {
      this.#count.duplicates++;
      this.#log.debug(`duplicate ${describeMessage(message)}`);
      return message.id;
    }
    this.#count.accepted++;
    if (this.#log.isDebugEnabled()) this.#log.debug(`accepted ${describeMessage(message)} (${message.verdict})`);
    this.#junction(message, undefined);
    return message.id;
  }

  /** OUT. Stamps a dict of the satellite of this name; returns its id. It goes to all others. */
  send(satellite: string, dict: Sendable): Promise<string> {
    return Promise.resolve().then(() => {
      const source = serialiseStruct(dict, { nil: true, i8: true });
      this.#requireSize(source);
      const message = messageFromSatellite(source, this.#self(), this.#mint);
      this.#seen.add(message.id);
      this.#count.sent++;
      if (this.#log.isDebugEnabled()) this.#log.debug(`sent ${describeMessage(message)} by ${satellite}`);
      this.#junction(message, satellite);
      return message.id;
    });
  }

  /** For us: deliver. For others: forward. Every dict of today is for all: both. */
  #junction(message: Message, sender: string | undefined): void {
    this.#parts.pluginHost.deliver(message, sender);
    this.#parts.mesh.forward(message);
  }

  #requireSize(source: string): void {
    const { maxDictBytes } = this.#parts;
    if (source.length > maxDictBytes)
      throw new RelayError('LIMIT', `the dict takes ${source.length} bytes as XML; at most ${maxDictBytes} are allowed (maxBodyBytes)`);
  }

  #checked(dict: Dict, caller: Caller): Message {
    try {
      return messageFromCaller(dict, caller, this.#self(), this.#mint);
    } catch (error) {
      if (RelayError.is(error)) {
        if (error.code === 'ORIGIN_REFUSED') this.#count.originRefused++;
        this.#log[error.code === 'ORIGIN_REFUSED' ? 'warn' : 'debug'](`refused a dict of ${describeCaller(caller)}: ${error.message}`);
      }
      throw error;
    }
  }

  #hosted(hosted: HostedMethod): Method {
    const { clock, options } = this.#parts;
    const { callTimeoutMs } = options;
    const late = `${hosted.name} did not answer in ${callTimeoutMs} ms (callTimeoutMs)`;
    return {
      name: hosted.name,
      access: hosted.access,
      help: hosted.help,
      signatures: hosted.signature,
      invoke: (params) => withinLimit(clock, callTimeoutMs, late, () => hosted.invoke(params)),
    };
  }

  async #callFromSatellite(satellite: string, name: string, params: readonly Sendable[], { node }: CallOptions): Promise<Value> {
    if (node !== undefined)
      throw new RelayError('INVALID_PARAMS', `no route to node '${clean(node, 100)}': relays are no mesh yet, leave node out to call here`);
    const { address, port } = this.#self();
    const caller: Caller = {
      role: { kind: 'satellite', name: satellite },
      address,
      port,
      isPeer: false,
      isInside: true,
      sourceOf: () => undefined,
      requireWritable: (answer) => serialiseResponse(answer, { nil: true, i8: true }),
    };
    return asReceived(await this.call(name, asReceived(params) as readonly Value[], caller));
  }

  /** All callable methods, sorted by name. */
  describeMethods(): MethodDescription[] {
    return this.#registry.names().map((name) => {
      const method = this.#registry.find(name);
      return { name, help: method.help, usage: describeCall(method), access: method.access };
    });
  }

  /** What `system.get_properties` answers. */
  properties(): Readonly<Record<string, Sendable>> {
    const { hostId, address, port } = this.#self();
    const now = new Date();
    return {
      host_id: hostId,
      host: address,
      port,
      versions: { co2_relay: this.#parts.version, node: process.version, platform: `${process.platform} ${process.arch}` },
      start_time: this.#startedAt,
      server_time: now,
      uptime: Math.round((now.getTime() - this.#startedAt.getTime()) / 1000),
      maintainer: this.#parts.options.maintainer,
      plugins: [...new Set(this.#parts.pluginHost.status().satellites.map(({ module }) => module))],
    };
  }

  status(): RelayStatus {
    return { ...this.#count, rateLimited: this.#limits.refused };
  }

  /** True if `address` (canonical) is one of a configured peer. */
  isPeerAddress(address: string): boolean {
    return this.#parts.mesh.isPeerAddress(address);
  }

  #self(): Identity {
    if (this.#identity) return this.#identity;
    throw new RelayError('UNAVAILABLE', 'the relay does not listen yet');
  }
}

/** What would arrive of `value` on the other side of a connection: the same for a plugin next door, and nobody shares an object with anybody. */
function asReceived(value: Sendable): Value {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new RelayError('INTERNAL', answer.text);
  return answer.value;
}

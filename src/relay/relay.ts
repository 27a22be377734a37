/** THE HEART: takes dicts in, sends dicts out, calls methods. Read `#junction` first: everything that flows meets there. */
import { RelayError, Seldom, clean, faultFor, isPromise, withinLimit } from '../message/message.ts';
import type { Clock, Dict, FaultAnswer, LineLimits, Log, LogSource, MaybePromise, Message, Sendable, Value } from '../message/message.ts';
import type { CallOptions, HostedMethod, Hooks, PluginHost, RelayPlugins, RelayPort } from '../plugin-host/plugin-host.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Satellites, SatelliteView, Sender as RemoteSender } from '../satellites/satellites.ts';
import { serialiseStruct } from '../xmlrpc/xmlrpc.ts';
import { Access } from './access.ts';
import { describeCaller } from './caller.ts';
import type { Caller, Standing } from './caller.ts';
import { Hooked, handedInBy } from './hooked.ts';
import type { HandedInBy, Ways } from './hooked.ts';
import { claimedId, clientIngress, describeMessage, makeMinter, messageFromCaller, messageFromSatellite, sourceOf } from './intake.ts';
import { hasPassed } from './stamp.ts';
import type { Identity, Minter } from './intake.ts';
import { MethodRegistry } from './method-registry.ts';
import type { Method } from './method-registry.ts';
import { addBasicMethods } from './methods-basic.ts';
import { addIntrospection, describeMethods } from './methods-introspection.ts';
import type { MethodDescription } from './methods-introspection.ts';
import { addPluginMethods } from './methods-plugins.ts';
import type { PluginControl } from './methods-plugins.ts';
import { addNestedCalls, refuseNesting, requireCount } from './methods-nested.ts';
import { addSatelliteMethods } from './methods-satellites.ts';
import { checkOrigin } from './origin-check.ts';
import { addProgramMethods } from './methods-programs.ts';
import type { ProgramDesk } from './methods-programs.ts';
import { addReload } from './methods-reload.ts';
import type { Reload } from './methods-reload.ts';
import { addStatus } from './methods-status.ts';
import { asReceived, pluginCaller } from './plugin-calls.ts';
import { RateLimits } from './rate-limits.ts';
import type { RelayOptions } from './options.ts';
import { pluginOnWire } from './plugin-on-wire.ts';
import type { Struct } from './plugin-on-wire.ts';
import { SeenIds } from './seen-ids.ts';

export { relayDefaults, relayShape } from './options.ts';
export type { RelayOptions } from './options.ts';
export { callerOf } from './caller.ts';
export type { Caller, Role, Standing } from './caller.ts';
export { CarrierDoor } from './carrier-door.ts';
export type { MethodDescription } from './methods-introspection.ts';
export type { PluginControl } from './methods-plugins.ts';
export type { Reload, ReloadReport } from './methods-reload.ts';
export type { FaultAnswer } from '../message/message.ts';
export type { Identity } from './intake.ts';
export type { ProgramCall, ProgramDesk } from './methods-programs.ts';
export { MethodRegistry } from './method-registry.ts';
export { addIntrospection } from './methods-introspection.ts';
export { addProgramMethods } from './methods-programs.ts';
export { recordOnWire } from './methods-satellites.ts';

/** A method of a plugin, as it can be shown. */
export type ExposedMethod = Pick<Method, 'name' | 'help' | 'access' | 'signatures'>;

/** Counters since the start. */
export interface RelayStatus {
  readonly accepted: number;
  readonly sent: number;
  readonly duplicates: number;
  /** Dicts whose sender might not speak for their host_id. */
  readonly originRefused: number;
  /** Calls over the limit of their caller. */
  readonly rateLimited: number;
  /** Dicts and farewells with a token that names no satellite. */
  readonly wrongTokens: number;
  /** Dicts that hooks of relay plugins refused, that they let be delivered and go no further, that wait for them now, and that were refused since too many did. */
  readonly refusedByHooks: number;
  readonly heldBack: number;
  readonly hooksWaiting: number;
  readonly hooksOverflowed: number;
}

/** Whom a dict does not go back to: a satellite here by its name, one elsewhere by its id. */
interface Sender {
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
}

/** A message that passed the junction. */
export interface Passed {
  readonly message: Message;
  /** The satellite here that sent it; undefined for one that came in. */
  readonly sender: string | undefined;
  /** In the lines of how many satellites here it is now. */
  readonly takers: number;
}

/** What the relay is made of; it owns none of them. */
export interface RelayParts {
  readonly options: RelayOptions;
  readonly pluginHost: Pick<PluginHost, 'deliver' | 'methods' | 'status'>;
  readonly relayPlugins: Pick<RelayPlugins, 'status'>;
  readonly mesh: Pick<Mesh, 'acceptsNonFinite' | 'forward' | 'isPeerAddress' | 'status' | 'targets'>;
  readonly satellites: Pick<
    Satellites,
    'deliver' | 'register' | 'unregister' | 'requireOwner' | 'byToken' | 'byHostId' | 'byPlace' | 'list' | 'isSatelliteAddress' | 'max'
  >;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Version of the package. */
  readonly version: string;
  /** Largest dict that a satellite may send: what our own door would take from a peer. */
  readonly maxDictBytes: number;
  /** Told of each message that passed the junction. Default: nobody. */
  readonly onMessage?: ((passed: Passed) => void) | undefined;
}

export class Relay {
  readonly #parts: RelayParts;
  readonly #log: Log;
  readonly #warnings: Seldom;
  #access: Access;
  #options: RelayOptions;
  readonly #limits: RateLimits;
  readonly #registry = new MethodRegistry();
  readonly #seen = new SeenIds();
  readonly #mint: Minter;
  readonly #startedAt = new Date();
  readonly #count = { accepted: 0, sent: 0, duplicates: 0, originRefused: 0, wrongTokens: 0, refusedByHooks: 0 };
  #identity: Identity | undefined;
  // Undefined where no relay plugin looks at dicts.
  #hooked: Hooked | undefined;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#log = parts.logs('relay');
    this.#warnings = new Seldom(this.#log, parts.clock);
    this.#options = parts.options;
    this.#access = new Access(parts.options.access);
    this.#limits = new RateLimits(parts.options.limits, parts.clock, this.#log);
    this.#mint = makeMinter(parts.clock);
    addBasicMethods(this.#registry, {
      properties: () => this.properties(),
      accept: (dict, caller) => this.accept(dict, caller),
    });
    addSatelliteMethods(this.#registry, {
      satellites: parts.satellites,
      checkedHostId: (dict, caller) => this.#checkedHostId(dict, caller),
      accept: (dict, caller, sender) => this.accept(dict, caller, sender),
      send: (satellite, dict, caller) => this.#sendSource(satellite, () => sourceOf(dict, caller)),
      onWrongToken: (caller) => {
        this.#count.wrongTokens++;
        this.#warnings.warn(`refused ${describeCaller(caller)}: its token names no satellite there`);
      },
    });
    addIntrospection(this.#registry);
    addStatus(this.#registry, {
      properties: () => this.properties(),
      counters: () => {
        const { accepted, sent, duplicates, originRefused } = this.#count;
        return { accepted, sent, duplicates, origin_refused: originRefused };
      },
      mesh: () => parts.mesh.status(),
      plugins: () => parts.pluginHost.status(),
      relayPlugins: () => parts.relayPlugins.status(),
    });
    addNestedCalls(this.#registry, {
      call: (name, params, caller) => this.call(name, params, caller),
      faultFor: (error, name) => this.faultFor(error, name),
      maxMulticall: () => this.#options.maxMulticall,
    });
  }

  /** Tells the relay who it is, once it listens; before that nothing may be sent or accepted. */
  identify(identity: Identity): void {
    this.#identity = identity;
  }

  /** As it names itself to others. Throws a RelayError UNAVAILABLE before {@link identify}. */
  get hostId(): string {
    return this.#self().hostId;
  }

  /** Takes other options from now on; calls that run keep what they began with. */
  reconfigure(options: RelayOptions): void {
    this.#options = options;
    this.#access = new Access(options.access);
  }

  /** From now on every dict passes these hooks; at most `limits` of them wait. */
  useHooks(hooks: Hooks | undefined, limits: LineLimits): void {
    const { mesh, clock } = this.#parts;
    if (hooks) this.#hooked = new Hooked({ hooks, limits, clock, log: this.#log, targets: (message) => mesh.targets(message) });
  }

  /** Resolves when no dict is at a hook any more; what still waits after `ms` is refused. */
  async settle(ms: number): Promise<void> {
    await this.#hooked?.settle(ms);
  }

  /** Makes `relay.reload` callable. */
  offerReload(reload: Reload): void {
    addReload(this.#registry, reload);
  }

  /** Makes callable what programs that the relay started call. */
  offerPrograms(desk: ProgramDesk): void {
    addProgramMethods(this.#registry, desk, (satellite, name, params, options) => this.#callAs(satellite, name, params, options));
  }

  /** Makes `plugin.list` and its like callable. */
  offerPlugins(control: PluginControl): void {
    const methodsOf = (plugin: string): readonly string[] =>
      this.#registry.names().filter((name) => this.#registry.find(name).plugin === plugin);
    addPluginMethods(this.#registry, { ...control, clock: this.#parts.clock, methodsOf });
  }

  /** Makes these, and no others, the callable methods of a plugin. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if one has the name of another's. */
  expose(plugin: string, methods: readonly HostedMethod[]): void {
    this.#registry.replace(
      plugin,
      methods.map((method) => this.#hosted(plugin, method)),
    );
  }

  /** What a satellite's `send` and `call` reach. */
  port(): RelayPort {
    return {
      expose: (plugin, methods) => {
        this.expose(plugin, methods);
      },
      // Whatever `durable` says: until the durable store is there everything is kept in memory.
      send: (satellite, dict) => this.send(satellite, dict),
      call: (satellite, method, params, options) => this.#callFromSatellite(satellite, method, params, options),
    };
  }

  /** Throws a RelayError RATE_LIMITED if a call of this caller would be refused now; for a door, before it reads a body. Counts nothing. */
  requireAllowance(caller: Standing): void {
    this.#limits.require(caller);
  }

  /** Counts a request that is no call: a page, a body that cannot be read. Throws a RelayError RATE_LIMITED. */
  count(caller: Standing): void {
    this.#limits.take(caller);
  }

  /** CALL. Counts it, looks `name` up, decides access, runs it; an inner call takes the same way. Throws RelayErrors, Faults, and whatever a plugin throws: see {@link faultFor}. */
  async call(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    this.#limits.take(caller);
    const method = this.#registry.find(name);
    this.#access.check(caller, name, method.access);
    const answer = method.invoke(params, caller);
    const result = isPromise(answer) ? await answer : answer;
    return result === undefined ? true : result;
  }

  /** True if the caller may call the method of this name; for a page, which shows what it would answer. */
  may(name: string, caller: Standing): boolean {
    try {
      this.#access.check(caller, name, this.#registry.find(name).access);
      return true;
    } catch (error) {
      if (RelayError.is(error)) return false;
      throw error;
    }
  }

  /** CALL, one of several that stand in one request: each counts and is authorised like any other, and none may hold calls itself. */
  async callAmong(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    refuseNesting(name);
    return this.call(name, params, caller);
  }

  /** Throws a RelayError LIMIT if one request may not hold `count` calls. */
  requireBatch(count: number): void {
    requireCount('a batch', count, this.#options.maxMulticall);
  }

  /** The fault that a door answers for what `call` threw; unknown errors are logged under an id that the fault names. */
  faultFor(error: unknown, method: string): FaultAnswer {
    return faultFor(error, method, this.#log);
  }

  /**
   * IN. Takes responsibility for a dict that a caller hands in, as one of the satellite `sender` if it is; returns its id, at once unless a hook of a relay plugin
   * has to be waited for. A dict that was here before is accepted and goes nowhere.
   */
  accept(dict: Dict, caller: Caller, sender?: RemoteSender): MaybePromise<string> {
    const message = this.#checked(dict, caller, sender);
    const { hostId } = this.#self();
    // Ours that comes back is no news either, though a restart forgot its id; nor what a plain program, which knows no stamps, sent back to us.
    if (hasPassed(dict.co2, hostId) || message.hostId === hostId || !this.#isNew(message)) {
      this.#count.duplicates++;
      this.#log.debug(`duplicate ${describeMessage(message)}`);
      return message.id;
    }
    const accepted = (ways: Ways): string => {
      this.#count.accepted++;
      if (this.#log.isDebugEnabled()) this.#log.debug(`accepted ${describeMessage(message)} (${message.verdict})`);
      return this.#junction(ways, { remote: sender?.id });
    };
    if (this.#hooked === undefined) return accepted({ here: message, onward: message });
    return this.#throughHooks(this.#hooked, message, handedInBy(message, sender), accepted);
  }

  /** OUT. Stamps a dict of the satellite of this name; returns its id. It goes to all others. */
  send(satellite: string, dict: Sendable): Promise<string> {
    return this.#sendSource(satellite, () => serialiseStruct(dict, { nil: true, i8: true }));
  }

  #sendSource(satellite: string, write: () => string): Promise<string> {
    return Promise.resolve().then(() => {
      const source = write();
      this.#requireSize(source);
      const message = messageFromSatellite(source, this.#self(), this.#mint);
      this.#isNew(message);
      const sent = (ways: Ways): string => {
        this.#count.sent++;
        if (this.#log.isDebugEnabled()) this.#log.debug(`sent ${describeMessage(message)} by ${satellite}`);
        return this.#junction(ways, { local: satellite });
      };
      if (this.#hooked === undefined) return sent({ here: message, onward: message });
      return this.#throughHooks(this.#hooked, message, { kind: 'satellite', name: satellite }, sent);
    });
  }

  /** What the hooks refuse was never here: who handed it in may come with it again. */
  #throughHooks(hooked: Hooked, message: Message, from: HandedInBy, go: (ways: Ways) => string): MaybePromise<string> {
    const refuse = (error: unknown): never => {
      this.#count.refusedByHooks++;
      this.#seen.remove(keyOf(message));
      throw error;
    };
    try {
      const id = hooked.take(message, from, go);
      return isPromise(id) ? id.catch(refuse) : id;
    } catch (error) {
      return refuse(error);
    }
  }

  /** Notes the message; true if it was not here before. */
  #isNew(message: Message): boolean {
    return this.#seen.add(keyOf(message));
  }

  /** What satellites elsewhere are told when this relay stops: `{data: {goodbye: <host_id>}}`. Undefined if it never listened. */
  farewell(): Message | undefined {
    if (!this.#identity) return undefined;
    const source = serialiseStruct({ data: { goodbye: this.#identity.hostId } });
    return messageFromSatellite(source, this.#identity, this.#mint);
  }

  /** For us: deliver, to satellites here and elsewhere. For others: forward. Every dict of today is for all: both. Returns its id. */
  #junction({ here, onward }: Ways, sender: Sender): string {
    const { pluginHost, satellites, mesh, onMessage } = this.#parts;
    const takers = pluginHost.deliver(here, sender.local);
    satellites.deliver(here, sender.remote);
    if (onward) mesh.forward(onward);
    onMessage?.({ message: here, sender: sender.local, takers });
    return here.id;
  }

  #requireSize(source: string): void {
    const { maxDictBytes } = this.#parts;
    if (source.length > maxDictBytes)
      throw new RelayError('LIMIT', `the dict takes ${source.length} bytes as XML; at most ${maxDictBytes} are allowed (maxBodyBytes)`);
  }

  #checked(dict: Dict, caller: Caller, sender?: RemoteSender): Message {
    return this.#noting(caller, claimedId(dict), () => messageFromCaller(dict, caller, this.#self(), this.#mint, sender?.hostId));
  }

  /** The host_id by which a satellite registers or leaves. */
  #checkedHostId({ host_id: claimed }: Dict, caller: Caller): string | undefined {
    if (claimed === undefined) return undefined;
    return this.#noting(caller, 'a registration', () => {
      const origin = checkOrigin(claimed, clientIngress(caller), this.#self().hostId, this.#mint.clientRandom);
      if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
      return origin.hostId;
    });
  }

  /** Counts and logs what is refused. */
  #noting<T>(caller: Caller, what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (RelayError.is(error)) this.#noteRefusal(what, caller, error);
      throw error;
    }
  }

  /** Every refusal at debug, under the id that the dict claims; forged origins also as a warning, once a second at most. */
  #noteRefusal(what: string, caller: Caller, error: RelayError): void {
    this.#log.debug(`refused ${what} of ${describeCaller(caller)}: ${error.message}`);
    if (error.code !== 'ORIGIN_REFUSED') return;
    this.#count.originRefused++;
    this.#warnings.warn(`refused a dict of ${describeCaller(caller)}: ${error.message}`);
  }

  #hosted(plugin: string, hosted: HostedMethod): Method {
    return {
      name: hosted.name,
      plugin,
      access: hosted.access,
      help: hosted.help,
      signatures: hosted.signature,
      invoke: (params) => {
        const answer = hosted.invoke(params);
        if (!isPromise(answer)) return answer;
        const { callTimeoutMs } = this.#options;
        const late = `${hosted.name} did not answer in ${callTimeoutMs} ms (callTimeoutMs)`;
        return withinLimit(this.#parts.clock, callTimeoutMs, late, () => answer);
      },
    };
  }

  async #callFromSatellite(satellite: string, name: string, params: readonly Sendable[], options: CallOptions): Promise<Value> {
    return asReceived(await this.#callAs(satellite, name, asReceived(params) as readonly Value[], options));
  }

  async #callAs(satellite: string, name: string, params: readonly Value[], { node }: CallOptions): Promise<Sendable> {
    if (node !== undefined)
      throw new RelayError('INVALID_PARAMS', `no route to node '${clean(node, 100)}': relays are no mesh yet, leave node out to call here`);
    return this.call(name, params, pluginCaller(satellite, this.#self()));
  }

  /** All callable methods, sorted by name. */
  describeMethods(): MethodDescription[] {
    return describeMethods(this.#registry);
  }

  /** The plugins here and how they are, as `plugin.list` answers them. */
  plugins(): readonly Struct[] {
    return this.#parts.pluginHost.status().plugins.map(pluginOnWire);
  }

  /** The methods that plugins expose, sorted by name. */
  exposedMethods(): ExposedMethod[] {
    return this.#registry
      .names()
      .map((name) => this.#registry.find(name))
      .filter(({ plugin }) => plugin !== undefined);
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
      maintainer: this.#options.maintainer,
      max_satellites: this.#parts.satellites.max,
      plugins: this.#parts.pluginHost
        .status()
        .plugins.filter(({ satellites }) => satellites.length > 0)
        .map(({ name }) => name),
    };
  }

  status(): RelayStatus {
    const hooks = this.#hooked?.counters ?? { heldBack: 0, hooksWaiting: 0, hooksOverflowed: 0 };
    return { ...this.#count, ...hooks, rateLimited: this.#limits.refused };
  }

  /** True if `address` (canonical) is one of a configured peer. */
  isPeerAddress(address: string): boolean {
    return this.#parts.mesh.isPeerAddress(address);
  }

  /** True if a peer at `address` (canonical) may send doubles that are not finite. */
  acceptsNonFinite(address: string): boolean {
    return this.#parts.mesh.acceptsNonFinite(address);
  }

  /** True if a satellite is registered at `address` (canonical). */
  isSatelliteAddress(address: string): boolean {
    return this.#parts.satellites.isSatelliteAddress(address);
  }

  /** The satellites elsewhere, in order of their registration. */
  satellites(): readonly SatelliteView[] {
    return this.#parts.satellites.list();
  }

  #self(): Identity {
    if (this.#identity) return this.#identity;
    throw new RelayError('UNAVAILABLE', 'the relay does not listen yet');
  }
}

/** By its origin too: ids can be guessed, and nobody may take another's. */
function keyOf({ hostId, id }: Message): string {
  return `${hostId} ${id}`;
}

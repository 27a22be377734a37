/** THE HEART, as the other rooms see it. Dicts take the way of `traffic.ts`, calls that of `calls.ts`; here the two are joined to the methods of the wire. */
import { RelayError } from '../core/core.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { FaultAnswer, QueueLimits, MaybePromise } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import type { HostedMethod, Hooks, RelayPort } from '../plugin-host/plugin-host.ts';
import type { SatelliteView, Sender } from '../satellites/satellites.ts';
import { Calls } from './calls.ts';
import type { Caller } from './caller.ts';
import type { Principal } from '../access/access.ts';
import type { Identity } from './intake.ts';
import type { Method } from './method-registry.ts';
import { addBasicMethods } from './methods/basic.ts';
import { describeMethods } from './methods/introspection.ts';
import type { MethodDescription } from './methods/introspection.ts';
import { addPluginMethods } from './methods/plugins.ts';
import type { PluginControl } from './methods/plugins.ts';
import { addSatelliteMethods } from './methods/satellites.ts';
import { addProgramMethods } from './methods/programs.ts';
import type { ProgramDesk } from './methods/programs.ts';
import { addReload } from './methods/reload.ts';
import type { Reload } from './methods/reload.ts';
import { addStatus } from './methods/status.ts';
import type { RelayOptions } from './options.ts';
import type { RelayParts, RelayStatus } from './parts.ts';
import { pluginOnWire } from './methods/plugin-on-wire.ts';
import type { Struct } from './methods/plugin-on-wire.ts';
import { propertiesFrom } from './methods/properties.ts';
import { Refusals } from './refusals.ts';
import { Traffic } from './traffic.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

export { relayDefaults, relayShape } from './options.ts';
export type { RelayOptions } from './options.ts';
export { callerOf } from './caller.ts';
export type { Caller } from './caller.ts';
export { CarrierDoor } from './carrier-door.ts';
export type { MethodDescription } from './methods/introspection.ts';
export type { PluginControl } from './methods/plugins.ts';
export type { Reload, ReloadReport } from './methods/reload.ts';
export type { FaultAnswer } from '../core/core.ts';
export type { Identity } from './intake.ts';
export type { ProgramCall, ProgramDesk } from './methods/programs.ts';
export type { RelayParts, RelayStatus } from './parts.ts';
export type { RelayEvent } from './relay-events.ts';
export { MethodRegistry } from './method-registry.ts';
export { addIntrospection } from './methods/introspection.ts';
export { addProgramMethods } from './methods/programs.ts';
export { recordOnWire } from './methods/satellites.ts';
export type { Passed } from './traffic.ts';

/** A method of a plugin, as it can be shown. */
export type ExposedMethod = Pick<Method, 'name' | 'help' | 'access' | 'signatures'>;

export class Relay {
  readonly #parts: RelayParts;
  readonly #calls: Calls;
  readonly #traffic: Traffic;
  readonly #refusals: Refusals;
  readonly #properties: ReturnType<typeof propertiesFrom>;
  #maintainer: string;
  #identity: Identity | undefined;

  constructor(parts: RelayParts) {
    const { options, clock } = parts;
    const log = parts.logs('relay');
    const self = (): Identity => this.#self();
    this.#parts = parts;
    this.#maintainer = options.maintainer;
    this.#properties = propertiesFrom(parts);
    this.#refusals = new Refusals(log, clock);
    this.#calls = new Calls({ options, log, clock, self, peers: parts.mesh });
    this.#traffic = new Traffic({ ...parts, refusals: this.#refusals, log, self });
    this.#addMethods();
  }

  #addMethods(): void {
    const { registry } = this.#calls;
    const { satellites, mesh, pluginHost, relayPlugins } = this.#parts;
    addBasicMethods(registry, {
      properties: () => this.properties(),
      accept: (dict, caller) => this.accept(dict, caller),
    });
    addSatelliteMethods(registry, {
      satellites,
      checkedHostId: (dict, caller) => this.#traffic.checkedHostId(dict, caller),
      accept: (dict, caller, sender) => this.accept(dict, caller, sender),
      send: (satellite, dict, caller) => this.#traffic.sendAsWritten(satellite, dict, caller),
      onWrongToken: (caller) => {
        this.#refusals.wrongToken(caller);
      },
    });
    addStatus(registry, {
      properties: () => this.properties(),
      counters: () => {
        const { accepted, sent, duplicates, originRefused } = this.status();
        return { accepted, sent, duplicates, origin_refused: originRefused };
      },
      mesh: () => mesh.status(),
      plugins: () => pluginHost.status(),
      relayPlugins: () => relayPlugins.status(),
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
    this.#maintainer = options.maintainer;
    this.#calls.reconfigure(options);
  }

  /** From now on every dict passes these hooks; at most `limits` of them wait. */
  useHooks(hooks: Hooks | undefined, limits: QueueLimits): void {
    this.#traffic.useHooks(hooks, limits);
  }

  /** Resolves when no dict is at a hook any more; what still waits after `ms` is refused. */
  async settle(ms: number): Promise<void> {
    await this.#traffic.settle(ms);
  }

  /** Makes `relay.reload` callable. */
  offerReload(reload: Reload): void {
    addReload(this.#calls.registry, reload);
  }

  /** Makes callable what programs that the relay started call. */
  offerPrograms(desk: ProgramDesk): void {
    addProgramMethods(this.#calls.registry, desk, (satellite, name, params, options, usesI8) =>
      this.#calls.callAs(satellite, name, params, options, usesI8),
    );
  }

  /** Makes `plugin.list` and its like callable. */
  offerPlugins(control: PluginControl): void {
    const methodsOf = (plugin: string): readonly string[] =>
      this.#calls
        .exposed()
        .filter((method) => method.plugin === plugin)
        .map(({ name }) => name);
    addPluginMethods(this.#calls.registry, { ...control, clock: this.#parts.clock, methodsOf });
  }

  /** Makes these, and no others, the callable methods of a plugin. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if one has the name of another's. */
  expose(plugin: string, methods: readonly HostedMethod[]): void {
    this.#calls.expose(plugin, methods);
  }

  /** What a satellite's `send` and `call` reach. */
  port(): RelayPort {
    return {
      expose: (plugin, methods) => {
        this.expose(plugin, methods);
      },
      // Whatever `durable` says: until the durable store is there everything is kept in memory.
      send: (satellite, dict) => this.send(satellite, dict),
      call: (satellite, method, params, options) => this.#calls.callFromSatellite(satellite, method, params, options),
    };
  }

  /** IN: see {@link Traffic.accept}. */
  accept(dict: Dict, caller: Caller, sender?: Sender): MaybePromise<string> {
    return this.#traffic.accept(dict, caller, sender);
  }

  /** OUT: see {@link Traffic.send}. */
  send(satellite: string, dict: Sendable): Promise<string> {
    return this.#traffic.send(satellite, dict);
  }

  /** What satellites elsewhere are told when this relay stops. Undefined if it never listened. */
  farewell(): Message | undefined {
    return this.#identity && this.#traffic.farewell();
  }

  /** CALL. Counts it, looks `name` up, decides access, runs it; an inner call takes the same way. Throws RelayErrors, Faults, and whatever a plugin throws: see {@link faultFor}. */
  call(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    return this.#calls.call(name, params, caller);
  }

  /** CALL, one of several that stand in one request: each counts and is authorised like any other, and none may hold calls itself. */
  callAmong(name: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    return this.#calls.callAmong(name, params, caller);
  }

  /** Throws a RelayError RATE_LIMITED if a call of this caller would be refused now; for a door, before it reads a body. Counts nothing. */
  requireAllowance(caller: Principal): void {
    this.#calls.requireAllowance(caller);
  }

  /** Counts a request that is no call: a page, a body that cannot be read. Throws a RelayError RATE_LIMITED. */
  count(caller: Principal): void {
    this.#calls.count(caller);
  }

  /** True if the caller may call the method of this name; for a page, which shows what it would answer. */
  may(name: string, caller: Principal): boolean {
    return this.#calls.may(name, caller);
  }

  /** Throws a RelayError LIMIT if one request may not hold `count` calls. */
  requireBatch(count: number): void {
    this.#calls.requireBatch(count);
  }

  /** The fault that a door answers for what `call` threw; unknown errors are logged under an id that the fault names. */
  faultFor(error: unknown, method: string): FaultAnswer {
    return this.#calls.faultFor(error, method);
  }

  /** All callable methods, sorted by name. */
  describeMethods(): MethodDescription[] {
    return describeMethods(this.#calls.registry);
  }

  /** The methods that plugins expose, sorted by name. */
  exposedMethods(): ExposedMethod[] {
    return this.#calls.exposed();
  }

  /** The plugins here and how they are, as `plugin.list` answers them. */
  plugins(): readonly Struct[] {
    return this.#parts.pluginHost.status().plugins.map(pluginOnWire);
  }

  /** What `system.get_properties` answers. */
  properties(): Readonly<Record<string, Sendable>> {
    return this.#properties(this.#self(), this.#maintainer);
  }

  status(): RelayStatus {
    return { ...this.#traffic.counters, ...this.#refusals.counters, rateLimited: this.#calls.rateLimited };
  }

  /** True if `address` (canonical) is one of a configured peer. */
  isPeerAddress(address: string): boolean {
    return this.#parts.mesh.isPeerAddress(address);
  }

  /** The extensions that a peer at `address` (canonical) is configured to read. */
  readBy(address: string): Extensions | undefined {
    return this.#parts.mesh.readBy(address);
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

/** The module that a child process runs: it is loaded, constructed, set up and exited by the same code as in the relay's own process. */
import 'reflect-metadata';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { container } from 'tsyringe';
import { clean, reasonOf, RelayError, systemClock, withTimeout } from '../../core/core.ts';
import type { Clock, Log } from '../../core/core.ts';
import { NO_EVENTS } from '../../events/events.ts';
import { snapshotOf, registerLoader, trackModules } from '../../loader/loader.mjs';
import type { Verdict } from '../../message/message.ts';
import type { DeliveryReport, Frame } from '../../plugin/internal.ts';
import { Double, dictOf, freezeDict, isDict, shareDict, showValue } from '../../values/values.ts';
import type { Dict, Frozen, Sendable, Value } from '../../values/values.ts';
import { parseStruct, serialiseStruct } from '../../xmlrpc/xmlrpc.ts';
import { frameOf, placeOf, problemAt, reasonText, whereThrown } from '../hosted/hosted.ts';
import type { HostedEndpointType, PluginProblem, RelayPort } from '../hosted/hosted.ts';
import {
  DeliveryContext,
  hasOwnMethod,
  importModule,
  pickSatellites,
  Version,
  Watchdog,
  noSatellitesProblem,
} from '../modules/internal.ts';
import type { ContextStamp, LoadedModule, SatelliteInstance } from '../modules/internal.ts';
import { ChildEndpoints } from './child-endpoints.ts';
import { accountOnWire } from './job.ts';
import type { ChildJob } from './job.ts';
import type { RelayClient } from './relay-client.ts';
import { pushItems } from './push-items.ts';
import type { PushedItem } from './push-items.ts';
import type { ChildMethod } from './server.ts';

export interface ChildModuleParts {
  readonly job: ChildJob;
  readonly client: Pick<RelayClient, 'call'>;
  readonly log: Log;
}

/** What the relay says of a message. */
interface ChildStamp extends ContextStamp {
  readonly generation: number;
}

/** A satellite that implements `receive`. */
interface ReceivingSatellite {
  /** `ham.spam.Spam` */
  readonly name: string;
  readonly instance: SatelliteInstance;
}

// A child queues nothing: the relay owns the inbox and sends one message at a time.
const UNUSED_INBOX = { maxMessages: 1, maxBytes: 1, overflow: 'drop-oldest' } as const;

export class ChildModule {
  readonly #parts: ChildModuleParts;
  readonly #clock: Clock = systemClock;
  /** Undefined if the module contains no satellite. */
  #version: Version | undefined;
  readonly #methods = new Map<string, ChildMethod>();
  /** The contexts of the deliveries in progress. */
  readonly #contexts = new Set<DeliveryContext>();
  /** The generations of the messages that satellites are receiving. */
  readonly #receivingFrom = new Map<string, number>();
  /** What ends each unit of work, recording and command in progress, by the id of its stream. */
  readonly #streams = new Map<string, AbortController>();
  #isStopping = false;
  /** Its watchers and reactors. */
  readonly endpoints: ChildEndpoints;
  #states: Dict = dictOf();
  #self: Promise<Value> | undefined;

  constructor(parts: ChildModuleParts) {
    this.#parts = parts;
    const offered = (): readonly HostedEndpointType[] => this.#version?.offers.endpoints ?? [];
    this.endpoints = new ChildEndpoints({ ...parts, offered, explain: (thrown) => this.explain(thrown) });
  }

  /** Imports and constructs the module for a relay of this version. Rejects with a RelayError PLUGIN_REFUSED if none of it can run. */
  async load(relayVersion: string): Promise<void> {
    const { job, log } = this.#parts;
    const problems: PluginProblem[] = [];
    const report = (problem: PluginProblem): void => {
      problems.push(problem);
    };
    registerLoader({ cacheDir: job.cacheDir });
    trackModules(job.found.root);
    const module = await this.#import(report);
    if (module) this.#version = this.#construct(module, relayVersion, report);
    const reasons = problems.map((problem) => `${placeOf(problem)}: ${problem.reason}`);
    if (this.#satellites.length === 0 && reasons.length > 0) throw new RelayError('PLUGIN_REFUSED', reasons.join('; '));
    for (const reason of reasons) log.error(`not loaded: ${reason}`);
    this.#version?.attach(this.#port());
  }

  async #import(report: (problem: PluginProblem) => void): Promise<LoadedModule | undefined> {
    const { job, log } = this.#parts;
    try {
      const imported = await importModule(job.found, { clock: this.#clock, timeoutMs: job.setupTimeoutMs, relayPlugins: job.relayPlugins });
      // An editor may truncate a file before writing it. The truncated file must not replace a working process with an idle one.
      if (imported.exported.size === 0 && imported.relayPlugins.count === 0) {
        report(await noSatellitesProblem(job.found));
        return undefined;
      }
      return pickSatellites(imported, { others: [], log, report });
    } catch (error) {
      report({ module: job.found.module, ...problemAt(error, job.found) });
      return undefined;
    }
  }

  #construct(module: LoadedModule, relayVersion: string, report: (problem: PluginProblem) => void): Version {
    const { job, log } = this.#parts;
    const logs = (): Log => log;
    const options = { ...job, inbox: UNUSED_INBOX, strictStart: true };
    // Nothing else depends on the event loop of a child.
    const watchdog = new Watchdog({ limitMs: Infinity, clock: this.#clock, logs });
    const parts = { options, relayVersion, container, logs, clock: this.#clock, watchdog, events: NO_EVENTS, wake: () => undefined };
    return new Version(module, parts, report);
  }

  get #satellites(): Version['satellites'] {
    return this.#version?.satellites ?? [];
  }

  /** The reason why the code of the plugin threw, with the file and line. */
  explain(thrown: unknown): string {
    const { root } = this.#parts.job.found;
    return `${reasonText(thrown, root)}${whereThrown(thrown, root)}`;
  }

  /** The files that the module imported, even if it failed to load. The relay watches them. */
  async account(): Promise<Sendable> {
    const { root, path } = this.#parts.job.found;
    return accountOnWire(snapshotOf(await realpath(join(root, path))));
  }

  /** The result of `plugin.get_version`. */
  statedVersion(): Sendable {
    const { version, requires } = this.#version?.stated ?? {};
    return { ...(version === undefined ? {} : { version }), ...(requires === undefined ? {} : { requires }) };
  }

  /** The result of `plugin.describe`. */
  describe(): Sendable {
    const satellites = this.#satellites;
    const methods = satellites.flatMap((one) => one.methods);
    const work = satellites.flatMap((one) => one.work);
    const datasources = satellites.flatMap((one) => one.datasources);
    const controllers = satellites.flatMap((one) => one.controllers);
    const endpoints = satellites.flatMap((one) => one.endpoints);
    const endpointsOf = (role: 'watcher' | 'reactor') =>
      endpoints.filter((one) => one.role === role).map(({ type, help }) => ({ type, help }));
    return {
      capabilities: [
        ...(satellites.some(({ inbox }) => inbox) ? ['receive'] : []),
        ...(methods.length > 0 ? ['exposed'] : []),
        ...(work.length > 0 ? ['work'] : []),
        ...(datasources.length > 0 ? ['datasource'] : []),
        ...(controllers.length > 0 ? ['controller'] : []),
        ...(endpoints.length > 0 ? ['services'] : []),
        ...(satellites.some(({ instance }) => instance.handover ?? instance.restore) ? ['handover'] : []),
        ...(satellites.some(({ instance, declared: { target } }) => hasOwnMethod(instance, target, 'onDelivery')) ? ['on_delivery'] : []),
      ],
      satellites: satellites.map(({ declared: { name }, inbox }) => ({ name, receives: inbox !== undefined })),
      durable: satellites.some(({ declared: { options }, inbox }) => inbox !== undefined && options.durable === true),
      methods: methods.map(({ name, help, signature, paramNames, options: { access = 'call' } }) => ({
        ...{ name, help, access, params: paramNames },
        ...(signature === undefined ? {} : { signature }),
      })),
      watchers: endpointsOf('watcher'),
      reactors: endpointsOf('reactor'),
      work: work.map(({ name: type, help, options: { payload = 'bytes', maxConcurrent, timeoutMs = Infinity, params } }) => ({
        ...{ type, help, payload, takes_params: params !== undefined },
        ...(maxConcurrent === undefined ? {} : { max_concurrent: maxConcurrent }),
        ...(timeoutMs === Infinity ? {} : { timeout_ms: timeoutMs }),
      })),
      datasources: datasources.map(({ name, help, options: { timeoutMs, maxTimeouts, overflow, maxFrames, maxBytes } }) => ({
        ...{ name, help, ...finite({ timeout_ms: timeoutMs, max_timeouts: maxTimeouts, max_frames: maxFrames, max_bytes: maxBytes }) },
        ...(overflow === undefined ? {} : { overflow }),
      })),
      controllers: controllers.map(({ name, help, options: { timeoutMs, maxConcurrent } }) => ({
        ...{ name, help, ...finite({ timeout_ms: timeoutMs, max_concurrent: maxConcurrent }) },
      })),
    };
  }

  /** Checks the configuration and runs each `setup`. Rejects with a RelayError PLUGIN_REFUSED. */
  async setup(config: Value): Promise<void> {
    await this.#version?.configure({ value: config, source: this.#parts.job.configSource });
    const onRunning = (): void => {
      for (const method of this.#version?.methods ?? []) this.#methods.set(method.name, (params) => method.invoke(params, () => undefined));
    };
    await this.#version?.setUp({ states: new Map(Object.entries(this.#states)), onRunning }).catch((error: unknown) => {
      // Unlike an invalid configuration, a failed setup may succeed at the next start.
      throw new RelayError('UNAVAILABLE', reasonOf(error), { cause: error });
    });
  }

  /** The relay's `plugin.on_delivery(report)`: what became of a message that a satellite of this process sent. */
  async onDelivery([report]: readonly Value[]): Promise<boolean> {
    const { satellite, id, status, reason, node } = isDict(report) ? report : dictOf();
    if (typeof satellite !== 'string' || typeof id !== 'string' || typeof reason !== 'string')
      throw new RelayError('INVALID_PARAMS', 'plugin.on_delivery takes a struct of a report');
    const about = typeof node === 'string' && node !== '' ? node : undefined;
    await this.#version?.reportDelivery(satellite, { id, status: status as DeliveryReport['status'], reason, node: about });
    return true;
  }

  /** Finds an exposed method by its full name, once its satellite runs. */
  method(name: string): ChildMethod | undefined {
    return this.#methods.get(name);
  }

  /** The relay's `plugin.execute(type, job)`: begins a unit of work, whose results are pushed. */
  execute([type, job]: readonly Value[]): boolean {
    const work = this.#version?.offers.work.find((one) => one.type === type);
    if (!work) throw new RelayError('NO_SUCH_METHOD', `there is no work ${showValue(type)} here`);
    const { unit, stream, params = dictOf(), submitter, payload, payload_path: path } = isDict(job) ? job : dictOf();
    const source = Buffer.isBuffer(payload) ? { bytes: payload } : typeof path === 'string' ? { path } : undefined;
    if (typeof stream !== 'string' || typeof unit !== 'string' || !source || !isDict(params))
      throw new RelayError('INVALID_PARAMS', 'plugin.execute takes the type of the work, and a struct of the unit');
    const order = { unit, params, payload: source, submitter: typeof submitter === 'string' ? submitter : '' };
    this.#push(`the results of unit ${clean(unit)} of ${work.type}`, stream, (signal) => work.run({ ...order, signal }));
    return true;
  }

  /** The relay's `plugin.start_record(name, {stream})`: begins a recording, whose frames are pushed. */
  startRecord([name, job]: readonly Value[]): boolean {
    const datasource = this.#version?.offers.datasources.find((one) => one.name === name);
    if (!datasource) throw new RelayError('NO_SUCH_METHOD', `there is no datasource ${showValue(name)} here`);
    const stream = streamOf('plugin.start_record', job);
    this.#push(`the frames of ${datasource.name}`, stream, (signal) => onWire(datasource.name, datasource.record(signal)), true);
    return true;
  }

  /** The relay's `plugin.command(name, frame, {stream})`: begins a command, whose frames are pushed. */
  command([name, frame, job]: readonly Value[]): boolean {
    const controller = this.#version?.offers.controllers.find((one) => one.name === name);
    if (!controller) throw new RelayError('NO_SUCH_METHOD', `there is no controller ${showValue(name)} here`);
    const sent = frameOf(frame, controller.name, Date.now);
    this.#push(`the frames of ${controller.name}`, streamOf('plugin.command', job), (signal) =>
      onWire(controller.name, controller.command(sent, signal)),
    );
    return true;
  }

  /** The relay's `plugin.cancel(stream)` and `plugin.stop_record(stream)`: ends a unit of work, a command or a recording. */
  cancel([stream]: readonly Value[]): boolean {
    if (typeof stream === 'string') this.#streams.get(stream)?.abort(new RelayError('UNAVAILABLE', 'it was canceled'));
    return true;
  }

  /** Pushes items to a stream of the relay until they end, or the relay wants no more. */
  #push(what: string, stream: string, items: (signal: AbortSignal) => AsyncIterable<PushedItem>, isInterruptible = false): void {
    const canceling = new AbortController();
    this.#streams.set(stream, canceling);
    const push = (batch: readonly Sendable[], options: Record<string, Sendable>): Promise<Value> =>
      // The end of this process says that a recording was interrupted; an error would be taken for one of the datasource.
      this.#isStopping && isInterruptible ? Promise.resolve(false) : this.#parts.client.call('relay.push_items', [stream, batch, options]);
    void pushItems(items(canceling.signal), push, (error) => this.explain(error), canceling)
      .catch((error: unknown) => {
        this.#parts.log.error(`${what} cannot be pushed: ${reasonOf(error)}`);
      })
      .finally(() => this.#streams.delete(stream));
  }

  /** The state for {@link restore} of the next version: the result of each `handover`, by satellite. */
  async handover(): Promise<Sendable> {
    const states = (await this.#version?.handOver()) ?? new Map<string, unknown>();
    // A map, because a class may have any name.
    return new Map([...states].filter(([, state]) => state !== undefined)) as ReadonlyMap<string, Sendable>;
  }

  /** Stores the state from the previous version's `handover` for {@link setup}. */
  restore(states: Value | undefined): void {
    if (isDict(states)) this.#states = states;
  }

  /** Exits the satellites in reverse order. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#version?.exit();
    this.#methods.clear();
    for (const context of this.#contexts) context.abort(new RelayError('UNAVAILABLE', 'the relay stops'));
  }

  /**
   * The relay's `notify(dict)`: delivers to all satellites at once, and resolves when all of them have received it. Rejects with a
   * RelayError APPLICATION that names the satellites that failed, and why.
   */
  async notify([dict]: readonly Value[]): Promise<boolean> {
    if (!isDict(dict)) throw new RelayError('INVALID_PARAMS', 'notify takes one struct');
    await this.#deliver(withoutStamp(dict), stampOf(dict.co2));
    return true;
  }

  /** Delivers to all satellites except `except`. Rejects like {@link notify}. */
  async #deliver(dict: Frozen, stamp: ChildStamp, except?: string): Promise<void> {
    const recipients = this.#receiving().filter(({ name }) => name !== except);
    const failures = await Promise.all(recipients.map((recipient) => this.#receive(recipient, dict, stamp)));
    const reasons = failures.filter((reason) => reason !== undefined);
    if (reasons.length > 0) throw new RelayError('APPLICATION', reasons.join('; '));
  }

  /** Resolves to the reason if the delivery failed. */
  async #receive({ name, instance }: ReceivingSatellite, frozen: Frozen, stamp: ChildStamp): Promise<string | undefined> {
    const { receiveTimeoutMs: ms } = this.#parts.job;
    const context = new DeliveryContext(stamp);
    this.#contexts.add(context);
    this.#receivingFrom.set(name, stamp.generation);
    try {
      const late = `it did not end in ${ms} ms (receiveTimeoutMs); the next message is delivered`;
      await withTimeout(this.#clock, ms, late, () => instance.receive?.(shareDict(frozen), context));
      return undefined;
    } catch (error) {
      if (RelayError.is(error) && error.code === 'TIMEOUT') context.abort(error);
      return `${name}: ${this.explain(error)}`;
    } finally {
      this.#contexts.delete(context);
      this.#receivingFrom.delete(name);
    }
  }

  #receiving(): readonly ReceivingSatellite[] {
    return this.#satellites.flatMap(({ declared: { name }, instance, inbox }) => (inbox ? [{ name, instance }] : []));
  }

  #port(): RelayPort {
    const { client, log } = this.#parts;
    return {
      expose: () => undefined,
      send: async (satellite, dict, { to, durable, ttlMs, ordered }) => {
        // The dict is serialized here, so that the author sees the same error as in the relay's own process.
        const source = serialiseStruct(dict, { nil: true, i8: true });
        const received = this.#receivingFrom.get(satellite);
        const generation = received === undefined ? 0 : received + 1;
        const given = { to, durable, ttl_ms: ttlMs, ordered, satellite, gen: generation === 0 ? undefined : generation };
        const id = (await client.call('relay.relay', [dict, withoutUndefined(given)])) as string;
        // The relay does not deliver the dict back to this process, which may contain other satellites of the module.
        if (to === undefined && this.#receiving().some(({ name }) => name !== satellite))
          this.#deliverToSiblings(satellite, id, generation, source).catch((error: unknown) => {
            log.error(`${clean(satellite)}: what it sent failed here:`, error);
          });
        return id;
      },
      call: (_satellite, method, params, { node }) =>
        client.call('relay.call', [method, params, { plain_numbers: true, ...(node !== undefined && { node }) }]),
    };
  }

  async #deliverToSiblings(satellite: string, id: string, generation: number, source: string): Promise<void> {
    const dict = await this.#asReceived(source);
    await this.#deliver(dict, { id, hops: 0, ageMs: 0, redelivered: false, verdict: 'local', generation }, satellite);
  }

  /** A dict that a satellite of this process sent, in the form in which other satellites receive it. */
  async #asReceived(source: string): Promise<Frozen> {
    this.#self ??= this.#parts.client.call('system.get_properties', []);
    const self = await this.#self;
    const { host_id: hostId = '', host = '', port = 0 } = isDict(self) ? self : dictOf();
    const sent = parseStruct(source, { limits: { maxBodyBytes: Buffer.byteLength(source) } });
    const members = Object.entries(sent).filter(([name]) => name !== 'co2' && name !== 'host_id' && name !== 'client_address');
    return freezeDict(dictOf([['host_id', hostId], ['client_address', [host, port]], ...members]));
  }
}

/** The id of the stream to which a process is to push. */
function streamOf(method: string, job: Value | undefined): string {
  const { stream } = isDict(job) ? job : dictOf();
  if (typeof stream === 'string') return stream;
  throw new RelayError('INVALID_PARAMS', `${method} needs a struct with the id of a stream`);
}

/** Frames as structs. Their time is a double, since it exceeds 32 bits; a source that the relay fills in is omitted, which saves time. */
async function* onWire(name: string, frames: AsyncIterable<Frame>): AsyncGenerator<PushedItem, void, undefined> {
  for await (const { source, type, timestamp, payload } of frames) {
    const rest = { type, timestamp: new Double(timestamp), payload };
    yield source === name ? rest : { source, ...rest };
  }
}

/** The members that can be sent. */
function withoutUndefined(members: Readonly<Record<string, Sendable | undefined>>): Sendable {
  return new Map(Object.entries(members).filter((entry): entry is [string, Sendable] => entry[1] !== undefined));
}

/** The members that are numbers other than Infinity, which cannot be sent. */
function finite(members: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(members).filter((entry): entry is [string, number] => Number.isFinite(entry[1])));
}

function withoutStamp(dict: Dict): Frozen {
  const members = Object.keys(dict).filter((name) => name !== 'co2' && name !== 'host_id' && name !== 'client_address');
  return freezeDict(dictOf(['host_id', 'client_address', ...members].map((name) => [name, dict[name] ?? null])));
}

/** Reads the struct `{id, hops, age_ms, redelivered, verdict, gen?}` from the relay. */
function stampOf(co2: Value | undefined): ChildStamp {
  const { id, hops, age_ms: age, redelivered, verdict, gen } = isDict(co2) ? co2 : dictOf();
  return {
    id: typeof id === 'string' ? id : '',
    hops: typeof hops === 'number' ? hops : 0,
    ageMs: typeof age === 'number' ? age : 0,
    redelivered: redelivered === true,
    generation: typeof gen === 'number' ? gen : 0,
    verdict: (typeof verdict === 'string' ? verdict : 'checked') as Verdict,
  };
}

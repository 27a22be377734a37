/** The one module of a child: loaded, constructed, set up and exited by the same code as in the relay's own process. */
import 'reflect-metadata';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { container } from 'tsyringe';
import { accountOf, registerLoader, trackModules } from '../../loader/loader.mjs';
import { RelayError, clean, systemClock } from '../../core/core.ts';
import { freezeDict, dictOf, isDict } from '../../values/values.ts';
import type { Clock, Log } from '../../core/core.ts';
import type { Dict, Frozen, Sendable, Value } from '../../values/values.ts';
import { parseStruct, serialiseStruct } from '../../xmlrpc/xmlrpc.ts';
import { assemble, statedOf, withoutSatellites, checkConfig, importModule, pickSatellites, Watchdog } from '../modules/modules.ts';
import type { Assembled, LoadedModule } from '../modules/modules.ts';
import { placeOf, problemAt } from '../hosted/hosted.ts';
import type { PluginProblem, RelayPort } from '../hosted/hosted.ts';
import { accountOnWire } from './account.ts';
import { Delivery } from './delivery.ts';
import type { ChildJob } from './job.ts';
import type { RelayClient } from './relay-client.ts';
import type { ChildMethod } from './server.ts';

export interface ChildModuleParts {
  readonly job: ChildJob;
  readonly client: Pick<RelayClient, 'call'>;
  readonly log: Log;
}

// Nothing is queued here: the relay hands in one message at a time.
const NO_INBOX = { maxMessages: 1, maxBytes: 1, overflow: 'drop-oldest' } as const;

export class ChildModule {
  readonly #parts: ChildModuleParts;
  readonly #clock: Clock = systemClock;
  readonly #delivery: Delivery;
  #assembled: readonly Assembled[] = [];
  #methods = new Map<string, ChildMethod>();
  #states: Dict = dictOf();
  #self: Promise<Value> | undefined;

  constructor(parts: ChildModuleParts) {
    this.#parts = parts;
    const { receiveTimeoutMs: timeoutMs, found } = parts.job;
    this.#delivery = new Delivery({ takers: () => this.#takers(), clock: this.#clock, timeoutMs, directory: found.root });
  }

  /** For a relay of this version. Rejects with a RelayError PLUGIN_REFUSED if nothing of the module can run. */
  async load(relayVersion: string): Promise<void> {
    const { job, log } = this.#parts;
    const problems: PluginProblem[] = [];
    const report = (problem: PluginProblem): void => {
      problems.push(problem);
    };
    registerLoader({ cacheDir: job.cacheDir });
    trackModules(job.found.root);
    const module = await this.#import(report);
    const options = { inbox: NO_INBOX, receiveTimeoutMs: job.receiveTimeoutMs };
    const silent = (): void => undefined;
    const logs = (): Log => log;
    // Whose loop this is everybody knows, and nobody else waits for it.
    const watchdog = new Watchdog({ limitMs: Infinity, clock: this.#clock, logs });
    const parts = { options, relayVersion, container, logs, clock: this.#clock, watchdog, report, onReady: silent, onEvent: silent };
    this.#assembled = module ? assemble(module, parts) : [];
    const reasons = problems.map((problem) => `${placeOf(problem)}: ${problem.reason}`);
    if (this.#assembled.length === 0 && reasons.length > 0) throw new RelayError('PLUGIN_REFUSED', reasons.join('; '));
    for (const reason of reasons) log.error(`left out: ${reason}`);
    for (const { satellite } of this.#assembled) satellite.attach(this.#port());
  }

  async #import(report: (problem: PluginProblem) => void): Promise<LoadedModule | undefined> {
    const { job, log } = this.#parts;
    try {
      const imported = await importModule(job.found, { clock: this.#clock, timeoutMs: job.setupTimeoutMs, relayPlugins: job.relayPlugins });
      // A process that serves nothing would replace one that serves, where the file was truncated to be written.
      if (imported.exported.size === 0 && imported.relayPlugins.count === 0) {
        report(await withoutSatellites(job.found));
        return undefined;
      }
      return pickSatellites(imported, { others: [], log, report });
    } catch (error) {
      report({ module: job.found.module, ...problemAt(error, job.found) });
      return undefined;
    }
  }

  /** What it imported, whether it loaded or not; the relay watches that. */
  async account(): Promise<Sendable> {
    const { root, path } = this.#parts.job.found;
    return accountOnWire(accountOf(await realpath(join(root, path))));
  }

  /** What `plugin.get_version` answers. */
  version(): Sendable {
    const { version, requires } = statedOf(this.#assembled);
    return { ...(version === undefined ? {} : { version }), ...(requires === undefined ? {} : { requires }) };
  }

  /** What `plugin.describe` answers. */
  describe(): Sendable {
    const methods = this.#assembled.flatMap((one) => one.methods);
    return {
      capabilities: [
        ...(this.#assembled.some(({ receiver }) => receiver) ? ['receive'] : []),
        ...(methods.length > 0 ? ['exposed'] : []),
        ...(this.#assembled.some(({ instance }) => instance.handover ?? instance.restore) ? ['handover'] : []),
      ],
      satellites: this.#assembled.map(({ declared: { name }, receiver }) => ({ name, receives: receiver !== undefined })),
      methods: methods.map(({ name, help, signature, options: { access = 'call' } }) => ({
        ...{ name, help, access },
        ...(signature === undefined ? {} : { signature }),
      })),
    };
  }

  /** Checks the configuration and runs each `setup`. Rejects with a RelayError PLUGIN_REFUSED. */
  async setup(config: Value): Promise<void> {
    const { configSource: source, setupTimeoutMs } = this.#parts.job;
    const configs: unknown[] = [];
    for (const { declared } of this.#assembled) configs.push(await checkConfig(declared, { value: config, source }));
    for (const [index, { satellite }] of this.#assembled.entries()) {
      await satellite.setup(configs[index], setupTimeoutMs, { state: this.#states[satellite.name] });
      for (const method of satellite.methods) this.#methods.set(method.name, (params) => method.invoke(params));
    }
  }

  /** An exposed method by its full name, once it runs. */
  method(name: string): ChildMethod | undefined {
    return this.#methods.get(name);
  }

  notify(params: readonly Value[]): Promise<boolean> {
    return this.#delivery.notify(params);
  }

  /** What the next version of the module gets by {@link restore}: by the names of satellites, what each `handover` answers. */
  async handover(): Promise<Sendable> {
    const { exitTimeoutMs } = this.#parts.job;
    // A class may have any name.
    const states = new Map<string, Sendable>();
    for (const { satellite } of this.#assembled) {
      const state = await satellite.handover(exitTimeoutMs);
      if (state !== undefined) states.set(satellite.name, state as Sendable);
    }
    return states;
  }

  /** Keeps what the version before handed over, for {@link setup}. */
  restore(states: Value | undefined): void {
    if (isDict(states)) this.#states = states;
  }

  /** Exits the satellites in reverse order. Never rejects. */
  async stop(): Promise<void> {
    for (const { satellite } of [...this.#assembled].reverse()) await satellite.exit(this.#parts.job.exitTimeoutMs);
    this.#methods.clear();
    this.#delivery.abort();
  }

  #takers() {
    return this.#assembled.flatMap(({ declared: { name }, instance, receiver }) => (receiver ? [{ name, instance }] : []));
  }

  #port(): RelayPort {
    const { client, log } = this.#parts;
    return {
      expose: () => undefined,
      send: async (satellite, dict, { durable }) => {
        // Written here, so that the author reads the same of what cannot be sent.
        const source = serialiseStruct(dict, { nil: true, i8: true });
        const id = (await client.call('relay.relay', [dict, durable === undefined ? {} : { durable }])) as string;
        // The relay does not hand it back to this process, where others of the module may be.
        if (this.#takers().some(({ name }) => name !== satellite))
          this.#tellOthers(satellite, id, source).catch((error: unknown) => {
            log.error(`${clean(satellite)}: what it sent failed here:`, error);
          });
        return id;
      },
      call: (_satellite, method, params, { node }) => client.call('relay.call', [method, params, node === undefined ? {} : { node }]),
    };
  }

  async #tellOthers(satellite: string, id: string, source: string): Promise<void> {
    const dict = await this.#asSeen(source);
    await this.#delivery.deliver(dict, { id, hops: 0, ageMs: 0, redelivered: false, verdict: 'local' }, satellite);
  }

  /** A dict of ours as satellites see it. */
  async #asSeen(source: string): Promise<Frozen> {
    this.#self ??= this.#parts.client.call('system.get_properties', []);
    const self = await this.#self;
    const { host_id: hostId = '', host = '', port = 0 } = isDict(self) ? self : dictOf();
    const sent = parseStruct(source, { limits: { maxBodyBytes: source.length } });
    const members = Object.entries(sent).filter(([name]) => name !== 'co2' && name !== 'host_id' && name !== 'client_address');
    return freezeDict(dictOf([['host_id', hostId], ['client_address', [host, port]], ...members]));
  }
}

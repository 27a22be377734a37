/** Composition root: makes the parts, starts them in order, stops them in reverse. The only place where the ring of parts closes. */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { container as globalContainer } from 'tsyringe';
import { changedOptions, completeOptions, takeOptions } from './config/config.ts';
import type { Completed, Config, Options } from './config/config.ts';
import { EventStream } from './events/events.ts';
import { HttpServer, ProgramServer, readTls } from './http/http.ts';
import type { HttpStatus } from './http/http.ts';
import { ForeignCarrier, HttpCarrier, resolveBySystem } from './links/links.ts';
import type { Resolve, ServerAddress, Transport } from './links/links.ts';
import { Mesh } from './mesh/mesh.ts';
import type { MeshStatus, PeerOptions } from './mesh/mesh.ts';
import { RelayError, SILENT, systemClock } from './core/core.ts';
import { formatHostId, hostPort } from './message/message.ts';
import { tokenId, TokenFile, configuredTokens } from './access/access.ts';
import type { Clock, Log, LogSource } from './core/core.ts';
import { PluginHost, PluginLogs, RelayPlugins, checkPlugins } from './plugin-host/plugin-host.ts';
import type { PluginHostStatus, RelayPluginStatus } from './plugin-host/plugin-host.ts';
import { CarrierDoor, Relay } from './relay/relay.ts';
import type { Passed, RelayEvent, Reload, ReloadReport, RelayStatus } from './relay/relay.ts';
import { Satellites } from './satellites/satellites.ts';
import type { SatellitesStatus } from './satellites/satellites.ts';
import { lockDirectory, openStateDirectory } from './state/state.ts';
import type { Listening, StateDirectory } from './state/state.ts';

export type { Config } from './config/config.ts';

/** What a relay takes from the process that it lives in. */
export interface Surroundings {
  /** Default: nothing is logged. */
  readonly logs?: LogSource | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1). Default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Gives a start up between two steps: what was started is stopped, and the start rejects. Default: never. */
  readonly signal?: AbortSignal | undefined;
  /** What `relay.reload` does. Default: there is no such method. */
  readonly reload?: Reload | undefined;
  /** ms since 1970, for what ends at a date. Default Date.now. */
  readonly date?: (() => number) | undefined;
  /** Environment variables, for secrets. Default those of the process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Answers the addresses of the host name of a peer. Default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  /** Default: HTTP, and the state directory that the options name. */
  readonly standIn?: StandIn | undefined;
}

/** What stands in for the machine's network and disk, as the test kit's does. */
export interface StandIn {
  /** Open; whose it is sees to it that no other relay has it. */
  readonly state: StateDirectory;
  /** Where callers of this relay come in. */
  readonly http: (relay: Relay) => HttpServerPort;
  /** How a server is reached. */
  readonly carrier: (server: ServerAddress) => Transport;
  /** Told of each message that passed the junction. */
  readonly onMessage: (passed: Passed) => void;
}

/** What a relay needs of its HTTP server. */
export type HttpServerPort = Pick<
  HttpServer,
  'scheme' | 'bound' | 'listening' | 'ownAddress' | 'isOwn' | 'bind' | 'open' | 'stop' | 'status' | 'reconfigure'
>;

/** Everything countable about a running relay. */
export interface AppStatus {
  readonly relay: RelayStatus;
  readonly mesh: MeshStatus;
  /** Those elsewhere. */
  readonly satellites: SatellitesStatus;
  readonly plugins: PluginHostStatus;
  /** In order. */
  readonly relayPlugins: readonly RelayPluginStatus[];
  readonly http: HttpStatus;
}

/** A relay that runs. */
export interface RunningRelay {
  /** Where it listens, `http://127.0.0.1:2004`. */
  readonly url: string;
  readonly hostId: string;
  /** What may everything, as it stands in the state directory. */
  readonly adminToken: string;
  /** What happens to this relay from now on, and what happened lately: states of plugins and satellites. */
  readonly events: EventStream<RelayEvent>;
  status(): AppStatus;
  /**
   * Takes what can change while it runs from `config`, in which an option that is left out has its default, and tells what needs a restart. Logging is whose logs they are.
   * Throws a RelayError CONFIG_INVALID; nothing has changed then.
   */
  reconfigure(config: Config): ReloadReport;
  /** Refuses what comes, lets plugins exit, empties the outboxes, closes everything. Calling it again waits for the same end. */
  stop(): Promise<void>;
}

/** A relay that was started from complete options, and takes such. */
export interface StartedRelay extends Omit<RunningRelay, 'reconfigure'> {
  reconfigure(options: Options): ReloadReport;
  /** Links it to the peer at this URL from now on; the peer has to do the same. */
  readonly addPeer: (url: string) => void;
}

// What parts take while they run; `log` is taken by whoever gave us the logs.
const LIVE: ReadonlySet<string> = new Set(
  (
    'allowedHosts allowedOrigins trustedProxies access.anonymous access.local access.peer access.satellite ' +
    'callTimeoutMs maxMulticall maintainer log.level log.levels'
  ).split(' '),
);

/** Version of this package. */
export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const silent: LogSource = () => SILENT;

/**
 * Starts a relay inside this process; relative paths in `config` start from the working directory. Several may run at once.
 * Rejects with a RelayError whose text says what to do; nothing is left open then.
 */
export async function createRelay(config: Config = {}, surroundings: Surroundings = {}): Promise<RunningRelay> {
  const baseDir = process.cwd();
  const complete = (caller: string, values: Config): Completed =>
    completeOptions([{ values, baseDir, nameOf: (key) => `${caller}: ${key}` }], baseDir);
  const { addPeer: _addPeer, ...relay } = await startRelay(complete('createRelay', config), surroundings);
  return { ...relay, reconfigure: (wanted) => relay.reconfigure(complete('reconfigure', wanted).options) };
}

/** Starts a relay from options that are complete. */
export async function startRelay(completed: Completed, surroundings: Surroundings = {}): Promise<StartedRelay> {
  const { options } = completed;
  const state = surroundings.standIn?.state ?? (await openStateDirectory(options.dataDir));
  const parts = makeParts(completed, state, surroundings);
  const { events, relay, http, carrierDoor, mesh, satellites, pluginHost, relayPlugins } = parts;
  const steps = new Steps((surroundings.logs ?? silent)('app'), surroundings.signal);
  try {
    if (!surroundings.standIn) await lock(steps, state, () => listeningOf(http, options));
    await startInOrder(steps, parts, options, { state, signal: surroundings.signal });
    if (surroundings.reload) relay.offerReload(surroundings.reload);
    http.open();
    carrierDoor.open();
  } catch (error) {
    await steps.stop();
    throw placed(error, completed.placeOf);
  }
  return {
    url: `${http.scheme}://${hostPort(http.bound.address, http.bound.port)}`,
    hostId: relay.hostId,
    adminToken: state.adminToken,
    events,
    status: () => ({
      relay: relay.status(),
      mesh: mesh.status(),
      satellites: satellites.status(),
      plugins: pluginHost.status(),
      relayPlugins: relayPlugins.status(),
      http: http.status(),
    }),
    reconfigure: reconfigurer(options, [relay, http]),
    addPeer: (url) => {
      mesh.add(url);
    },
    stop: () => steps.stop(),
  };
}

/**
 * Looks at what a start reads besides the options, and starts nothing: secrets, certificates, plugins and programs.
 * Answers what would be left out, a line each. Rejects with the RelayError that a start would end with.
 */
export async function checkStart(
  { options, isSet, placeOf }: Completed,
  env: Surroundings['env'] = process.env,
): Promise<readonly string[]> {
  try {
    configuredTokens(options.access.tokens, undefined, env);
    if (options.tls) readTls(options.tls);
    const problems = await checkPlugins({ ...options, directoryRequired: isSet('pluginsDir') }, env.PATH);
    return problems.map(({ file, reason }) => `${file} is left out: ${reason}`);
  } catch (error) {
    throw placed(error, placeOf);
  }
}

type Parts = ReturnType<typeof makeParts>;

/** Makes the parts, each with what it owns; nothing runs yet. */
function makeParts({ options, isSet }: Completed, state: StateDirectory, surroundings: Surroundings) {
  const {
    logs = silent,
    clock = systemClock,
    random = Math.random,
    date = Date.now,
    env = process.env,
    standIn,
    resolve = resolveBySystem,
  } = surroundings;
  const { maxBodyBytes } = options;
  const ownTokens = configuredTokens(options.access.tokens, state.adminToken, env);
  const tokenFile = new TokenFile(state.path, clock, logs('app'));
  const events = new EventStream<RelayEvent>({ clock, date });
  const pluginLogs = new PluginLogs(logs, [state.adminToken], date);
  const hosting = { options, directoryRequired: isSet('pluginsDir'), logs: pluginLogs.source, clock, cacheDir: state.cacheDir };
  const container = globalContainer.createChildContainer();
  const pluginHost = new PluginHost({
    ...{ ...hosting, container, relayVersion: VERSION, relayPlugins: options.relayPlugins },
    onEvent: (event) => {
      events.emit(event);
    },
    programs: { relayUrl: (): string => programServer?.url ?? '', stateDir: state.path, version: VERSION, random, env, maxBodyBytes },
  });
  const relayPlugins = new RelayPlugins({ ...hosting, container, maxDictBytes: maxBodyBytes });
  const byHttp = (server: ServerAddress): Transport => new HttpCarrier(server, () => http.bound.address, options.peerTimeoutMs);
  const carrier = standIn?.carrier ?? byHttp;
  const carrierDoor = new CarrierDoor({ relay: () => relay, maxBodyBytes });
  const carrying = { options, clock, random, log: logs('mesh'), relayPlugins, carrierDoor, self: () => relay.hostId };
  const peerCarrier = (peer: ServerAddress, { accept }: PeerOptions): Transport =>
    peer.isHttp ? carrier(peer) : foreignCarrier(peer, accept?.nonFinite ?? false, carrying);
  const mesh = new Mesh({ options, logs, clock, random, resolve, carrier: peerCarrier });
  const isValidToken = ({ name, id }: { readonly name: string; readonly id: string }): boolean =>
    [...ownTokens, ...tokenFile.all()].some(
      (token) => token.name === name && tokenId(token.sha256) === id && !(Date.parse(token.expires ?? '') <= date()),
    );
  // What is notified to them would come back to us.
  const taken = (address: string, port: number): string | undefined =>
    http.isOwn(address, port) ? "this relay's own address" : mesh.isPeerAt(address, port) ? 'a peer of this relay' : undefined;
  const satellites = new Satellites({ options, logs, clock, random, carrier, stateDir: state.path, taken, isValidToken });
  const made = { options, pluginHost, relayPlugins, mesh, satellites, logs, clock };
  const limits = { version: VERSION, maxDictBytes: maxBodyBytes };
  const relay = new Relay({ ...made, ...limits, onMessage: standIn?.onMessage });
  const tokens = [() => ownTokens, () => tokenFile.all()];
  const http: HttpServerPort = standIn?.http(relay) ?? new HttpServer({ options, relay, tokens, logs, clock, date });
  // A stand-in's relay opens no port, and so runs no programs.
  const programTokens = () => pluginHost.programTokens();
  const programServer = standIn ? undefined : new ProgramServer({ relay, tokens: programTokens, ...options });
  relay.offerPrograms(pluginHost);
  relay.offerPlugins({ host: pluginHost, events, logs: pluginLogs });
  return { events, pluginHost, relayPlugins, mesh, satellites, relay, http, carrierDoor, programServer };
}

interface Carrying {
  readonly options: Options;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly relayPlugins: RelayPlugins;
  readonly carrierDoor: CarrierDoor;
  /** Our host_id. */
  readonly self: () => string;
}

/** How a peer is reached that a relay plugin carries to. */
function foreignCarrier({ name, url, port, addresses }: ServerAddress, nonFinite: boolean, carrying: Carrying): Transport {
  const { options, relayPlugins, carrierDoor, ...common } = carrying;
  const [address = ''] = addresses;
  return new ForeignCarrier({
    ...{ ...common, name: `peer ${name}`, url, retry: options.retry, timeoutMs: options.peerTimeoutMs },
    make: () => relayPlugins.carrier(url),
    receive: carrierDoor.receiver({ address, port, nonFinite }),
  });
}

/** What the lock says of where the relay listens; nothing until it does. */
function listeningOf({ scheme, listening: addresses }: HttpServerPort, { unixSocket }: Options): Listening | undefined {
  return addresses.length === 0 ? undefined : { scheme, addresses, unixSocket };
}

/** Keeps other relays out of the state directory. */
async function lock(steps: Steps, state: StateDirectory, listening: () => Listening | undefined): Promise<void> {
  let unlock = (): Promise<void> => Promise.resolve();
  await steps.start(
    'state directory',
    () => unlock(),
    async () => {
      unlock = await lockDirectory(state.path, listening);
    },
  );
}

/** Starts the parts, each with what it calls back. */
async function startInOrder(
  steps: Steps,
  parts: Parts,
  options: Options,
  { state, signal }: { readonly state: StateDirectory; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { events, pluginHost, relayPlugins, mesh, satellites, relay, http, carrierDoor, programServer } = parts;
  await steps.start(
    'HTTP server',
    () => {
      // A long poll would keep its connection open.
      events.close();
      return Promise.all([http.stop(), carrierDoor.stop()]).then(nothing);
    },
    async () => {
      await http.bind();
      const { ownAddress: address, bound } = http;
      relay.identify({ hostId: formatHostId({ random: state.hostIdRandom, address, port: bound.port }), address, port: bound.port });
    },
  );
  await steps.start(
    'relay plugins',
    () => relayPlugins.stop(),
    async () => {
      await relayPlugins.start();
      for (const peer of options.peers) {
        if (typeof peer !== 'string' && peer.address !== undefined) relayPlugins.requireCarrier(new URL(peer.url));
      }
      relay.useHooks(relayPlugins.hooks, options.hookLine);
    },
  );
  await steps.start(
    'mesh',
    () => mesh.stop(),
    () => mesh.start(relay.hostId),
  );
  await steps.start(
    'satellites',
    // Both drain at once, so that a stop takes one drain budget and not two; the mesh's own step then finds nothing to do.
    () => Promise.all([satellites.stop(relay.farewell()), mesh.stop()]).then(nothing),
    () => satellites.start(relay.hostId),
  );
  // Before the plugins, and closed after them: a program may send from its start to its end.
  await steps.start(
    'program server',
    async () => programServer?.stop(),
    async () => programServer?.start(),
  );
  // The ring closes here: plugins send through the relay, which delivers to plugins.
  await steps.start(
    'plugins',
    // What they sent may still be at a hook.
    () => pluginHost.stop().then(() => relay.settle(options.drainMs)),
    // A program may take long to start, or hang.
    () => orAborted(pluginHost.start(relay.port()), signal),
  );
}

/** Waits no longer once `signal` is aborted. */
async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work;
  let onAbort = nothing;
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
  });
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  await Promise.race([work, aborted]).finally(() => {
    signal.removeEventListener('abort', onAbort);
  });
}

/** A room that refuses an option knows its key (`plugins: ...`); where the operator wrote it is known here. */
function placed(error: unknown, placeOf: Completed['placeOf']): unknown {
  const key = RelayError.is(error) && error.code === 'CONFIG_INVALID' ? /^\w+(?=: )/.exec(error.message)?.[0] : undefined;
  if (!RelayError.is(error) || key === undefined) return error;
  return new RelayError(error.code, placeOf(key) + error.message.slice(key.length), { cause: error });
}

/** Remembers what is in effect, and gives `parts` what changed of it. */
function reconfigurer(started: Options, parts: readonly { reconfigure(options: Options): void }[]): StartedRelay['reconfigure'] {
  let inEffect = started;
  return (wanted) => {
    const changed = changedOptions(inEffect, wanted);
    inEffect = takeOptions(inEffect, wanted, LIVE);
    for (const part of parts) part.reconfigure(inEffect);
    return { tookEffect: changed.filter((key) => LIVE.has(key)), needsRestart: changed.filter((key) => !LIVE.has(key)) };
  };
}

/** The steps that were started, to be stopped in reverse order; the HTTP server stops first, so that no new request is accepted. */
class Steps {
  readonly #started: { readonly name: string; readonly stop: () => Promise<void> }[] = [];
  #stopped: Promise<void> | undefined;

  constructor(
    private readonly log: Log,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async start(name: string, stop: () => Promise<void>, run: () => Promise<void>): Promise<void> {
    this.#started.push({ name, stop });
    await run();
    if (this.signal?.aborted) throw new RelayError('UNAVAILABLE', `the start was given up after ${name}`);
    this.log.debug(`${name} started`);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const isServer = ({ name }: { readonly name: string }): boolean => name === 'HTTP server';
    await Promise.all(this.#started.filter(isServer).map((step) => this.#stopOne(step)));
    for (const step of this.#started.filter((other) => !isServer(other)).reverse()) await this.#stopOne(step);
  }

  async #stopOne({ name, stop }: { readonly name: string; readonly stop: () => Promise<void> }): Promise<void> {
    try {
      await stop();
      this.log.debug(`${name} stopped`);
    } catch (error) {
      this.log.error(`${name} did not stop cleanly:`, error);
    }
  }
}

function nothing(): void {
  // Nobody listens.
}

/** The composition root: makes the parts of a relay, starts them in order and stops them in reverse. */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { container as globalContainer } from 'tsyringe';
import { configuredTokens, relayTokens } from './access/access.ts';
import { makeCapabilities, unknownPlugins } from './capabilities.ts';
import type { Capabilities } from './capabilities.ts';
import { changedOptions, takeOptions, throwProblems } from './config/config.ts';
import type { Completed, Config, Options } from './config/config.ts';
import { RecentLogs, RelayError, SILENT, Steps, systemClock } from './core/core.ts';
import type { Clock, LogSource, MaybePromise } from './core/core.ts';
import { EventStream, guarded } from './events/events.ts';
import { HttpServer, ProgramServer, clientTls, readTls } from './http/http.ts';
import type { HttpServerDependencies, HttpStatus } from './http/http.ts';
import { HttpLinkTransport, TRANSIENT_LINK_EVENTS, resolveBySystem } from './links/links.ts';
import type { HttpLimits, LinkTransport, Resolve, ServerAddress } from './links/links.ts';
import { checkTrust, makeMesh } from './mesh/make-mesh.ts';
import type { OwnMesh } from './mesh/make-mesh.ts';
import type { MeshStatus, PeerOptions } from './mesh/mesh.ts';
import { METRICS_TYPE, metricsText } from './metrics/metrics.ts';
import { formatHostId, hostPort } from './message/message.ts';
import { PluginHost, RelayPlugins, TRANSIENT_HOST_EVENTS, checkPlugins } from './plugin-host/plugin-host.ts';
import type { PluginHostStatus, RelayPluginStatus, RelayPort, SatelliteClasses, SendOptions } from './plugin-host/plugin-host.ts';
import {
  CustomEndpoint,
  OwnIdentity,
  RejectionLog,
  Router,
  TRANSIENT_RELAY_EVENTS,
  customTransport,
  logEvents,
  overviewOf,
  pluginOnWire,
  propertiesOf,
  reasonsAgainst,
  recordOnWire,
  relayMethods,
  relayStatus,
  restoreMessage,
} from './relay/relay.ts';
import type { MessageEvent, RelayEvent, RelayStatus, Reload, ReloadReport } from './relay/relay.ts';
import { Dispatcher } from './rpc/rpc.ts';
import type { CallStatus, DispatcherDependencies, MethodFailure } from './rpc/rpc.ts';
import { Satellites } from './satellites/satellites.ts';
import type { SatellitesStatus } from './satellites/satellites.ts';
import type { Sendable, Value } from './values/values.ts';
import { lockDirectory, openStateDirectory } from './state/state.ts';
import { MemoryDisk, levelDisk, logStoreEvent, startStore } from './store/store.ts';
import type { Store, StoreEvent } from './store/store.ts';
import type { Listening, StateDirectory } from './state/state.ts';
import { checkWorkPrograms } from './work/work.ts';

export type { HttpServerDependencies } from './http/http.ts';

/** What a relay takes from the process in which it runs. */
export interface RelayEnvironment {
  /**
   * Loggers by category, such as those of log4js (`(category) => log4js.getLogger(category)`). Default: warnings and errors are written to
   * stderr; the options `log.level` and `log.levels` change that.
   */
  readonly logs?: LogSource | undefined;
  /** Default: the clock of the machine. */
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1). Default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Cancels the start: what was started is stopped, and the start rejects. Default: never. */
  readonly signal?: AbortSignal | undefined;
  /** What `relay.reload` does. Default: there is no such method. */
  readonly reload?: Reload | undefined;
  /** ms since 1970, for what expires at a date. Default Date.now. */
  readonly date?: (() => number) | undefined;
  /** Environment variables, for secrets. Default those of the process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The absolute path of the configuration file, which the `co2` command compares with the one that it would read. Default: none. */
  readonly configFile?: string | undefined;
  /** Resolves the host name of a peer. Default: the resolver of the system. */
  readonly resolve?: Resolve | undefined;
}

/** The environment of a start, with the classes of the process that run as plugins. */
export interface StartEnvironment extends RelayEnvironment {
  readonly classes?: SatelliteClasses | undefined;
  /** True for a relay that keeps what it stores in memory, and tells the other nodes that it will not come back. Default false. */
  readonly isEphemeral?: boolean | undefined;
}

/** Replacements of network and disk, for the test kit. */
export interface Fakes {
  /** An open state directory that no other relay uses. */
  readonly state: StateDirectory;
  /** What the relay stores durably. */
  readonly disk: MemoryDisk;
  /** Receives the requests of this relay. */
  readonly http: (parts: Pick<HttpServerDependencies, 'dispatcher' | 'addresses'> & { readonly router: Router }) => HttpServerPort;
  /** Reaches another server. */
  readonly transport: (server: ServerAddress) => LinkTransport;
  readonly onMessage: (event: Extract<MessageEvent, { readonly type: 'message.routed' }>) => void;
}

/** What a relay needs of its HTTP server. */
export type HttpServerPort = Pick<
  HttpServer,
  'scheme' | 'tls' | 'bound' | 'listening' | 'ownAddress' | 'isOwn' | 'bind' | 'open' | 'stop' | 'status' | 'reconfigure'
>;

/** All counters and states of a running relay. */
export interface AppStatus {
  readonly relay: RelayStatus;
  readonly calls: CallStatus;
  readonly mesh: MeshStatus;
  /** The remote ones. */
  readonly satellites: SatellitesStatus;
  readonly plugins: PluginHostStatus;
  /** In order. */
  readonly relayPlugins: readonly RelayPluginStatus[];
  /** In the order of the configuration. */
  readonly services: ReturnType<Capabilities['services']['list']>;
  /** Calls between this relay and other nodes of the mesh. */
  readonly nodes: ReturnType<Capabilities['nodes']['calls']['counts']>;
  readonly http: HttpStatus;
}

/** A running relay. */
export interface RunningRelay {
  /** Where it listens, `http://127.0.0.1:2004`. */
  readonly url: string;
  readonly hostId: string;
  /** The token that permits everything, as it is in the state directory. */
  readonly adminToken: string;
  /**
   * What happens to this relay from now on, and what happened lately: states of plugins and satellites, and messages for current
   * subscribers.
   */
  readonly events: EventStream<RelayEvent>;
  /**
   * Calls `listener` with every event of this type from now on, such as `plugin.state` or `link.state`, and returns the function that ends
   * it. What the listener throws is logged.
   */
  on<Type extends RelayEvent['type']>(type: Type, listener: (event: Extract<RelayEvent, { readonly type: Type }>) => void): () => void;
  /**
   * Calls a method of a plugin, a program or the relay by its full name, with the rights of the admin token: `await relay.call(
   * 'ham.spam.add', [2, 3])`. Parameters and result are copies. Rejects with what the method throws, or with a RelayError.
   */
  call(method: string, params?: readonly Sendable[]): Promise<Value>;
  /**
   * Sends a dict as this relay: to all satellites and all other relays, or to the nodes that `options.to` names. It needs a member `data`;
   * `host_id` and `co2` are overwritten. Resolves to the id of the message, once it is stored if a durable satellite or another node
   * receives it. Rejects with a RelayError if no receiver could read the dict, `to` names no node, or the relay is stopping.
   */
  notify(dict: Sendable, options?: SendOptions): Promise<string>;
  status(): AppStatus;
  /**
   * Applies what can change while the relay runs from `config`, in which an omitted option has its default, and reports what needs a
   * restart. The owner of the loggers applies `log`. Throws a RelayError CONFIG_INVALID; nothing has changed then.
   */
  reconfigure(config: Config): ReloadReport;
  /** Refuses new requests, lets plugins exit, drains the outboxes, closes everything. Calling it again waits for the same end. */
  stop(): Promise<void>;
}

/** A relay that was started from complete options, and is reconfigured with such. */
export interface StartedRelay extends Omit<RunningRelay, 'reconfigure'> {
  reconfigure(options: Options): ReturnType<RunningRelay['reconfigure']>;
  /** Links it to the peer at this URL; the peer has to do the same. */
  readonly addPeer: (url: string) => void;
}

// The options that apply while a relay runs. The owner of the loggers applies `log`.
const LIVE: ReadonlySet<string> = new Set(
  (
    'allowedHosts allowedOrigins trustedProxies access.anonymous access.local access.peer access.satellite ' +
    'callTimeoutMs maxMulticall maintainer log.level log.levels'
  ).split(' '),
);

// The test kit runs no programs, which would need a server.
const NO_BYTES = Buffer.alloc(0);
// Plugins, programs and drains have time limits of their own; this one ends a host that hangs.
const PLUGINS_TIMEOUT_MS = 15 * 60_000;

/** Version of this package. */
export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const silent: LogSource = () => SILENT;

/** The sender of what the program sends that runs the relay. No satellite has this name, so all of them receive it. */
const EMBEDDER = 'the program that runs the relay';

/** Starts a relay from complete options. */
export async function startRelay(completed: Completed, environment: StartEnvironment = {}, fakes?: Fakes): Promise<StartedRelay> {
  const { options } = completed;
  const { logs: written = silent, clock = systemClock, date = Date.now, signal } = environment;
  const state = fakes?.state ?? (await openStateDirectory(options.dataDir));
  const transient = [...TRANSIENT_RELAY_EVENTS, ...TRANSIENT_LINK_EVENTS, ...TRANSIENT_HOST_EVENTS];
  const events = new EventStream<RelayEvent>({ clock, date, transient });
  const recentLogs = new RecentLogs(written, [state.adminToken], date, clock);
  const logs = recentLogs.source;
  const steps = new Steps({ clock, log: logs('app'), signal });
  let parts: Parts | undefined;
  try {
    if (!fakes) await lock(steps, state, () => parts && listeningOf(parts.http, options, environment.configFile));
    const disk = fakes?.disk ?? (environment.isEphemeral === true ? new MemoryDisk() : levelDisk(join(state.path, 'store')));
    const report = (event: StoreEvent): void => {
      events.emit(event);
      logStoreEvent(event, logs('store'));
    };
    const store = await startStore(steps, { disk, options: options.store, clock, report });
    parts = makeParts(completed, { state, store, events, recentLogs }, environment, fakes);
    await startInOrder(steps, parts, options, state);
    parts.http.open();
    parts.customEndpoint.open();
    parts.router.open();
    parts.ownMesh.announce(parts.http.scheme, parts.http.bound.port);
  } catch (error) {
    await steps.stop();
    throw placed(error, completed.placeOf);
  }
  const { identity, dispatcher, router, http, mesh } = parts;
  return {
    url: `${http.scheme}://${hostPort(http.bound.address, http.bound.port)}`,
    hostId: identity.get().hostId,
    adminToken: state.adminToken,
    events,
    on: (type, listener) => events.subscribe(guarded(listener, type, logs('app')), [type]),
    call: (method, params = []) => dispatcher.callFromProgram(method, params),
    notify: (dict, sendOptions) => router.send(EMBEDDER, dict, sendOptions),
    status: parts.status,
    reconfigure: reconfigurer(options, [dispatcher, http, parts.reconfigured]),
    addPeer: (url) => {
      mesh.add(url);
    },
    stop: () => steps.stop(),
  };
}

/**
 * Checks what a start reads besides the options, and starts nothing: secrets, certificates, plugins and programs.
 * Returns a line for each plugin that would not be loaded, and for each that `services` or `recordings` name and that does not exist.
 * Rejects with the RelayError with which a start would fail; if there are several, they are the errors of its cause, an AggregateError.
 */
export async function checkStart(
  { options, isSet, placeOf }: Completed,
  env: RelayEnvironment['env'] = process.env,
): Promise<readonly string[]> {
  const problems: RelayError[] = [];
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      const problem = placed(error, placeOf);
      if (!RelayError.is(problem)) throw problem;
      problems.push(problem);
      return undefined;
    }
  };
  await attempt(() => configuredTokens(options.access.tokens, undefined, env));
  if (options.tls) await attempt(() => options.tls && readTls(options.tls));
  await attempt(() => checkTrust(options));
  await attempt(() => {
    checkWorkPrograms(options.work, env.PATH);
  });
  const plugins = await attempt(() => checkPlugins({ ...options, directoryRequired: isSet('pluginsDir') }, env.PATH));
  throwProblems(problems);
  if (!plugins) return [];
  const notLoaded = plugins.problems.map(({ file, reason }) => `${file} would not be loaded: ${reason}`);
  return [...notLoaded, ...unknownPlugins(options, plugins.names)];
}

type Parts = ReturnType<typeof makeParts>;

/** What is there before the parts are made. */
interface Ground {
  readonly state: StateDirectory;
  readonly store: Store;
  readonly events: EventStream<RelayEvent>;
  readonly recentLogs: RecentLogs;
}

/** Makes the parts of a relay, each with what it depends on; nothing runs yet. */
function makeParts(
  { options, isSet }: Completed,
  { state, store, events, recentLogs }: Ground,
  environment: StartEnvironment,
  fakes: Fakes | undefined,
) {
  const { clock = systemClock, random = Math.random, date = Date.now, env = process.env, resolve = resolveBySystem } = environment;
  const { maxBodyBytes } = options;
  const logs = recentLogs.source;
  logEvents(events, logs, clock);
  if (fakes) events.subscribe(fakes.onMessage, ['message.routed']);
  const identity = new OwnIdentity();
  const self = identity.get;

  // Plugins and relay plugins.
  const hosting = { options, directoryRequired: isSet('pluginsDir'), logs, clock, cacheDir: state.cacheDir };
  const container = globalContainer.createChildContainer();
  const pluginHost = new PluginHost({
    ...{ ...hosting, container, relayVersion: VERSION, relayPlugins: options.relayPlugins, classes: environment.classes },
    events,
    programs: {
      ...{ relayUrl: (): string => programServer?.url ?? '', stateDir: state.path, version: VERSION, random, env, maxBodyBytes },
      answerChild: (plugin, document, gone): MaybePromise<Buffer> => programServer?.answer(plugin, document, gone) ?? NO_BYTES,
      keepLetters: { store, restore: restoreMessage, date },
    },
    storage: { store, restore: restoreMessage, date },
  });
  const relayPlugins = new RelayPlugins({ ...hosting, container, maxDictBytes: maxBodyBytes });

  // Links to peers and remote satellites.
  const byHttp = (server: ServerAddress, limits: HttpLimits = { timeoutMs: options.peerTimeoutMs }): HttpLinkTransport =>
    new HttpLinkTransport(server, () => http.bound.address, limits, linkTls);
  const linkTls = clientTls(() => http.tls, options.trust === 'ca');
  const transport = fakes?.transport ?? byHttp;
  const custom = { options, clock, random, events, log: logs('mesh'), relayPlugins, self, endpoint: () => customEndpoint };
  const otherwise = (peer: ServerAddress, { accept }: PeerOptions): LinkTransport | undefined =>
    peer.isHttp ? fakes?.transport(peer) : customTransport(peer, accept?.nonFinite ?? false, custom);
  const ownMesh = makeMesh({
    ...{ options, state, store, logs, events, clock, date, random, resolve, byHttp, otherwise },
    version: VERSION,
    ...{ isReal: !fakes, isEphemeral: environment.isEphemeral },
  });
  const { mesh, peering, discovery, host } = ownMesh;
  const { tokens, isValidToken } = relayTokens(options.access.tokens, state, { env, clock, date, log: logs('app') });
  // A satellite there would send everything that it gets back to us.
  const ownerOf = (address: string, port: number): string | undefined =>
    http.isOwn(address, port) ? "this relay's own address" : mesh.isPeerAt(address, port) ? 'a peer of this relay' : undefined;
  const satellites = new Satellites({ options, logs, events, clock, random, transport, stateDir: state.path, ownerOf, isValidToken });

  // The way of a dict, and the methods.
  const log = logs('relay');
  const rejections = new RejectionLog(log, clock, events);
  const router = new Router({
    ...{ pluginHost, satellites, mesh, meshPort: ownMesh.host, relayPlugins, rejections, events, log, clock, self },
    hookLimits: options.hookLine,
    maxDictBytes: maxBodyBytes,
  });
  const reportFailure = (failure: MethodFailure): string => pluginHost.methodFailed(failure);
  const callNode: DispatcherDependencies['callNode'] = (call) => capabilities.nodes.calls.callFor(call);
  const dispatcher: Dispatcher = new Dispatcher({ options, log, clock, self, peers: mesh, reportFailure, callNode });
  let { maintainer } = options;
  const properties = propertiesOf({ version: VERSION, self, maintainer: () => maintainer, satellites, pluginHost });
  const reconfigured = {
    reconfigure: (now: Options): void => {
      ({ maintainer } = now);
    },
  };
  relayMethods({
    ...{ dispatcher, router, rejections, satellites, mesh, peering, discovery, host, pluginHost, relayPlugins, events },
    ...{ logs: recentLogs, properties, clock, reload: environment.reload, capabilities: () => capabilities.status() },
  });
  const capabilities: Capabilities = makeCapabilities({
    ...{ options, state, store, events, logs, clock, date, random, env, pluginHost, router, dispatcher, self },
    ...{ mesh: host, peering, version: VERSION },
  });
  const port: RelayPort = {
    expose: (plugin, methods) => {
      dispatcher.expose(plugin, methods);
    },
    send: (satellite, dict, sendOptions, generation) => router.send(satellite, dict, sendOptions, generation),
    call: (satellite, method, params, callOptions) => dispatcher.callFromSatellite(satellite, method, params, callOptions),
  };

  // Where requests come in.
  const addresses = knownAddresses(ownMesh, satellites);
  const about = {
    properties,
    satellites: () => satellites.list().map(recordOnWire),
    plugins: () => pluginHost.status().plugins.map(pluginOnWire),
    overview: () => overviewOf({ plugins: pluginHost.status(), mesh: mesh.status() }),
    nodes: () => capabilities.nodes.overview(mesh.status().node?.neighbours ?? []),
  };
  const status = (): AppStatus => ({
    ...{ relay: relayStatus({ router, rejections, dispatcher }), calls: dispatcher.status(), mesh: mesh.status() },
    ...{ satellites: satellites.status(), plugins: pluginHost.status(), relayPlugins: relayPlugins.status() },
    ...{ services: capabilities.services.list(), nodes: capabilities.nodes.calls.counts(), http: http.status() },
  });
  const health = healthOf(status, () => self().hostId);
  const http: HttpServerPort =
    fakes?.http({ dispatcher, addresses, router }) ??
    new HttpServer({ options, dispatcher, addresses, about, health, ...capabilities.bodies, tokens, logs, clock, date });
  const customEndpoint = new CustomEndpoint(dispatcher, maxBodyBytes);
  // A relay of the test kit opens no port, and so runs no programs.
  const programServer = fakes ? undefined : new ProgramServer({ dispatcher, tokens: () => pluginHost.programTokens(), ...options });
  return {
    ...{ events, identity, port, pluginHost, relayPlugins, mesh, satellites, router, rejections, dispatcher, reconfigured },
    ...{ http, customEndpoint, programServer, status, capabilities, recentLogs, ownMesh },
  };
}

function healthOf(status: () => AppStatus, hostId: () => string): HttpServerDependencies['health'] {
  return {
    notReady: () => reasonsAgainst(status()),
    metrics: () => metricsText({ ...status(), version: VERSION, hostId: hostId() }),
    metricsType: METRICS_TYPE,
  };
}

function knownAddresses({ mesh, peering }: OwnMesh, satellites: Satellites): HttpServerDependencies['addresses'] {
  return {
    isPeerAddress: (address) => mesh.isPeerAddress(address),
    sessionOf: (header) => peering.sessionOf(header),
    isSatelliteAddress: (address) => satellites.isSatelliteAddress(address),
    readBy: (address) => mesh.readBy(address),
    acceptsNonFinite: (address) => mesh.acceptsNonFinite(address),
  };
}

/** What the lock tells about where the relay listens; nothing until it does. */
function listeningOf(http: HttpServerPort, { unixSocket }: Options, configFile: string | undefined): Listening | undefined {
  const { scheme, listening: addresses } = http;
  return addresses.length === 0 ? undefined : { scheme, addresses, unixSocket, configFile };
}

/** Keeps other relays out of the state directory. */
async function lock(steps: Steps, state: StateDirectory, listening: () => Listening | undefined): Promise<void> {
  let unlock = (): Promise<void> => Promise.resolve();
  await steps.start({
    name: 'the lock of the state directory',
    start: async () => {
      unlock = await lockDirectory(state.path, listening);
    },
    stop: () => unlock(),
  });
}

/** Starts the parts; the stops run in reverse, after that of the HTTP server. */
async function startInOrder(steps: Steps, parts: Parts, options: Options, state: StateDirectory): Promise<void> {
  const { events, identity, port, pluginHost, relayPlugins, satellites, router } = parts;
  const { http, customEndpoint, programServer, capabilities, recentLogs, ownMesh } = parts;
  const drainTimeoutMs = options.drainMs + 30_000;
  await steps.start({
    name: 'the HTTP server',
    start: async () => {
      await http.bind();
      const { ownAddress: address, bound } = http;
      identity.set({ hostId: formatHostId({ random: state.hostIdRandom, address, port: bound.port }), address, port: bound.port });
    },
    stop: async () => {
      capabilities.nodes.stop();
      // What arrives now is delivered after the next start.
      router.close();
      // While the neighbours are still answered.
      await ownMesh.leave();
      // A long poll would keep its connection open.
      events.close();
      recentLogs.close();
      await Promise.all([http.stop(), customEndpoint.stop()]);
    },
    stopsFirst: true,
  });
  await steps.start({
    name: 'relay plugins',
    start: async () => {
      await relayPlugins.start();
      for (const peer of options.peers) {
        if (typeof peer !== 'string' && peer.address !== undefined) relayPlugins.requireCarrier(new URL(peer.url));
      }
    },
    stop: () => relayPlugins.stop(),
    startTimeoutMs: PLUGINS_TIMEOUT_MS,
    stopTimeoutMs: PLUGINS_TIMEOUT_MS,
  });
  const startMesh = (): Promise<void> => ownMesh.start(identity.get(), http.scheme);
  await steps.start({ name: 'the mesh', start: startMesh, stop: () => ownMesh.stop(), stopTimeoutMs: drainTimeoutMs });
  await steps.start({
    name: 'satellites',
    start: () => satellites.start(identity.get().hostId),
    // Both drain at once, so that a stop takes one drain budget and not two; the step of the mesh then finds nothing to do.
    stop: async () => {
      await Promise.all([satellites.stop(identity.known && router.goodbye()), ownMesh.stop()]);
    },
    stopTimeoutMs: drainTimeoutMs,
  });
  // Before the plugins, and stopped after them: a program may send from its start to its end.
  await steps.start({
    name: 'the server of programs',
    start: () => programServer?.start(),
    stop: () => programServer?.stop(),
  });
  await steps.start({
    name: 'plugins',
    start: () => pluginHost.start(port),
    stop: async () => {
      await pluginHost.stop();
      // What they sent may still be at a hook.
      await router.settle(options.drainMs);
    },
    startTimeoutMs: PLUGINS_TIMEOUT_MS,
    stopTimeoutMs: PLUGINS_TIMEOUT_MS,
  });
  await capabilities.start(steps);
}

/** A part that refuses an option knows its key (`plugins: ...`); where the operator wrote it is known here. */
function placed(error: unknown, placeOf: Completed['placeOf']): unknown {
  const key = RelayError.is(error) && error.code === 'CONFIG_INVALID' ? /^\w+(?=: )/.exec(error.message)?.[0] : undefined;
  if (!RelayError.is(error) || key === undefined) return error;
  return new RelayError(error.code, placeOf(key) + error.message.slice(key.length), { cause: error, data: error.data });
}

/** Remembers the options in effect, and gives `parts` those that change. */
function reconfigurer(started: Options, parts: readonly { reconfigure(options: Options): void }[]): StartedRelay['reconfigure'] {
  let inEffect = started;
  return (wanted) => {
    const changed = changedOptions(inEffect, wanted);
    inEffect = takeOptions(inEffect, wanted, LIVE);
    for (const part of parts) part.reconfigure(inEffect);
    return { tookEffect: changed.filter((key) => LIVE.has(key)), needsRestart: changed.filter((key) => !LIVE.has(key)) };
  };
}

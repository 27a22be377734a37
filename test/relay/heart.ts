/** A relay without plugins, peers or a network: what would leave it is written down instead. */
import type { Clock, QueueLimits } from '../../src/core/core.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import type { MeshPort } from '../../src/mesh/mesh.ts';
import type { Message } from '../../src/message/message.ts';
import { permissionOf } from '../../src/access/access.ts';
import { ACCESS_CLASSES, RelayError, systemClock } from '../../src/core/core.ts';
import { dictOf } from '../../src/values/values.ts';
import type { HostedMethod, Caller } from '../../src/rpc/rpc.ts';
import type { PluginStatus, SatelliteStatus, Hooks, PluginHost } from '../../src/plugin-host/plugin-host.ts';
import { linkDefaults } from '../../src/links/links.ts';
import { Satellites, satelliteDefaults } from '../../src/satellites/satellites.ts';
import {
  TRANSIENT_RELAY_EVENTS,
  OwnIdentity,
  RejectionLog,
  Router,
  addBasicMethods,
  addSatelliteMethods,
  addStatus,
  propertiesOf,
  relayDefaults,
  relayStatus,
} from '../../src/relay/relay.ts';
import { Dispatcher } from '../../src/rpc/rpc.ts';
import type { RelayEvent, RelayStatus, RelayOptions } from '../../src/relay/relay.ts';
import { EventStream } from '../../src/events/events.ts';
import type { Role } from '../../src/access/access.ts';
import { parseCall, parseResponse, serialiseCall, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { LogRecord } from '../support/log-record.ts';

/** Some options, and some of the roles. */
export type HeartOptions = Partial<Omit<RelayOptions, 'access'>> & { readonly access?: Partial<RelayOptions['access']> };

/** host_id of every relay of {@link makeHeart}. */
export const SELF = 'self@192.0.2.1:2004';

export interface Heart {
  readonly dispatcher: Dispatcher;
  readonly router: Router;
  readonly status: () => RelayStatus;
  readonly log: LogRecord;
  readonly events: EventStream<RelayEvent>;
  readonly delivered: { readonly message: Message; readonly except: string | undefined }[];
  readonly forwarded: Message[];
  /** The ids of those that go to peers that are nodes, too. */
  readonly forwardedToNodes: string[];
  readonly call: (name: string, params?: readonly Value[], caller?: Caller) => Promise<Sendable>;
  /** Lets every dict pass these hooks. */
  readonly setHooks: (hooks: Hooks) => void;
}

/** What a relay in a mesh has of its own. */
export interface HeartInMesh {
  readonly meshPort?: MeshPort;
  readonly hostId?: string;
  /** Stores messages of durable satellites. */
  readonly keep?: PluginHost['keep'];
}

export function makeHeart(
  { access, ...options }: HeartOptions = {},
  methods: readonly Partial<HostedMethod>[] = [],
  identified = true,
  // Time stands still, timers run.
  clock: Clock = { now: () => 1_000, after: (ms, due) => systemClock.after(ms, due) },
  hookLimits: QueueLimits = { maxMessages: 1000, maxBytes: 2e6 },
  { meshPort, hostId = SELF, keep = () => undefined }: HeartInMesh = {},
): Heart {
  const log = new LogRecord();
  const delivered: Heart['delivered'][number][] = [];
  const forwarded: Message[] = [];
  const forwardedToNodes: string[] = [];
  const local = [{ name: 'ham.spam.Spam', module: 'ham.spam' }] as SatelliteStatus[];
  const pluginHost: Parameters<typeof propertiesOf>[0]['pluginHost'] & Pick<PluginHost, 'deliver' | 'keep' | 'reportDelivery'> = {
    keep,
    reportDelivery: () => undefined,
    deliver: (message, except) => delivered.push({ message, except }),
    status: () => ({
      plugins: [{ name: 'ham.spam', satellites: local } as unknown as PluginStatus],
      satellites: local,
      problems: [],
      keptMessages: [],
      kept: { versions: 0, bytes: 0 },
    }),
  };
  const mesh = {
    noteHop: () => undefined,
    mayHaveMoved: () => false,
    recheck: () => Promise.resolve(false),
    targets: () => ['http://192.0.2.9:2004'],
    forward: (message: Message, toNodes: boolean) => {
      if (toNodes) forwardedToNodes.push(message.id);
      return forwarded.push(message);
    },
    isPeerAddress: (address: string) => address === '192.0.2.9',
    status: () => ({ peers: [], hopLimited: 0, node: undefined }),
  };
  const events = new EventStream<RelayEvent>({ clock, transient: TRANSIENT_RELAY_EVENTS });
  const satellites = new Satellites({
    options: { ...satelliteDefaults, ...linkDefaults, drainMs: 0 },
    ...{ logs: log.source, events, clock: systemClock, random: () => 0.5, stateDir: '/nowhere' },
    transport: () => {
      throw new Error('nobody registers here');
    },
    ownerOf: () => undefined,
    isValidToken: () => true,
  });
  const identity = new OwnIdentity();
  if (identified) identity.set({ hostId, address: hostId.slice(hostId.indexOf('@') + 1, hostId.lastIndexOf(':')), port: 2004 });
  const relayLog = log.source('relay');
  const rejections = new RejectionLog(relayLog, clock, events);
  let hooks: Hooks | undefined;
  const relayPlugins = {
    get hooks() {
      return hooks;
    },
    status: () => [],
  };
  const common = { clock, log: relayLog, self: identity.get };
  const router = new Router({
    ...{ ...common, pluginHost, satellites, mesh, meshPort, relayPlugins, hookLimits, rejections, events },
    maxDictBytes: 8 * 1024 * 1024,
  });
  const dispatcher = new Dispatcher({
    ...{ ...common, peers: mesh, reportFailure: () => 'reported' },
    callNode: ({ node }) => Promise.reject(new RelayError('NOT_FOUND', `no node is named '${node}'`)),
    options: { ...relayDefaults, ...options, access: { ...relayDefaults.access, ...access } },
  });
  const properties = propertiesOf({
    ...{ version: '1.2.3', self: identity.get, satellites, pluginHost },
    maintainer: () => options.maintainer ?? '',
  });
  const status = (): RelayStatus => relayStatus({ router, rejections, dispatcher });
  addBasicMethods(dispatcher.registry, router, properties);
  addSatelliteMethods(dispatcher.registry, { satellites, router, rejections, generationOf: () => 0 });
  addStatus(dispatcher.registry, {
    ...{ properties, counters: status, mesh: mesh.status, plugins: pluginHost.status, relayPlugins: relayPlugins.status },
    capabilities: () => ({ nodes: [], work: { running: [], pending: 0, kept: 0, bytes: 0 }, recordings: [], services: [] }),
  });
  dispatcher.expose(
    'ham.spam',
    methods.map((method) => ({
      name: 'ham.spam.run',
      help: '',
      signature: undefined,
      access: 'call',
      invoke: async () => true,
      ...method,
    })),
  );
  return {
    ...{ dispatcher, router, status, log, delivered, forwarded, forwardedToNodes, events },
    call: (name, params = [], caller = LOCAL) => dispatcher.call(name, params, caller),
    setHooks: (given) => {
      hooks = given;
    },
  };
}

export function callerOf(kind: Role['kind'], address = '192.0.2.5', isPeer = kind === 'peer'): Caller {
  const role = roleOf(kind);
  return {
    role,
    address,
    port: 4711,
    isDirect: true,
    isPeer,
    sourceOf: () => undefined,
    exactOf: () => undefined,
  };
}

function roleOf(kind: Role['kind']): Role {
  if (kind === 'token') return { kind, name: 'ham.spam.Spam', id: 'a1', may: permissionOf({ classes: ACCESS_CLASSES, methods: ['*'] }) };
  return kind === 'plugin' ? { kind, name: 'ham.spam.Spam' } : { kind };
}

const LOCAL = callerOf('local', '127.0.0.1');

export { LOCAL as local };

/** `object` as it would arrive, without the members that are undefined. */
export function received(object: Readonly<Record<string, Sendable | undefined>>): Dict {
  const members = new Map(Object.entries(object).filter((entry): entry is [string, Sendable] => entry[1] !== undefined));
  return parseCall(serialiseCall('x', [members], { nil: true, i8: true })).params[0] as Dict;
}

export const DATA: Dict = dictOf([['data', 1]]);

/** `value` as a client would receive it. */
export function asReceived(value: Sendable): Value {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new Error(answer.text);
  return answer.value;
}

/** A relay without plugins, peers or a network: what would leave it is written down instead. */
import type { Clock } from '../../src/core/core.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import type { Message } from '../../src/message/message.ts';
import { permissionOf } from '../../src/access/access.ts';
import { ACCESS_CLASSES, systemClock } from '../../src/core/core.ts';
import { dictOf } from '../../src/values/values.ts';
import type { HostedMethod, PluginStatus, SatelliteStatus } from '../../src/plugin-host/plugin-host.ts';
import { EventStream } from '../../src/events/events.ts';
import { linkDefaults } from '../../src/links/links.ts';
import { Satellites, satelliteDefaults } from '../../src/satellites/satellites.ts';
import { Relay, relayDefaults } from '../../src/relay/relay.ts';
import type { Caller, RelayEvent, RelayOptions } from '../../src/relay/relay.ts';
import type { Role } from '../../src/access/access.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { LogRecord } from '../support/log-record.ts';

/** Some options, and some of the roles. */
export type HeartOptions = Partial<Omit<RelayOptions, 'access'>> & { readonly access?: Partial<RelayOptions['access']> };

/** host_id of every relay of {@link makeHeart}. */
export const SELF = 'self@192.0.2.1:2004';

export interface Heart {
  readonly relay: Relay;
  readonly log: LogRecord;
  readonly delivered: { readonly message: Message; readonly except: string | undefined }[];
  readonly forwarded: Message[];
  readonly call: (name: string, params?: readonly Value[], caller?: Caller) => Promise<Sendable>;
}

export function makeHeart(
  { access, ...options }: HeartOptions = {},
  methods: readonly Partial<HostedMethod>[] = [],
  identified = true,
  // Time stands still, timers run.
  clock: Clock = { now: () => 1_000, after: (ms, due) => systemClock.after(ms, due) },
): Heart {
  const log = new LogRecord();
  const delivered: Heart['delivered'][number][] = [];
  const forwarded: Message[] = [];
  const satellites = [{ name: 'ham.spam.Spam', module: 'ham.spam' }] as SatelliteStatus[];
  const relay = new Relay({
    options: { ...relayDefaults, ...options, access: { ...relayDefaults.access, ...access } },
    pluginHost: {
      deliver: (message, except) => delivered.push({ message, except }),
      methods: () => [],
      status: () => ({
        plugins: [{ name: 'ham.spam', satellites } as unknown as PluginStatus],
        satellites,
        problems: [],
        kept: { versions: 0, bytes: 0 },
      }),
    },
    relayPlugins: { status: () => [] },
    mesh: {
      noteHop: () => undefined,
      mayHaveMoved: () => false,
      recheck: () => Promise.resolve(false),
      targets: () => ['http://192.0.2.9:2004'],
      forward: (message) => forwarded.push(message),
      isPeerAddress: (address) => address === '192.0.2.9',
      acceptsNonFinite: () => false,
      readBy: () => undefined,
      status: () => ({ peers: [], hopLimited: 0 }),
    },
    satellites: new Satellites({
      options: { ...satelliteDefaults, ...linkDefaults, drainMs: 0 },
      ...{
        logs: log.source,
        clock: systemClock,
        random: () => 0.5,
        stateDir: '/nowhere',
        events: new EventStream<RelayEvent>({ clock: systemClock }),
      },
      transport: () => {
        throw new Error('nobody registers here');
      },
      taken: () => undefined,
      isValidToken: () => true,
    }),
    logs: log.source,
    clock,
    version: '1.2.3',
    maxDictBytes: 8 * 1024 * 1024,
  });
  if (identified) relay.identify({ hostId: SELF, address: '192.0.2.1', port: 2004 });
  relay.expose(
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
  return { relay, log, delivered, forwarded, call: (name, params = [], caller = local) => relay.call(name, params, caller) };
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
  };
}

function roleOf(kind: Role['kind']): Role {
  if (kind === 'token') return { kind, name: 'ham.spam.Spam', id: 'a1', may: permissionOf({ classes: ACCESS_CLASSES, methods: ['*'] }) };
  return kind === 'plugin' ? { kind, name: 'ham.spam.Spam' } : { kind };
}

export const local = callerOf('local', '127.0.0.1');

/** `object` as it would arrive, without the members that are undefined. */
export function received(object: Readonly<Record<string, Sendable | undefined>>): Dict {
  const members = new Map(Object.entries(object).filter((entry): entry is [string, Sendable] => entry[1] !== undefined));
  return parseCall(serialiseCall('x', [members], { nil: true, i8: true })).params[0] as Dict;
}

export const DATA: Dict = dictOf([['data', 1]]);

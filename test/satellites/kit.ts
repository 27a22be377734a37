/** Remote satellites without a network: each answers as the test says, on a clock that the test moves. */
import type { ExecutionContext } from 'ava';
import { LOGGED_LINK_EVENTS, TRANSIENT_LINK_EVENTS, linkDefaults, linkLogger } from '../../src/links/links.ts';
import type { LinkEvent, LinkTransport } from '../../src/links/links.ts';
import type { Dict, Sendable } from '../../src/values/values.ts';
import { RelayError } from '../../src/core/core.ts';
import { Satellites, logSatelliteEvents, satelliteDefaults } from '../../src/satellites/satellites.ts';
import type { Credential, RemoteSatelliteEvent, SatelliteOptions } from '../../src/satellites/satellites.ts';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { EventStream } from '../../src/events/events.ts';
import { SELF } from '../mesh/messages.ts';
import { EventRecord } from '../support/event-record.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { temporaryDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { received } from '../relay/heart.ts';

export interface Posted {
  /** URL without credentials. */
  readonly to: string;
  readonly method: string;
  readonly dict: Dict;
}

/** `ok` answers, `down` refuses the connection, `hang` never answers. */
export type Mood = 'ok' | 'down' | 'hang';

const REFUSED = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
const OK: ParsedResponse = {
  kind: 'value',
  value: true,
  extensions: { nil: false, i8: false },
  exact: () => true,
  exactOf: () => undefined,
  faultIn: () => undefined,
};

export function makeKit(t: ExecutionContext, options: Partial<SatelliteOptions> = {}, stateDir = temporaryDir(t)) {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const posts = new Gate<Posted>();
  const moods = new Map<string, Mood>();
  const closed: string[] = [];
  const transport = (server: { readonly name: string }): LinkTransport => ({
    post: (body) => {
      const { methodName, params } = parseCall(body);
      posts.push({ to: server.name, method: methodName, dict: params[0] as Dict });
      const mood = moods.get(server.name) ?? 'ok';
      if (mood === 'hang') return new Promise(() => undefined);
      return mood === 'down' ? Promise.reject(new RelayError('TRANSPORT', 'connection refused', { cause: REFUSED })) : Promise.resolve(OK);
    },
    reset: async () => undefined,
    close: async () => {
      closed.push(server.name);
    },
  });
  const events = new EventStream<LinkEvent | RemoteSatelliteEvent>({ clock, transient: TRANSIENT_LINK_EVENTS });
  const seen = new EventRecord(events);
  events.subscribe(linkLogger(log.source, clock), LOGGED_LINK_EVENTS);
  events.subscribe(
    (event) => {
      logSatelliteEvents(event, log.source('satellites'));
    },
    ['satellite.registered', 'satellite.left', 'satellite.expired'],
  );
  // Name -> which one it is.
  const validTokens = new Map([['ci', 'first']]);
  const satellites = new Satellites({
    options: { ...linkDefaults, ...satelliteDefaults, ...options, drainMs: 100 },
    ...{ logs: log.source, clock, random: () => 0.5, transport, events, stateDir },
    isValidToken: ({ name, id }) => validTokens.get(name) === id,
    ownerOf: (_address, port) => (port === 2004 ? "this relay's own address" : undefined),
  });
  const register = (props: Readonly<Record<string, Sendable | undefined>>, address = '192.0.2.7', hostId?: string, token?: Credential) =>
    satellites.register(received(props), { address, hostId, token });
  const notified = (to: string) => posts.all.filter((post) => post.to === to && post.method === 'notify').map(({ dict }) => dict.data);
  return {
    clock,
    log,
    seen,
    posts,
    moods,
    validTokens,
    closed,
    satellites,
    register,
    notified,
    stateDir,
    start: () => satellites.start(SELF),
  };
}

/** Lets everything that is decided already happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The table of metrics of a relay: name, type, help, labels, and how to read the values from a snapshot of its counters. */
import type { LinkStatus } from '../links/links.ts';
import type { MeshStatus, PeerState, PeerStatus } from '../mesh/mesh.ts';
import type { NodeCallCounts } from '../nodes/nodes.ts';
import type { PluginHostStatus, PluginState } from '../plugin-host/plugin-host.ts';
import { reasonsAgainst } from '../relay/relay.ts';
import type { RelayStatus } from '../relay/relay.ts';
import type { CallStatus } from '../rpc/rpc.ts';
import type { SatellitesStatus } from '../satellites/satellites.ts';

/** All counters and states of a relay at one moment. */
export interface Snapshot {
  readonly version: string;
  readonly hostId: string;
  readonly relay: RelayStatus;
  readonly calls: CallStatus;
  readonly mesh: MeshStatus;
  readonly satellites: SatellitesStatus;
  readonly plugins: PluginHostStatus;
  /** The services, with their endpoints. */
  readonly services: readonly {
    readonly name: string;
    readonly up: number;
    readonly down: number;
    readonly watchers: readonly { readonly name: string; readonly restarts: number }[];
    readonly reactors: readonly { readonly name: string; readonly restarts: number; readonly merged: number; readonly queued: number }[];
  }[];
  /** Calls between this relay and other nodes. */
  readonly nodes: readonly NodeCallCounts[];
  readonly http: { readonly wrongCredentials: number; readonly lockOuts: number };
}

/** A value with its labels. Values with the same labels are summed. */
export type Sample = readonly [value: number, labels?: Readonly<Record<string, string>>];

/** One row of the table. */
export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  /**
   * Names of labels. Label values come from the operator's configuration and plugins, or from closed lists. Values that callers choose must
   * never be labels, since each value creates a new time series.
   */
  readonly labels: readonly string[];
  readonly samples: (snapshot: Snapshot) => readonly Sample[];
}

const PLUGIN_STATES: readonly PluginState['type'][] = [
  ...(['ready', 'busy', 'starting', 'reloading', 'stopping'] as const),
  ...(['stopped', 'unresponsive', 'backoff', 'failed', 'not-loaded', 'empty'] as const),
];
const PEER_STATES: readonly PeerState[] = ['unused', 'connecting', 'up', 'down', 'never reached', 'one-way', 'stopped'];

const RELAY: readonly Metric[] = [
  gauge('co2_info', 'The relay; always 1.', ['version', 'host_id'], ({ version, hostId }) => [[1, { version, host_id: hostId }]]),
  gauge('co2_ready', '1 if /readyz answers 200: no plugin failed and no peer is down.', [], (snapshot) => [
    [reasonsAgainst(snapshot).length === 0 ? 1 : 0],
  ]),
];

const DICTS: readonly Metric[] = [
  counter('co2_dicts_accepted_total', 'Dicts that were accepted from clients, remote satellites and peers.', [], ({ relay }) => [
    [relay.accepted],
  ]),
  counter('co2_dicts_sent_total', 'Dicts that the satellites of this relay sent.', [], ({ relay }) => [[relay.sent]]),
  counter('co2_dicts_duplicate_total', 'Copies of dicts that were here before; they go nowhere.', [], ({ relay }) => [[relay.duplicates]]),
  counter(
    'co2_dicts_refused_total',
    'Refused dicts and registrations by reason: the code of the fault, HOOK for those that relay plugins refused, WRONG_TOKEN for a token of no satellite.',
    ['reason'],
    ({ relay }) => [
      // Always present, so that Prometheus sees the first event as an increase.
      [0, { reason: 'ORIGIN_REFUSED' }],
      ...Object.entries(relay.refusedByCode).map(([reason, count]): Sample => [count, { reason }]),
      [relay.refusedByHooks, { reason: 'HOOK' }],
      [relay.wrongTokens, { reason: 'WRONG_TOKEN' }],
    ],
  ),
  counter('co2_dicts_held_back_total', 'Dicts that hooks let through to satellites but not to peers.', [], ({ relay }) => [
    [relay.heldBack],
  ]),
  counter('co2_dicts_hop_limited_total', 'Dicts that were not forwarded because they had reached the hop limit.', [], ({ mesh }) => [
    [mesh.hopLimited],
  ]),
  gauge('co2_hooks_waiting', 'Dicts that wait for the hooks of relay plugins.', [], ({ relay }) => [[relay.hooksWaiting]]),
  counter('co2_hooks_overflowed_total', 'Dicts that were refused because too many waited for hooks.', [], ({ relay }) => [
    [relay.hooksOverflowed],
  ]),
];

type NodeStatus = NonNullable<MeshStatus['node']>;

const ofNode =
  (read: (node: NodeStatus) => number) =>
  ({ mesh: { node } }: Snapshot): readonly Sample[] =>
    node ? [[read(node)]] : [];

const MESH: readonly Metric[] = [
  counter(
    'co2_mesh_accepted_total',
    'Messages that this relay sent into the mesh.',
    [],
    ofNode(({ counters }) => counters.accepted),
  ),
  counter(
    'co2_mesh_delivered_total',
    'Messages that came from the mesh for this relay.',
    [],
    ofNode(({ counters }) => counters.delivered),
  ),
  counter(
    'co2_mesh_forwarded_total',
    'Messages of other nodes that were passed on.',
    [],
    ofNode(({ counters }) => counters.forwarded),
  ),
  counter(
    'co2_mesh_duplicate_total',
    'Messages that arrived again; they go nowhere.',
    [],
    ofNode(({ counters }) => counters.duplicates),
  ),
  counter(
    'co2_mesh_repeated_total',
    'Messages that were sent again.',
    [],
    ofNode(({ counters }) => counters.repeated),
  ),
  counter(
    'co2_mesh_expired_total',
    'Messages that waited too long, or came too late.',
    [],
    ofNode(({ counters }) => counters.expired),
  ),
  counter(
    'co2_mesh_dropped_total',
    'Messages that were given up.',
    [],
    ofNode(({ counters }) => counters.dropped),
  ),
  counter(
    'co2_mesh_forged_total',
    'Messages that were not what their origin had signed.',
    [],
    ofNode(({ counters }) => counters.forged),
  ),
  gauge(
    'co2_mesh_kept',
    'Messages that are kept for other nodes or for satellites.',
    [],
    ofNode(({ kept }) => kept),
  ),
  gauge(
    'co2_mesh_neighbours_up',
    'Neighbours with a link that is up.',
    [],
    ofNode(({ neighbours }) => neighbours.filter(({ state }) => state === 'up').length),
  ),
  gauge(
    'co2_mesh_storing',
    '1 while durable messages are accepted, 0 while they are refused.',
    [],
    ofNode(({ refusal }) => (refusal === undefined ? 1 : 0)),
  ),
];

type InboxStatus = PluginHostStatus['satellites'][number];

const ofInboxes =
  (read: (inbox: InboxStatus) => number) =>
  ({ plugins }: Snapshot): readonly Sample[] =>
    plugins.satellites.map((satellite) => [read(satellite), { satellite: satellite.name }]);

const INBOXES: readonly Metric[] = [
  counter(
    'co2_inbox_delivered_total',
    'Dicts that a local satellite received.',
    ['satellite'],
    ofInboxes(({ delivered }) => delivered),
  ),
  counter(
    'co2_inbox_failed_total',
    'Dicts whose delivery failed or took too long.',
    ['satellite'],
    ofInboxes(({ failed }) => failed),
  ),
  counter(
    'co2_inbox_dropped_total',
    'Dicts dropped because an inbox was full, or its satellite ended.',
    ['satellite'],
    ofInboxes(({ dropped }) => dropped),
  ),
  counter(
    'co2_inbox_merged_total',
    'Dicts replaced by a newer state of the same thing.',
    ['satellite'],
    ofInboxes(({ merged }) => merged),
  ),
  counter(
    'co2_inbox_refused_total',
    'Dicts that came after their satellite was stopped.',
    ['satellite'],
    ofInboxes(({ refused }) => refused),
  ),
  gauge(
    'co2_inbox_waiting',
    'Dicts in the inbox of a local satellite.',
    ['satellite'],
    ofInboxes(({ waiting }) => waiting),
  ),
  gauge(
    'co2_inbox_bytes',
    'Memory of the dicts in an inbox.',
    ['satellite'],
    ofInboxes(({ bytes }) => bytes),
  ),
  gauge(
    'co2_inbox_oldest_seconds',
    'For how long the oldest dict in an inbox has waited.',
    ['satellite'],
    ofInboxes(({ oldestMs }) => oldestMs / 1000),
  ),
];

const ofPeers =
  (read: (peer: PeerStatus) => number) =>
  ({ mesh }: Snapshot): readonly Sample[] =>
    mesh.peers.map((peer) => [read(peer), { peer: peer.peer }]);

const SESSIONS = ['proven', 'classic', 'none'] as const;

const PEERS: readonly Metric[] = [
  gauge(
    'co2_peer_state',
    '1 for the state of the link to a peer, 0 for the others. down, never reached and one-way (it sends, but has never answered): the peer is tried again; unused: nothing has been sent yet.',
    ['peer', 'state'],
    ({ mesh }) =>
      mesh.peers.flatMap(({ peer, state: current }) => PEER_STATES.map((state): Sample => [state === current ? 1 : 0, { peer, state }])),
  ),
  gauge(
    'co2_peer_session',
    '1 for what a peer has proved, 0 for the others. proven: it has proved its key; classic: it cannot, and is trusted by its address; none: no hello has succeeded yet.',
    ['peer', 'session'],
    ({ mesh }) =>
      mesh.peers.flatMap(({ peer, proof }) => SESSIONS.map((session): Sample => [session === proof.session ? 1 : 0, { peer, session }])),
  ),
  counter(
    'co2_peer_forwarded_total',
    'Dicts that a peer accepted.',
    ['peer'],
    ofPeers(({ forwarded }) => forwarded),
  ),
  counter(
    'co2_peer_refused_total',
    'Dicts that a peer rejected for good.',
    ['peer'],
    ofPeers(({ refused }) => refused),
  ),
  counter(
    'co2_peer_dropped_total',
    'Dicts dropped because the outbox of a peer was full, or its link ended.',
    ['peer'],
    ofPeers(({ dropped }) => dropped),
  ),
  gauge(
    'co2_peer_waiting',
    'Dicts in the outbox of a peer.',
    ['peer'],
    ofPeers(({ waiting }) => waiting),
  ),
  gauge(
    'co2_peer_bytes',
    'Memory of the dicts in the outbox of a peer.',
    ['peer'],
    ofPeers(({ bytes }) => bytes),
  ),
  gauge(
    'co2_peer_oldest_seconds',
    'For how long the oldest dict in the outbox of a peer has been at this relay.',
    ['peer'],
    ofPeers(({ oldestMs }) => oldestMs / 1000),
  ),
];

// Untrusted callers may be allowed to register as satellites, so remote satellites share one label.
const REMOTE: readonly Metric[] = [
  gauge('co2_remote_satellites', 'Registered remote satellites.', [], ({ satellites }) => [[satellites.satellites.length]]),
  gauge('co2_remote_satellites_failing', 'Remote satellites that did not answer the last ping or dict.', [], ({ satellites }) => [
    [satellites.satellites.filter(({ pings, link }) => pings.fails > 0 || link.downMs > 0).length],
  ]),
  counter('co2_remote_registered_total', 'Registrations, repeated ones included.', [], ({ satellites }) => [[satellites.registered]]),
  counter('co2_remote_unregistered_total', 'Remote satellites that unregistered.', [], ({ satellites }) => [[satellites.unregistered]]),
  counter('co2_remote_expired_total', 'Remote satellites that stopped answering, or whose token became invalid.', [], ({ satellites }) => [
    [satellites.dropped],
  ]),
  counter('co2_remote_delivered_total', 'Dicts that remote satellites accepted.', [], ({ satellites }) => [[satellites.totals.forwarded]]),
  counter('co2_remote_refused_total', 'Dicts that remote satellites rejected for good.', [], ({ satellites }) => [
    [satellites.totals.refused],
  ]),
  counter(
    'co2_remote_dropped_total',
    'Dicts dropped because the outbox of a remote satellite was full, or it left.',
    [],
    ({ satellites }) => [[satellites.totals.dropped]],
  ),
  gauge(
    'co2_remote_waiting',
    'Dicts in the outboxes of all remote satellites.',
    [],
    ofRemotes(sum, ({ waiting }) => waiting),
  ),
  gauge(
    'co2_remote_bytes',
    'Memory of the dicts in the outboxes of all remote satellites.',
    [],
    ofRemotes(sum, ({ bytes }) => bytes),
  ),
  gauge(
    'co2_remote_oldest_seconds',
    'For how long the oldest dict for a remote satellite has been at this relay.',
    [],
    ofRemotes(largest, ({ oldestMs }) => oldestMs / 1000),
  ),
];

const PLUGINS: readonly Metric[] = [
  gauge('co2_plugin_state', '1 for the state of a plugin, 0 for the others.', ['plugin', 'kind', 'state'], ({ plugins }) =>
    plugins.plugins.flatMap(({ name: plugin, kind, state: { type } }) =>
      PLUGIN_STATES.map((state): Sample => [state === type ? 1 : 0, { plugin, kind, state }]),
    ),
  ),
  counter('co2_plugin_restarts_total', 'How often a plugin was restarted automatically, or reloaded.', ['plugin'], ({ plugins }) =>
    plugins.plugins.map(({ name: plugin, restarts }) => [restarts, { plugin }]),
  ),
  counter(
    'co2_plugin_blocked_loop_total',
    'How often a plugin blocked the event loop for longer than loopWarningMs.',
    ['plugin'],
    ({ plugins }) => plugins.plugins.flatMap(({ name: plugin, held }) => (held === undefined ? [] : [[held, { plugin }] as const])),
  ),
  gauge(
    'co2_plugin_older_version',
    '1 if the current version of the plugin does not run, while an older one does.',
    ['plugin'],
    ({ plugins }) => plugins.plugins.map(({ name: plugin, reloadError }) => [reloadError === undefined ? 0 : 1, { plugin }]),
  ),
  gauge('co2_plugins_not_loaded', 'Files and classes that do not run.', [], ({ plugins }) => [[plugins.problems.length]]),
];

const CALLS: readonly Metric[] = [
  counter(
    'co2_faults_total',
    'Answered faults: the code of the error, FAULT for one that a plugin throws on purpose.',
    ['kind'],
    ({ calls }) => [[0, { kind: 'INTERNAL' }], ...Object.entries(calls.faults).map(([kind, count]): Sample => [count, { kind }])],
  ),
  counter('co2_rate_limited_total', 'Calls over the rate limit of their caller.', [], ({ relay }) => [[relay.rateLimited]]),
  counter('co2_wrong_credentials_total', 'Requests with a wrong token.', [], ({ http }) => [[http.wrongCredentials]]),
  counter('co2_lockouts_total', 'How often an address was locked out after too many wrong tokens.', [], ({ http }) => [[http.lockOuts]]),
];

const SERVICES: readonly Metric[] = [
  gauge('co2_service_nodes', 'Nodes of services by status.', ['service', 'status'], ({ services }) =>
    services.flatMap(({ name: service, up, down }): Sample[] => [
      [up, { service, status: 'up' }],
      [down, { service, status: 'down' }],
    ]),
  ),
  counter(
    'co2_service_restarts_total',
    'How often an endpoint of a service was started again.',
    ['service', 'role', 'endpoint'],
    ({ services }) =>
      services.flatMap(({ name: service, watchers, reactors }) => [
        ...watchers.map(({ name, restarts }): Sample => [restarts, { service, role: 'watcher', endpoint: name }]),
        ...reactors.map(({ name, restarts }): Sample => [restarts, { service, role: 'reactor', endpoint: name }]),
      ]),
  ),
  gauge('co2_service_queued', 'Node states that wait for a reactor.', ['service', 'endpoint'], ({ services }) =>
    services.flatMap(({ name: service, reactors }) => reactors.map(({ name, queued }): Sample => [queued, { service, endpoint: name }])),
  ),
  counter('co2_service_merged_total', 'Changes that were merged because a reactor lagged.', ['service', 'endpoint'], ({ services }) =>
    services.flatMap(({ name: service, reactors }) => reactors.map(({ name, merged }): Sample => [merged, { service, endpoint: name }])),
  ),
];

// Nodes that are trusted, or known by those that are; at most 1,024.
const NODES: readonly Metric[] = [
  counter('co2_node_calls_total', 'Calls of (in) and to (out) other nodes.', ['node', 'direction', 'outcome'], ({ nodes }) =>
    nodes.flatMap(({ node, answered, failed, ran, refused }): Sample[] => [
      [answered, { node, direction: 'out', outcome: 'answered' }],
      [failed, { node, direction: 'out', outcome: 'failed' }],
      [ran, { node, direction: 'in', outcome: 'answered' }],
      [refused, { node, direction: 'in', outcome: 'failed' }],
    ]),
  ),
];

/** All metrics with one value per set of labels. Call durations are a histogram, see {@link CALL_DURATION}. */
export const TABLE: readonly Metric[] = [
  ...RELAY,
  ...DICTS,
  ...INBOXES,
  ...PEERS,
  ...MESH,
  ...REMOTE,
  ...PLUGINS,
  ...SERVICES,
  ...NODES,
  ...CALLS,
];

/** The histogram of call durations. */
export const CALL_DURATION = {
  name: 'co2_call_duration_seconds',
  help: 'Duration of calls by method; methods beyond the first 200 are counted as (other).',
} as const;

function counter(...[name, help, labels, samples]: Row): Metric {
  return { name, type: 'counter', help, labels, samples };
}

function gauge(...[name, help, labels, samples]: Row): Metric {
  return { name, type: 'gauge', help, labels, samples };
}

type Row = [name: string, help: string, labels: readonly string[], samples: Metric['samples']];

function ofRemotes(combine: (values: readonly number[]) => number, read: (link: LinkStatus) => number): Metric['samples'] {
  return ({ satellites }) => [[combine(satellites.satellites.map(({ link }) => read(link)))]];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

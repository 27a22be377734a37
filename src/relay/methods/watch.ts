/** The methods for observing a relay: the dicts that pass through it, and the events of its plugins, links and satellites. */
import { posix } from 'node:path';
import { RelayError } from '../../core/core.ts';
import type { EmittedEvent } from '../../events/events.ts';
import type { PluginProblem } from '../../plugin-host/plugin-host.ts';
import type { PeerEvent } from '../../mesh/mesh.ts';
import { oneStruct } from '../../rpc/rpc.ts';
import type { Method, MethodRegistry } from '../../rpc/rpc.ts';
import { Attempt, shareDict } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { cleanUnsendable } from '../../xmlrpc/xmlrpc.ts';
import type { RelayEvent } from '../relay-events.ts';
import type { Watches } from '../watches.ts';

type Struct = Readonly<Record<string, Sendable>>;

const DICTS = ['message.routed'] as const satisfies readonly RelayEvent['type'][];
const EVENTS = [
  ...['plugin.state', 'plugin.version', 'plugin.problem', 'plugin.method_failed', 'satellite.state'],
  ...['inbox.failed', 'inbox.dropped', 'inbox.dead-letter'],
  ...['link.state', 'link.refused', 'link.dropped', 'link.carrier'],
  ...['peer.proven', 'peer.pinned', 'peer.classic', 'peer.unlisted', 'peer.pending', 'peer.approved', 'peer.forgotten', 'peer.refused'],
  ...['peer.found', 'peer.vanished', 'peer.copied', 'mesh.link', 'mesh.alarm'],
  ...['node.up', 'node.down', 'work.state'],
  ...['satellite.registered', 'satellite.left', 'satellite.expired', 'message.refused', 'message.outcome'],
] as readonly RelayEvent['type'][];
const DEFAULT_WAIT_MS = 25_000;
const MAX_WAIT_MS = 60_000;

/** Registers the methods. */
export function addWatchMethods(registry: MethodRegistry, watches: Watches): void {
  const add = (method: Pick<Method, 'name' | 'access' | 'help'>, types: readonly RelayEvent['type'][], answer: Answer): void => {
    registry.add({
      ...method,
      signatures: [['struct'], ['struct', 'struct']],
      paramNames: ['options'],
      invoke: async (params, { gone }) => {
        const { id, waitMs } = pollOf(method.name, params);
        const { events, missed, ...batch } = await watches.poll(types, { id, waitMs, gone });
        return { watch: batch.id, missed, ...answer(events) };
      },
    });
  };
  add(
    {
      name: 'relay.watch',
      // A caller that may send dicts may also register as a satellite, and would then receive all of them anyway.
      access: 'message',
      help: 'Shows dicts as they pass. Without parameters it opens a watch and answers its name; with {watch: NAME} it answers {watch, dicts, missed}: the dicts since the last call, each {at, id, sender, recipients, dict}, with not_shown, the reason, instead of dict where this caller cannot be sent it. If there are none it waits timeout_ms (default 25000, at most 60000) for one. A watch keeps 1000 dicts or 8 MiB; missed counts those that were dropped. It ends 60 s after the last call.',
    },
    DICTS,
    (events) => ({ dicts: events.flatMap(dictOnWire) }),
  );
  add(
    {
      name: 'relay.watch_events',
      access: 'admin',
      help: 'Shows what happens to plugins, satellites, links and nodes, which dicts are refused, and what becomes of those that satellites send to other nodes, as relay.watch shows dicts: {watch, events, missed}, each event {at, type, subject, state, reason}.',
    },
    EVENTS,
    (events) => ({ events: events.map(eventOnWire) }),
  );
}

type Answer = (events: readonly EmittedEvent<RelayEvent>[]) => Struct;

function pollOf(method: string, params: readonly Value[]): { readonly id: string | undefined; readonly waitMs: number } {
  const { watch: id, timeout_ms: waitMs = DEFAULT_WAIT_MS, ...others } = oneStruct(method, params);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new RelayError('INVALID_PARAMS', `${method} knows the members watch and timeout_ms only`);
  if (id !== undefined && typeof id !== 'string')
    throw new RelayError('INVALID_PARAMS', `${method}: watch must be the name that an earlier call answered`);
  if (typeof waitMs === 'number' && Number.isInteger(waitMs) && waitMs >= 0 && waitMs <= MAX_WAIT_MS) return { id, waitMs };
  throw new RelayError('INVALID_PARAMS', `${method}: timeout_ms must be an integer from 0 to ${MAX_WAIT_MS}`);
}

function dictOnWire({ at, event }: EmittedEvent<RelayEvent>): Sendable[] {
  if (event.type !== 'message.routed') return [];
  const { message, sender = '', recipients } = event;
  const facts = { at, id: message.id, sender, recipients };
  // One dict that this caller cannot read, such as one with nil, must not cost it the others.
  return [
    new Attempt({ ...facts, dict: shareDict(message.frozen()) }, (error) => ({
      ...{ ...facts, id: cleanUnsendable(facts.id), sender: cleanUnsendable(facts.sender) },
      not_shown: cleanUnsendable(causeOf(error)),
    })),
  ];
}

/** The message of the error with the path inside the entry, which begins with `dict`. */
function causeOf(error: unknown): string {
  const text = RelayError.is(error) ? error.message : 'the dict cannot be written';
  return text.replace(/^[^:]*?\.dicts\[\d+\]\./, '');
}

/** Always includes every member, so that typed clients need only one type. */
function eventOnWire({ at, event }: EmittedEvent<RelayEvent>): Struct {
  return { at, type: event.type, ...factsOf(event) };
}

interface Facts {
  readonly subject: string;
  readonly state: string;
  readonly reason: string;
}

function factsOf(event: RelayEvent): Facts {
  if (isPeerEvent(event)) return factsOfPeer(event);
  switch (event.type) {
    case 'plugin.state':
      return { subject: event.plugin, state: event.state.type, reason: 'reason' in event.state ? event.state.reason : '' };
    case 'plugin.version':
      return { subject: event.plugin, state: event.change, reason: '' };
    case 'plugin.problem':
      return { subject: event.problem.module ?? fileOf(event.problem), state: event.outcome, reason: placedReason(event.problem) };
    case 'plugin.method_failed':
      return { subject: event.plugin, state: `${event.method} failed`, reason: event.reason };
    case 'inbox.failed':
      return { subject: event.satellite, state: `delivery of ${event.id} failed`, reason: event.reason };
    case 'inbox.dropped':
      return { subject: event.satellite, state: `lost ${event.count}`, reason: event.reason };
    case 'inbox.dead-letter':
      return { subject: event.satellite, state: `dead letter ${event.id}`, reason: `it ended ${event.deaths} times at this message` };
    case 'satellite.state':
      return { subject: event.satellite, state: event.state.type, reason: '' };
    case 'satellite.registered':
      return { subject: event.satellite, state: 'registered', reason: event.nick };
    case 'satellite.left':
      return { subject: event.satellite, state: 'left', reason: '' };
    case 'satellite.expired':
      return { subject: event.satellite, state: 'expired', reason: event.reason };
    case 'link.state':
      return { subject: `${event.role} ${event.name}`, state: event.state.type, reason: 'reason' in event.state ? event.state.reason : '' };
    case 'link.refused':
      return { subject: `${event.role} ${event.name}`, state: `refused ${event.id}`, reason: event.reason };
    case 'link.dropped':
      return { subject: `${event.role} ${event.name}`, state: `lost ${event.count}`, reason: event.reason };
    case 'link.carrier':
      return { subject: `${event.role} ${event.name}`, state: event.state, reason: event.reason };
    case 'work.state':
      return { subject: `${event.work} ${event.unit}`, state: event.state, reason: event.reason };
    case 'recording.state':
      return { subject: event.recording, state: event.state, reason: event.reason };
    case 'store.state':
      return { subject: 'store', state: event.state.type, reason: 'reason' in event.state ? event.state.reason : '' };
    case 'store.damage':
      return { subject: 'store', state: 'damaged', reason: event.what };
    case 'message.refused':
      return { subject: event.caller, state: `refused ${event.what}`, reason: event.reason };
    case 'message.outcome':
      return { subject: event.satellite, state: `${event.status} ${event.id}`, reason: aboutNode(event) };
    default:
      return { subject: '', state: '', reason: '' };
  }
}

function isPeerEvent(event: RelayEvent): event is PeerEvent {
  return /^(?:peer|mesh|node)\./.test(event.type);
}

function factsOfPeer(event: PeerEvent): Facts {
  switch (event.type) {
    case 'peer.proven':
      return { subject: `peer ${event.peer}`, state: 'proven', reason: `node ${event.node} (${event.how})` };
    case 'peer.pinned':
      return { subject: `peer ${event.peer}`, state: 'pinned', reason: `node ${event.node}` };
    case 'peer.classic':
      return { subject: `peer ${event.peer}`, state: 'classic', reason: '' };
    case 'peer.unlisted':
      return { subject: `peer ${event.peer}`, state: 'does not trust this relay', reason: event.reason };
    case 'peer.pending':
      return { subject: `node ${event.node}`, state: 'waits for approval', reason: `code ${event.code}, from ${event.address}` };
    case 'peer.approved':
      return { subject: `node ${event.node}`, state: 'approved', reason: event.nick };
    case 'peer.forgotten':
      return { subject: `node ${event.node}`, state: 'forgotten', reason: '' };
    case 'peer.refused':
      return { subject: `peer ${event.peer}`, state: 'refused', reason: event.reason };
    case 'peer.found':
      return { subject: `peer ${event.peer}`, state: 'found', reason: `node ${event.node} (${event.nick}), code ${event.code}` };
    case 'peer.vanished':
      return { subject: `peer ${event.peer}`, state: 'vanished', reason: event.reason };
    case 'peer.copied':
      return { subject: `node ${event.node}`, state: 'copied', reason: event.reason };
    case 'mesh.link':
      return { subject: `node ${event.node}`, state: `link ${event.state}`, reason: event.reason };
    case 'node.up':
      return { subject: `node ${event.node}`, state: 'up', reason: event.nick };
    case 'node.down':
      return { subject: `node ${event.node}`, state: 'down', reason: event.reason };
    case 'mesh.alarm':
      return { subject: 'the mesh', state: 'alarm', reason: event.reason };
  }
}

/** The file without the directories of the machine. */
function fileOf({ file }: PluginProblem): string {
  return posix.isAbsolute(file) ? posix.basename(file) : file;
}

/** The reason with the place in the source, if that is known. */
function placedReason(problem: PluginProblem): string {
  const { line, column, reason } = problem;
  return line === undefined ? reason : `${[fileOf(problem), line, ...(column === undefined ? [] : [column])].join(':')}: ${reason}`;
}

function aboutNode({ node, reason }: Extract<RelayEvent, { readonly type: 'message.outcome' }>): string {
  return node === undefined ? reason : `node ${node}${reason === '' ? '' : `: ${reason}`}`;
}

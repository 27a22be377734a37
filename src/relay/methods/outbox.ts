/** The methods by which an operator sees what waits in the mesh for other nodes, tries it again, and gives it up. */
import { RelayError, clean } from '../../core/core.ts';
import { BUNDLE, nodeNamed, readBundle } from '../../mesh/mesh.ts';
import type { MeshHost } from '../../mesh/mesh.ts';
import { isCount, onlyMembers, wrongParams } from '../../rpc/rpc.ts';
import type { MethodRegistry } from '../../rpc/rpc.ts';
import { Attempt, Double, dictOf } from '../../values/values.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import { SET_BY_RELAYS, parseStruct } from '../../xmlrpc/xmlrpc.ts';
import { DICT, decodeDict } from '../dict-payload.ts';

type Host = Pick<MeshHost, 'outbox' | 'nodes'>;
type Entry = Extract<Awaited<ReturnType<MeshHost['outbox']>>, { readonly type: 'list' }>['entries'][number];

const MAX_ENTRIES = 100;

/** Registers the methods. Undefined: this relay has no mesh, and nothing waits in it. */
export function addOutboxMethods(registry: MethodRegistry, host: Host | undefined): void {
  registry.add({
    name: 'outbox.list',
    access: 'admin',
    help: 'Lists what waits here in the mesh for other nodes, the oldest first: {after: position of the last one of the page before, limit: 1 to 100 (default 100), node: the id or nick of a node, only what waits for it}. Returns {messages, more}; each message has position, id, origin, target (empty: all nodes), waiting_for, state (waiting: there is no path; queued; in-flight; custody: a neighbour has it, and its target has not confirmed it), durable, bytes, kind, sent_ms_ago, ttl_left_ms, attempts and last_reason.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: async (params) => {
      const { after = 0, limit = MAX_ENTRIES, node } = onlyMembers('outbox.list', params, ['after', 'limit', 'node']);
      if (!isCount(after, 0, Number.MAX_SAFE_INTEGER)) throw wrongParams('outbox.list: after is a position, from 0');
      if (!isCount(limit, 1, MAX_ENTRIES)) throw wrongParams(`outbox.list: limit is from 1 to ${MAX_ENTRIES}`);
      if (node !== undefined && typeof node !== 'string') throw wrongParams('outbox.list: node is the id or nick of a node');
      if (!host) return { messages: [], more: false };
      const id = node === undefined ? undefined : nodeNamed(node, host.nodes(), { mayBeAway: true });
      const answer = await host.outbox({ type: 'list', after, limit, node: id });
      return answer.type === 'list' ? { messages: answer.entries.map(entryOnWire), more: answer.hasMore } : { messages: [], more: false };
    },
  });
  registry.add({
    name: 'outbox.show',
    access: 'admin',
    help: 'Returns a message of outbox.list by its id, with the bytes that it carries as payload (base64), and the dict if it carries one, or dicts if it is a bundle.',
    signatures: [['struct', 'string']],
    invoke: async (params) => {
      const id = idIn('outbox.show', params);
      const answer = await host?.outbox({ type: 'show', id });
      if (answer?.type !== 'message') throw unknown(id);
      const { entry, payload } = answer;
      if (!payload) throw new RelayError('STATE_DIRECTORY', `message ${clean(id, 100)} is damaged on the disk and cannot be read`);
      const struct = { ...entryOnWire(entry), payload };
      const contents = contentsOf(entry.head?.contentType, payload);
      // A caller that cannot read the dict, such as one with nil, gets its bytes.
      return contents === undefined ? struct : new Attempt({ ...struct, ...contents }, () => struct);
    },
  });
  registry.add({
    name: 'outbox.retry',
    access: 'admin',
    help: 'Tries to send a message of outbox.list at once, by its id.',
    signatures: [['boolean', 'string']],
    invoke: async (params) => {
      const id = idIn('outbox.retry', params);
      if ((await host?.outbox({ type: 'retry', id }))?.type !== 'done') throw unknown(id);
      return true;
    },
  });
  registry.add({
    name: 'outbox.drop',
    access: 'admin',
    help: 'Gives up a message of outbox.list, by its id; its sender gets a report. What another node has taken over may still arrive.',
    signatures: [['boolean', 'string']],
    invoke: async (params) => {
      const id = idIn('outbox.drop', params);
      if ((await host?.outbox({ type: 'drop', id, reason: 'an operator dropped it' }))?.type !== 'done') throw unknown(id);
      return true;
    },
  });
}

function entryOnWire(entry: Entry): Record<string, Sendable> {
  const { position, id, origin, target = '', waitingFor, state, isDurable, bytes, ttlLeftMs, attempts, head, ageMs = 0 } = entry;
  return {
    ...{ position: new Double(position), id, origin, target, waiting_for: waitingFor, state, durable: isDurable, bytes },
    ...{ kind: head?.contentType ?? '', sent_ms_ago: new Double(Math.round(ageMs)), ttl_left_ms: new Double(Math.round(ttlLeftMs)) },
    ...{ attempts, last_reason: entry.lastReason ?? '' },
  };
}

/** The dict of a message, or those of a bundle; undefined if it carries none, or is damaged. */
function contentsOf(kind: string | undefined, payload: Buffer): Readonly<Record<string, Sendable>> | undefined {
  if (kind === DICT) {
    const dict = dictIn(payload);
    return dict && { dict };
  }
  if (kind !== BUNDLE) return undefined;
  const { contentType, parts } = readBundle(payload);
  return contentType === DICT ? { dicts: parts.flatMap((part) => dictIn(part.payload) ?? []) } : undefined;
}

/** The dict in a payload, without what relays set themselves; undefined if it is damaged. */
function dictIn(payload: Buffer): Dict | undefined {
  try {
    const { source } = decodeDict(payload);
    const dict = parseStruct(source, { limits: { maxBodyBytes: source.length }, allowNonFinite: true });
    return dictOf(Object.entries(dict).filter(([name]) => !SET_BY_RELAYS.some((one) => one === name)));
  } catch (error) {
    if (RelayError.is(error)) return undefined;
    throw error;
  }
}

function idIn(method: string, [id, ...more]: readonly Value[]): string {
  if (typeof id === 'string' && more.length === 0) return id;
  throw wrongParams(`${method} takes the id of a message, as outbox.list shows it`);
}

function unknown(id: string): RelayError {
  return new RelayError('INVALID_PARAMS', `no message '${clean(id, 100)}' waits here; outbox.list (co2 outbox) shows those that do`);
}

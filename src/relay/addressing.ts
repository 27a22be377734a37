/** Reads whom a dict is for: everybody, a node, several nodes, or any node that offers something. */
import { RelayError, clean } from '../core/core.ts';
import { MAX_TTL_MS } from '../mesh-core/mesh-core.ts';
import type { Target } from '../mesh-core/mesh-core.ts';
import type { Destination } from '../message/message.ts';
import { isDict, showValue } from '../values/values.ts';
import type { Value } from '../values/values.ts';

/** How a dict is sent. */
export interface Sending {
  /** Whether satellites of this relay get it. */
  readonly destination: Destination;
  /** The other nodes that get it. */
  readonly targets: readonly Target[];
  /** False: it is not stored, even if a durable satellite receives it, and other nodes keep it in memory only. */
  readonly isDurable: boolean;
  /** ms until it is not delivered to other nodes any more. Default: that of the mesh. */
  readonly ttlMs?: number | undefined;
  /** True: it does not overtake an earlier one on its way over the mesh. Default false. */
  readonly isOrdered?: boolean | undefined;
}

/** What the caller of a method or the author of a plugin says about it; nothing of it is checked. */
export interface Wanted {
  readonly to?: unknown;
  readonly durable?: unknown;
  readonly ttlMs?: unknown;
  readonly ordered?: unknown;
}

const ALL: readonly Target[] = [{ type: 'all' }];
/** To everybody, and stored if anybody wants that. */
export const TO_ALL: Sending = { destination: 'all', targets: ALL, isDurable: true };
/** To everybody, from memory. */
export const TO_ALL_AT_ONCE: Sending = { destination: 'all', targets: ALL, isDurable: false };

// As many as a mesh may have. Protects the queues of the mesh from one dict.
const MAX_GROUP = 1024;
const MAX_CAPABILITY_BYTES = 255;

/** The nodes as names are looked up; undefined where there is no mesh. */
export interface Names {
  /** Id of this node. */
  readonly self: string;
  /** The id of the node with this name. Throws a RelayError NOT_FOUND. */
  resolve(name: string): string;
}

/** Checks how a dict is to be sent. Throws RelayErrors INVALID_PARAMS, NOT_FOUND, and UNAVAILABLE if there is no mesh. */
export function sendingOf({ to, durable = true, ttlMs, ordered = false }: Wanted, names: Names | undefined): Sending {
  if (typeof durable !== 'boolean') throw wrong(`durable is true or false; found ${showValue(durable)}`);
  if (to === undefined && ttlMs === undefined && ordered === false) return durable ? TO_ALL : TO_ALL_AT_ONCE;
  if (typeof ordered !== 'boolean') throw wrong(`ordered is true or false; found ${showValue(ordered)}`);
  if (ttlMs !== undefined && !(typeof ttlMs === 'number' && Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= MAX_TTL_MS))
    throw wrong(`the time to live is a whole number of ms from 1 to ${MAX_TTL_MS} (a week); found ${showValue(ttlMs)}`);
  const rest = { isDurable: durable, ttlMs, isOrdered: ordered };
  if (to === undefined) return { destination: 'all', targets: ALL, ...rest };
  return { ...addressed(to, names), ...rest };
}

/** What a client says in the member `co2` of its dict, `{to, durable, ttl, ordered}`. Other members of it mean nothing here. */
export function wantedIn(co2: Value | undefined): Wanted {
  if (!isDict(co2)) return {};
  const { to, durable, ttl: ttlMs, ordered } = co2;
  // Anything but false means that it is stored, as it always did.
  return { to, durable: durable !== false, ttlMs, ordered };
}

function addressed(to: unknown, names: Names | undefined): Pick<Sending, 'destination' | 'targets'> {
  const wanted = readAddress(to);
  if (!names) throw new RelayError('UNAVAILABLE', 'this relay is in no mesh, so a dict cannot be sent to chosen nodes; leave to out');
  if ('any' in wanted) return { destination: 'away', targets: [{ type: 'any', capability: wanted.any }] };
  const ids = new Set(wanted.nodes.map((name) => names.resolve(name)));
  const isHere = ids.delete(names.self);
  return { destination: isHere ? 'here' : 'away', targets: [...ids].map((id) => ({ type: 'node', id })) };
}

/** `name`, `{node: name}`, `{group: [name, ...]}` or `{any: capability}`. */
function readAddress(to: unknown): { readonly nodes: readonly string[] } | { readonly any: string } {
  if (isName(to)) return { nodes: [to] };
  if (typeof to === 'object' && to !== null) {
    const [[kind, value] = ['', undefined], ...others] = Object.entries(to) as [string, unknown][];
    if (others.length === 0) {
      if (kind === 'node' && isName(value)) return { nodes: [value] };
      if (kind === 'any' && isName(value)) return { any: value };
      if (kind === 'group' && Array.isArray(value) && value.length > 0 && value.length <= MAX_GROUP && value.every(isName))
        return { nodes: value };
    }
  }
  throw wrong(
    `to is the id or nick of a node, {node: name}, {group: [name, ...]} with at most ${MAX_GROUP} nodes, or {any: capability}; found ${described(to)}`,
  );
}

function described(to: unknown): string {
  if (typeof to !== 'object' || to === null || Array.isArray(to)) return clean(showValue(to), 200);
  return clean(`a struct with ${Object.keys(to).join(', ') || 'no members'}`, 200);
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= MAX_CAPABILITY_BYTES;
}

function wrong(text: string): RelayError {
  return new RelayError('INVALID_PARAMS', text);
}

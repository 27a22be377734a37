/** Calls of `work.*` that concern units of other nodes: passed on to one of them, or to all that can be reached. */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import { wrongParams } from '../rpc/rpc.ts';
import type { Caller } from '../rpc/rpc.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { WorkNetwork } from './network.ts';

export interface OtherNodesParts {
  /** Undefined: this relay is no node of a mesh. */
  readonly network?: WorkNetwork | undefined;
  /** True if the caller may see and end the units of everybody. */
  readonly isAdmin: (caller: Caller) => boolean;
}

type Struct = Readonly<Record<string, Sendable>>;

const ALL = 'all';
// A node that takes longer is reported as missing.
const LIST_MS = 10_000;
// Beyond what the call waits for there.
const GRACE_MS = 20_000;
// Nodes that are asked at once.
const AT_ONCE = 32;

/**
 * What a node answers to a call that names it by the member `node`; undefined if it names this relay or none. The other node shows this
 * relay all units that came from it, of all its clients, so this is for admins.
 */
export async function passedOn(method: string, given: Dict, caller: Caller, parts: OtherNodesParts): Promise<Value | undefined> {
  const { node, ...rest } = given;
  if (node === undefined) return undefined;
  const network = requireNetwork(method, caller, parts);
  if (typeof node !== 'string') throw wrongParams('node must be the id or nick of a node');
  const id = network.calls.resolve(node);
  if (id === network.calls.self) return undefined;
  const waitMs = typeof rest.waitMs === 'number' ? rest.waitMs : 0;
  const options = { timeoutMs: waitMs + GRACE_MS, signal: caller.gone };
  return network.calls.call(id, method, [dictOf(Object.entries(rest))], options);
}

/**
 * The units that nodes list, each once: as the node lists it that runs it, if that can be reached. `own` are those of this relay. Resolves
 * to `{units, missing}`, the newest units first; `missing` are the nodes that did not answer.
 */
export async function listOfNodes(
  nodes: Value,
  given: Dict,
  own: () => readonly Struct[],
  caller: Caller,
  parts: OtherNodesParts,
): Promise<Struct> {
  const network = requireNetwork('work.list', caller, parts);
  const { calls } = network;
  const wanted = nodesOf(nodes, network);
  const found = new Map<string, Struct>();
  const missing: Struct[] = [];
  const take = (units: readonly Struct[], at: string): void => {
    for (const unit of units) {
      const id = textOf(unit.unit);
      const key = id.includes('@') ? id : `${id}@${at}`;
      if (!found.has(key) || unit.node === at) found.set(key, { ...unit, listed_by: at });
    }
  };
  for (let index = 0; index < wanted.length; index += AT_ONCE) {
    await Promise.all(
      wanted.slice(index, index + AT_ONCE).map(async (node) => {
        if (node === calls.self) {
          take(own(), node);
          return;
        }
        try {
          const options = { timeoutMs: LIST_MS, signal: caller.gone };
          const units = await calls.call(node, 'work.list', [given], options);
          take(Array.isArray(units) ? (units as readonly Value[]).filter(isDict) : [], node);
        } catch (error) {
          if (!RelayError.is(error)) throw error;
          missing.push({ node, reason: clean(reasonOf(error), 300) });
        }
      }),
    );
  }
  const units = [...found.values()].sort((a, b) => (textOf(a.submitted) > textOf(b.submitted) ? -1 : 1));
  return { units, missing };
}

function nodesOf(nodes: Value, { port, calls }: WorkNetwork): readonly string[] {
  if (nodes === ALL) return [...new Set([calls.self, ...port.nodes().map(({ id }) => id)])];
  const names = typeof nodes === 'string' ? [nodes] : nodes;
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
    throw wrongParams("nodes must be 'all', a node, or an array of nodes");
  return [...new Set((names as readonly string[]).map((name) => calls.resolve(name)))];
}

function requireNetwork(method: string, caller: Caller, { network, isAdmin }: OtherNodesParts): WorkNetwork {
  if (!network) throw wrongParams(`${method}: this relay is no node of a mesh; leave the node out`);
  if (isAdmin(caller)) return network;
  throw new RelayError('FORBIDDEN', `${method} of other nodes needs the right 'admin'; your own units are shown and ended without a node`);
}

function textOf(value: Sendable | undefined): string {
  return typeof value === 'string' ? value : '';
}

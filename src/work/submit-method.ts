/** The wire method `work.submit`: which node is to run a unit, or one unit each of several nodes. */
import { submitterOf } from '../access/access.ts';
import type { Submitter } from '../access/access.ts';
import { clean, randomHex } from '../core/core.ts';
import { nodeNamed } from '../mesh/mesh.ts';
import { isNameOf } from '../plugin-host/plugin-host.ts';
import { onlyMembers, wrongParams } from '../rpc/rpc.ts';
import type { Method } from '../rpc/rpc.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { WorkNetwork } from './network.ts';
import type { Unit } from './unit.ts';
import { unitOnWire } from './unit-wire.ts';
import type { Submission } from './submission.ts';
import type { Work } from './work-units.ts';

export interface SubmissionParts {
  readonly work: Work;
  /** Undefined: this relay is no node of a mesh. */
  readonly network?: WorkNetwork | undefined;
  /** The names of this relay: its host_id. */
  readonly self: () => readonly string[];
}

const MEMBERS = ['type', 'payload', 'params', 'id', 'node', 'group', 'ttl', 'timeoutMs', 'upload'];
const MAX_MS = 366 * 24 * 3_600_000;
// One call stores as many units, each with its payload.
const MAX_GROUP = 64;
const ANY = 'any';
const newId = randomHex(10);

/** The method. */
export function submitMethod(parts: SubmissionParts): Method {
  const { work } = parts;
  return {
    name: 'work.submit',
    access: 'call',
    help: "Submits a unit of work and returns it, once it is stored: work.submit({type: 'ham.spam:render', payload?, params?, id?, node?, group?, ttl?, timeoutMs?, upload?}). payload is base64 or a string; with upload: true it is sent by PUT /work/UNIT/payload instead. params is a struct; members whose names begin with secret_ are never shown. ttl is the ms within which it must start. The same id again is the same unit. node is the id or nick of the node that is to run it, this relay by default, or any: this relay or else the nearest node that offers the type. A unit for a node that is down waits for it. group is an array of such nodes: each gets a unit of its own, and the answer is {group, units}.",
    signatures: [['struct', 'struct']],
    paramNames: ['work'],
    invoke: async (params, caller) => {
      const submission = onlyMembers('work.submit', params, MEMBERS);
      const { node, group } = submission;
      const submitter = submitterOf(caller);
      const given = submissionOf(submission);
      if (group === undefined) {
        const unit = await work.submit({ ...given, node: runnerOf(node, given, parts) }, submitter);
        return unitOnWire(unit, work);
      }
      if (node !== undefined) throw wrongParams('give either node or group');
      const { id, units } = await submitGroup(group, given, submitter, parts);
      return { group: id, units: units.map((unit) => unitOnWire(unit, work)) };
    },
  };
}

function submissionOf({ type, payload = '', params = dictOf(), id, ttl, timeoutMs, upload = false }: Dict): Submission {
  if (typeof type !== 'string') throw wrongParams("work.submit needs the member type, such as 'ham.spam:render'; work.types lists all");
  if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) throw wrongParams('payload must be base64 or a string');
  if (!isDict(params)) throw wrongParams('params must be a struct');
  if (id !== undefined && typeof id !== 'string') throw wrongParams('id must be a string');
  if (typeof upload !== 'boolean') throw wrongParams('upload must be true or false');
  return {
    ...{ type, id, params, ttlMs: msOf('ttl', ttl), timeoutMs: msOf('timeoutMs', timeoutMs) },
    payload: upload ? undefined : Buffer.from(payload as string),
  };
}

/** Submits a unit for each node; all of them or none. */
async function submitGroup(
  group: Value,
  submission: Submission,
  submitter: Submitter,
  parts: SubmissionParts,
): Promise<{ readonly id: string; readonly units: readonly Unit[] }> {
  const { work } = parts;
  if (!Array.isArray(group) || group.length < 1 || group.length > MAX_GROUP)
    throw wrongParams(`group must be an array of 1 to ${MAX_GROUP} nodes`);
  const id = submission.id ?? newId();
  const orders = (group as readonly Value[]).map((node, index) => {
    const own = { ...submission, group: id, id: `${id}.${index + 1}` };
    return { ...own, node: runnerOf(node, own, parts) };
  });
  if (new Set(orders.map(({ node }) => node)).size < orders.length) throw wrongParams('group names a node twice');
  const units: Unit[] = [];
  try {
    for (const order of orders) units.push(await work.submit(order, submitter));
  } catch (error) {
    for (const unit of units) await work.release(unit);
    throw error;
  }
  return { id, units };
}

/** Id of the node that is to run a unit; undefined: this relay. */
function runnerOf(node: Value | undefined, { id, type }: Submission, { work, network, self }: SubmissionParts): string | undefined {
  if (node === undefined) return undefined;
  if (typeof node !== 'string') throw wrongParams('node must be a string');
  const names = self();
  if (names.includes(node)) return undefined;
  // The same unit again stays where it is.
  if (node === ANY) return (id === undefined ? undefined : work.get(id)?.placement?.node) ?? nearest(type, work, network);
  if (!network) throw wrongParams(`no route to node '${clean(node, 100)}' (known: ${names.join(', ')}); work runs on this relay only`);
  const found = nodeNamed(node, network.port.nodes(), { mayBeAway: true });
  return found === network.calls.self ? undefined : found;
}

/** The nearest node that offers this type; of several the least busy one. Undefined: this relay, or nobody. */
function nearest(type: string, work: Work, network: WorkNetwork | undefined): string | undefined {
  if (!network || work.types().some((one) => isNameOf(type, one.type))) return undefined;
  const { port } = network;
  const ranked = port.nodes().flatMap(({ id, capabilities, load, isLeaving }) => {
    const path = port.path(id);
    return path && !isLeaving && capabilities.includes(`work:${type}`) ? [{ id, rank: [path.cost, load] as const }] : [];
  });
  const [first] = ranked.sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || (a.id < b.id ? -1 : 1));
  return first?.id;
}

function msOf(name: string, value: Sendable | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value > 0 && value <= MAX_MS) return value;
  throw wrongParams(`${name} must be ms, from 1 to ${MAX_MS}`);
}

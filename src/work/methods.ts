/** The wire methods `work.*`. */
import { isCount, onlyMembers, waitOf, wrongParams } from '../rpc/rpc.ts';
import type { Caller, Method, MethodRegistry } from '../rpc/rpc.ts';
import { submitterOf } from '../access/access.ts';
import type { Submitter } from '../access/access.ts';
import { dictOf } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { WorkNetwork } from './network.ts';
import { nodeMethods } from './node-methods.ts';
import { listOfNodes, passedOn } from './other-nodes.ts';
import { submitMethod } from './submit-method.ts';
import { reasonOfState } from './unit.ts';
import { typeOnWire, unitOnWire, valueOf } from './unit-wire.ts';
import type { Work } from './work-units.ts';

export interface WorkMethodsParts {
  readonly work: Work;
  /** Undefined: this relay is no node of a mesh. */
  readonly network?: WorkNetwork | undefined;
  /** ms since 1970. */
  readonly date: () => number;
  /** True if the caller may see and end the units of everybody. */
  readonly isAdmin: (caller: Caller) => boolean;
  /** The names of this relay: its host_id. */
  readonly self: () => readonly string[];
  /** The plugins of this relay. */
  readonly plugins: () => readonly { readonly name: string; readonly version?: string | undefined }[];
}

type Struct = Readonly<Record<string, Sendable>>;

const DEFAULT_WAIT_MS = 0;
const DEFAULT_LIMIT = 256 * 1024;
// As XML-RPC, bytes take a third more; the answer stays below the default limit on a body.
const MAX_LIMIT = 4 * 1024 * 1024;
const DEFAULT_LISTED = 100;
const MAX_LISTED = 1_000;

/** Registers the methods. */
export function addWorkMethods(registry: MethodRegistry, parts: WorkMethodsParts): void {
  const ofNodes = nodeMethods({ ...parts, seer: (caller) => seer(parts, caller) });
  for (const method of [...submissionMethods(parts), ...resultMethods(parts), ...endingMethods(parts), ...ofNodes]) registry.add(method);
}

/** Who may see only their own units; undefined for an admin, who sees all. */
function seer({ isAdmin }: WorkMethodsParts, caller: Caller): Submitter | undefined {
  return isAdmin(caller) ? undefined : submitterOf(caller);
}

/** The methods that submit work and list it. */
function submissionMethods(parts: WorkMethodsParts): readonly Method[] {
  const { work, plugins } = parts;
  return [
    {
      name: 'work.types',
      access: 'call',
      help: 'Lists the types of work that can be submitted here: [{type, help, payload, params, outputs, max_concurrent, timeout_ms, is_ready, version, running, pending}]. version is that of the plugin; running and pending are numbers of units of everybody.',
      signatures: [['array'], ['array', 'struct']],
      invoke: (params) => {
        onlyMembers('work.types', params, []);
        return work.types().map((executor) => typeOnWire(executor, work, plugins()));
      },
    },
    submitMethod(parts),
    {
      name: 'work.list',
      access: 'call',
      help: "Lists units of the caller (of everybody, for admins), the newest first: work.list({state?, type?, group?, limit?, nodes?}). limit is 100 by default, at most 1000. With nodes, 'all' or one or several ids or nicks, it asks these nodes, and returns {units, missing}: units with the member listed_by, the node to name in other calls, and the nodes that did not answer; it is for admins.",
      signatures: [['array'], ['array', 'struct'], ['struct', 'struct']],
      paramNames: ['options'],
      invoke: (params, caller) => {
        const { nodes, ...given } = onlyMembers('work.list', params, ['state', 'type', 'group', 'limit', 'nodes']);
        const { state, type, group, limit = DEFAULT_LISTED } = given;
        if (!isCount(limit, 1, MAX_LISTED)) throw wrongParams(`limit must be an integer from 1 to ${MAX_LISTED}`);
        const own = (): readonly Struct[] =>
          work
            .list(seer(parts, caller))
            .filter((unit) => (state ?? unit.state.type) === unit.state.type && (type ?? unit.type) === unit.type)
            .filter((unit) => group === undefined || unit.group === group)
            .slice(-limit)
            .reverse()
            .map((unit) => unitOnWire(unit, work));
        return nodes === undefined ? own() : listOfNodes(nodes, dictOf(Object.entries(given)), own, caller, parts);
      },
    },
  ];
}

/** The methods that show a unit and its results. */
function resultMethods(parts: WorkMethodsParts): readonly Method[] {
  const { work } = parts;
  return [
    {
      name: 'work.status',
      access: 'call',
      help: 'Returns a unit: {unit, type, state, reason, position, ...}. With waitMs it waits until the unit has ended, at most 60000 ms. state is pending, running, succeeded, failed, canceled, expired or lost. With node it is asked at that node, for admins; so are work.results, work.cancel and work.release.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      paramNames: ['unit'],
      invoke: async (params, caller) => {
        const asked = ofUnit('work.status', params, ['waitMs']);
        const { unit: id, waitMs = 0 } = asked;
        const wait = waitOf(waitMs);
        const answer = await passedOn('work.status', asked, caller, parts);
        if (answer !== undefined) return answer;
        const unit = work.find(id, seer(parts, caller));
        return unitOnWire(await work.leaving(unit, ['pending', 'running'], wait, caller.gone), work);
      },
    },
    {
      name: 'work.results',
      access: 'call',
      help: 'Returns results of a unit from an offset in bytes on: work.results({unit, stream?, offset?, limit?, waitMs?}) -> {items, offset, next, ended, state, reason, truncated}. Each item is a struct, a string or base64. With waitMs it waits for the first item, at most 60000 ms. Go on with offset: next until ended is true. stream is results, or stdout and stderr for a program.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      paramNames: ['unit'],
      invoke: async (params, caller) => {
        const asked = ofUnit('work.results', params, ['stream', 'offset', 'limit', 'waitMs']);
        const { unit: id, stream, offset = 0, limit = DEFAULT_LIMIT, waitMs = DEFAULT_WAIT_MS } = asked;
        if (stream !== undefined && typeof stream !== 'string') throw wrongParams('stream must be a string: results, stdout or stderr');
        if (!isCount(offset, 0, Number.MAX_SAFE_INTEGER)) throw wrongParams('offset must be a number of bytes');
        if (!isCount(limit, 1, MAX_LIMIT)) throw wrongParams(`limit must be a number of bytes from 1 to ${MAX_LIMIT}`);
        const wait = waitOf(waitMs);
        const answer = await passedOn('work.results', asked, caller, parts);
        if (answer !== undefined) return answer;
        const unit = await work.leaving(work.find(id, seer(parts, caller)), ['pending'], wait, caller.gone);
        if (unit.state.type === 'pending')
          return { unit: id, items: [], offset, next: offset, ended: false, state: 'pending', reason: '', truncated: false };
        return work.withOutput(unit, stream, async (output) => {
          const page = await output.page({ from: offset, maxBytes: limit, waitMs: wait, signal: caller.gone });
          const now = work.find(id, undefined);
          return {
            ...{ unit: id, items: page.items.map(({ item }) => valueOf(item)), offset, next: page.next },
            ended: page.state.type !== 'open',
            ...{ state: now.state.type, reason: reasonOfState(now.state) },
            truncated: Object.values(work.outputsOf(now)).some(({ truncated }) => truncated),
          };
        });
      },
    },
  ];
}

/** The methods that end a unit. */
function endingMethods(parts: WorkMethodsParts): readonly Method[] {
  const { work } = parts;
  return [
    {
      name: 'work.cancel',
      access: 'call',
      help: 'Ends a unit that waits or runs, and returns it. A unit that has ended stays as it is.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      paramNames: ['unit'],
      invoke: async (params, caller) => {
        const asked = ofUnit('work.cancel', params, []);
        const answer = await passedOn('work.cancel', asked, caller, parts);
        return answer ?? unitOnWire(await work.cancel(work.find(asked.unit, seer(parts, caller))), work);
      },
    },
    {
      name: 'work.release',
      access: 'call',
      help: 'Forgets a unit with its payload and results; one that has not ended is canceled. Returns true, also if there is no such unit.',
      signatures: [
        ['boolean', 'string'],
        ['boolean', 'struct'],
      ],
      paramNames: ['unit'],
      invoke: async (params, caller) => {
        const asked = ofUnit('work.release', params, []);
        const { unit: id } = asked;
        const answer = await passedOn('work.release', asked, caller, parts);
        if (answer !== undefined) return answer;
        if (work.has(id)) await work.release(work.find(id, seer(parts, caller)));
        return true;
      },
    },
  ];
}

/** The id of a unit alone, or a struct with it, the node that has it, and these other members. */
function ofUnit(method: string, params: readonly Value[], members: readonly string[]): Dict & { readonly unit: string } {
  const [first] = params;
  const struct =
    typeof first === 'string' && params.length === 1
      ? dictOf([['unit', first]])
      : onlyMembers(method, params, ['unit', 'node', ...members]);
  if (typeof struct.unit !== 'string') throw wrongParams(`${method} needs the id of a unit: ${method}({unit: ID})`);
  return struct as Dict & { readonly unit: string };
}

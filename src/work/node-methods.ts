/** The wire methods `work.*` that nodes of the mesh call about units which one of them runs for the other. */
import { nodeOf } from '../access/access.ts';
import type { Submitter } from '../access/access.ts';
import { RelayError } from '../core/core.ts';
import { isCount, onlyMembers, waitOf, wrongParams } from '../rpc/rpc.ts';
import type { Caller, Method } from '../rpc/rpc.ts';
import { changesOnWire, pageOnWire, reportOnWire } from './node-wire.ts';
import type { Work } from './work-units.ts';

export interface NodeMethodsParts {
  readonly work: Work;
  /** Who may see only their own units; undefined for an admin, who sees all. */
  readonly seer: (caller: Caller) => Submitter | undefined;
  /** ms since 1970. */
  readonly date: () => number;
}

const MAX_PIECE_BYTES = 1024 * 1024;

/** The methods. */
export function nodeMethods({ work, seer, date }: NodeMethodsParts): readonly Method[] {
  return [
    {
      name: 'work.changes',
      access: 'call',
      help: 'For nodes of the mesh: what has changed of the units that the calling node submitted: work.changes({after?, waitMs?}) -> {units, gone, next, reset, more}. after is the next of the last answer. With waitMs it waits for a change, at most 60000 ms.',
      signatures: [['struct'], ['struct', 'struct']],
      paramNames: ['options'],
      invoke: async (params, caller) => {
        const { after = '', waitMs = 0 } = onlyMembers('work.changes', params, ['after', 'waitMs']);
        if (typeof after !== 'string') throw wrongParams('after must be the next of the last answer');
        const changes = await work.changesFor(requireNode('work.changes', caller), after, waitOf(waitMs), caller.gone);
        const units = changes.units.flatMap((id) => {
          const unit = work.get(id);
          return unit ? [reportOnWire(unit, work.outputsOf(unit), work.positionOf(unit), date())] : [];
        });
        return changesOnWire(changes, units);
      },
    },
    {
      name: 'work.page',
      access: 'call',
      help: 'For nodes of the mesh: results of a unit with what kind each is: work.page({unit, stream?, offset, limit, waitMs, raw}) -> {items: [{kind, bytes, next}], next, size, state, reason}. Clients call work.results.',
      signatures: [['struct', 'struct']],
      paramNames: ['options'],
      invoke: async (params, caller) => {
        const asked = onlyMembers('work.page', params, ['unit', 'stream', 'offset', 'limit', 'waitMs', 'raw']);
        const { unit: id, stream, offset: from = 0, limit = MAX_PIECE_BYTES, waitMs = 0, raw: isRaw = false } = asked;
        if (typeof id !== 'string') throw wrongParams('unit must be the id of a unit');
        if (stream !== undefined && typeof stream !== 'string') throw wrongParams('stream must be a string');
        if (!isCount(from, 0, Number.MAX_SAFE_INTEGER)) throw wrongParams('offset must be a number of bytes');
        if (!isCount(limit, 1, MAX_PIECE_BYTES)) throw wrongParams(`limit must be a number of bytes from 1 to ${MAX_PIECE_BYTES}`);
        if (typeof isRaw !== 'boolean') throw wrongParams('raw must be true or false');
        const wait = waitOf(waitMs);
        const unit = await work.leaving(work.find(id, seer(caller)), ['pending'], wait, caller.gone);
        if (unit.state.type === 'pending') return pageOnWire({ items: [], next: from, missed: 0, state: { type: 'open' } }, 0);
        return work.withOutput(unit, stream, async (output) => {
          const page = await output.page({ from, maxBytes: limit, waitMs: wait, isRaw, signal: caller.gone });
          return pageOnWire(page, output.next);
        });
      },
    },
    {
      name: 'work.payload',
      access: 'call',
      help: 'For nodes of the mesh: a piece of the payload of a unit that the calling node runs, with its parameters: work.payload({unit, offset, limit}) -> {params, payload}.',
      signatures: [['struct', 'struct']],
      paramNames: ['options'],
      invoke: async (params, caller) => {
        const { unit, offset = 0, limit = MAX_PIECE_BYTES } = onlyMembers('work.payload', params, ['unit', 'offset', 'limit']);
        if (typeof unit !== 'string') throw wrongParams('unit must be the id of a unit');
        if (!isCount(offset, 0, Number.MAX_SAFE_INTEGER)) throw wrongParams('offset must be a number of bytes');
        if (!isCount(limit, 1, MAX_PIECE_BYTES)) throw wrongParams(`limit must be a number of bytes from 1 to ${MAX_PIECE_BYTES}`);
        return { ...(await work.payloadPiece(unit, requireNode('work.payload', caller), offset, limit)) };
      },
    },
  ];
}

function requireNode(method: string, caller: Caller): string {
  const node = nodeOf(caller);
  if (node !== undefined) return node;
  throw new RelayError('FORBIDDEN', `${method} is for nodes of the mesh, about their own units`);
}

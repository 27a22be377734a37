/** What nodes answer each other about units, as XML-RPC values: states, results and payloads. */
import * as z from 'zod/mini';
import { RelayError, clean } from '../core/core.ts';
import type { StreamPage, StreamState } from '../streams/streams.ts';
import { Double } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Changes } from './change-log.ts';
import type { OutputItem } from './output.ts';
import { reasonOfState } from './unit.ts';
import type { Report, Unit, UnitState } from './unit.ts';

type Struct = Readonly<Record<string, Sendable>>;

/** What a node says about one unit. */
export interface UnitReport {
  /** Its id at that node. */
  readonly unit: string;
  readonly report: Report;
  /** How many units of its type start before it; undefined if it does not wait. */
  readonly position: number | undefined;
}

/** The changes of units as their submitter reads them. */
export interface ReadChanges extends Omit<Changes, 'units'> {
  readonly units: readonly UnitReport[];
}

/** A page of an output, and how many bytes the output has until now. */
export interface OutputPage extends StreamPage<OutputItem> {
  readonly size: number;
}

/** A piece of a payload. */
export interface PayloadPiece {
  /** XML-RPC. */
  readonly params: string;
  readonly payload: Buffer;
}

const STATES = ['pending', 'running', 'succeeded', 'failed', 'canceled', 'expired', 'lost'] as const;
const MAX_REASON = 2_000;

const bytes = z.custom<Buffer>((value) => Buffer.isBuffer(value), 'expected base64');
const size = z.number().check(z.gte(0));
const report = z.object({
  unit: z.string(),
  state: z.enum(STATES),
  reason: z.string(),
  position: z.int(),
  exit_code: z.int(),
  signal: z.string(),
  outputs: z.record(z.string(), z.object({ bytes: size, truncated: z.boolean() })),
  // ms before the answer: the clocks of two machines are never compared.
  started_ago: z.optional(z.number()),
  ended_ago: z.optional(z.number()),
});
const changes = z.object({
  units: z.array(report),
  gone: z.array(z.string()),
  next: z.string(),
  reset: z.boolean(),
  more: z.boolean(),
});
const page = z.object({
  items: z.array(z.object({ kind: z.enum(['bytes', 'text', 'struct']), next: size, bytes })),
  next: size,
  size,
  state: z.enum(['open', 'ended', 'failed', 'canceled']),
  reason: z.string(),
});
const piece = z.object({ params: z.string(), payload: bytes });

/** A unit as its submitter needs it. */
export function reportOnWire(unit: Unit, outputs: Unit['outputs'], position: number | undefined, now: number): Struct {
  const { id, state, startedAt, endedAt, exit } = unit;
  const sizes = Object.entries(outputs).map(
    ([name, { bytes: length, truncated }]) => [name, { bytes: new Double(length), truncated }] as const,
  );
  return {
    ...{ unit: id, state: state.type, reason: reasonOfState(state), position: position ?? -1 },
    ...{ exit_code: typeof exit === 'number' ? exit : -1, signal: typeof exit === 'string' ? exit : '' },
    outputs: Object.fromEntries(sizes),
    ...(startedAt !== undefined && { started_ago: new Double(Math.max(0, now - startedAt)) }),
    ...(endedAt !== undefined && { ended_ago: new Double(Math.max(0, now - endedAt)) }),
  };
}

/** Changes with the reports about their units. */
export function changesOnWire({ gone, next, isReset, hasMore }: Changes, units: readonly Struct[]): Struct {
  return { units, gone, next, reset: isReset, more: hasMore };
}

/** Throws a RelayError TRANSPORT if this is not what {@link changesOnWire} makes. */
export function readChanges(value: Value, now: number): ReadChanges {
  const { units, gone, next, reset, more } = read(changes, value, 'the changes of units');
  return { units: units.map((one) => reportOf(one, now)), gone, next, isReset: reset, hasMore: more };
}

/** Throws a RelayError TRANSPORT if this is neither what {@link reportOnWire} makes nor a unit as all callers get it. */
export function readReport(value: Value, now: number): UnitReport {
  return reportOf(read(report, value, 'a unit'), now);
}

export function pageOnWire({ items, next, state }: StreamPage<OutputItem>, length: number): Struct {
  return {
    items: items.map(({ item, next: end }) => ({ kind: item.kind, bytes: item.bytes, next: new Double(end) })),
    ...{ next: new Double(next), size: new Double(length), state: state.type, reason: 'reason' in state ? state.reason : '' },
  };
}

/** Throws a RelayError TRANSPORT if this is not what {@link pageOnWire} makes. */
export function readPage(value: Value, from: number): OutputPage {
  const { items, next, size: length, state, reason } = read(page, value, 'results');
  let offset = from;
  const pieces = items.map(({ kind, bytes: content, next: end }) => {
    const item = { offset, next: end, item: { kind, bytes: content } };
    offset = end;
    return item;
  });
  return { items: pieces, next, missed: 0, state: streamState(state, reason), size: length };
}

/** Throws a RelayError TRANSPORT if this is not `{params, payload}`. */
export function readPiece(value: Value): PayloadPiece {
  return read(piece, value, 'a payload');
}

function reportOf(one: z.infer<typeof report>, now: number): UnitReport {
  const { unit, position, exit_code: code, signal, outputs, started_ago: started, ended_ago: ended } = one;
  const exit = signal === '' ? (code >= 0 ? code : undefined) : signal;
  return {
    unit,
    position: position >= 0 ? position : undefined,
    report: {
      ...{ state: stateOf(one), outputs, exit },
      startedAt: started === undefined ? undefined : now - started,
      endedAt: ended === undefined ? undefined : now - ended,
    },
  };
}

function stateOf({ state, reason }: z.infer<typeof report>): UnitState {
  const why = clean(reason, MAX_REASON);
  return state === 'failed' || state === 'expired' || state === 'lost' ? { type: state, reason: why } : { type: state };
}

function streamState(type: StreamState['type'], reason: string): StreamState {
  return type === 'failed' || type === 'canceled' ? { type, reason: clean(reason, MAX_REASON) } : { type };
}

function read<T>(schema: z.ZodMiniType<T>, value: Value, what: string): T {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  throw new RelayError('TRANSPORT', `the other node answered something else than ${what}; does it run another version?`, {
    cause: error,
    data: { reason: 'unexpected-result' },
  });
}

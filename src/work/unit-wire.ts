/** Units, types of work and results as XML-RPC values. */
import { readJson } from '../json/json.ts';
import { Double } from '../values/values.ts';
import type { Sendable } from '../values/values.ts';
import type { Executor } from './executor.ts';
import type { OutputItem } from './output.ts';
import { shownParams } from './secrets.ts';
import { reasonOfState } from './unit.ts';
import type { Unit } from './unit.ts';
import type { Work } from './work-units.ts';

type Struct = Readonly<Record<string, Sendable>>;

const BRACE = '{'.charCodeAt(0);

/** A type of work. `plugins`: those of this relay. */
export function typeOnWire(
  executor: Executor,
  work: Work,
  plugins: readonly { readonly name: string; readonly version?: string | undefined }[],
): Struct {
  const { type, help, payload, params, outputs, maxConcurrent = 0, timeoutMs = 0, isReady } = executor;
  const { version = '' } = plugins.find(({ name }) => type.startsWith(`${name}:`)) ?? {};
  return {
    ...{ type, help, payload, params: params === 'any' ? ['*'] : params, outputs },
    ...{ max_concurrent: maxConcurrent, timeout_ms: timeoutMs, is_ready: isReady, version },
    ...{ running: work.running.filter((unit) => unit.type === type).length, pending: work.pending(type) },
  };
}

/** The units of everybody, for the status of the relay: those that run one by one, the others as numbers. */
export function workOnWire(work: Work): Struct {
  const running = work.running.map(({ id, type, startedAt }) => ({ unit: id, type, started: isoTime(startedAt) }));
  // A double, since it may exceed 2 GiB, and i8 is an extension.
  return {
    running,
    pending: work.pending(),
    kept: work.list(undefined).length - running.length - work.pending(),
    bytes: new Double(work.bytes),
  };
}

/** Every member is always present, so that typed clients can rely on it. Times are texts in ISO 8601, `''` for what has not happened. */
export function unitOnWire(unit: Unit, work: Pick<Work, 'positionOf' | 'paramsOf' | 'outputsOf' | 'node'>): Struct {
  const { id, type, submitter, submittedAt, expiresAt, timeoutMs, payloadBytes, state, startedAt, endedAt, exit } = unit;
  const outputs: Record<string, Struct> = {};
  for (const [name, { bytes, truncated }] of Object.entries(work.outputsOf(unit))) outputs[name] = { bytes, truncated };
  // One literal: it is made for each call about a unit.
  return {
    unit: id,
    type,
    state: state.type,
    reason: reasonOfState(state),
    position: work.positionOf(unit) ?? -1,
    node: unit.placement?.node ?? work.node,
    group: unit.group ?? '',
    submitter: submitter.text,
    params: shownParams(work.paramsOf(unit)),
    payload_bytes: payloadBytes,
    awaits_payload: unit.isUploading === true && unit.fetch === undefined && state.type === 'pending',
    timeout_ms: timeoutMs,
    submitted: isoTime(submittedAt),
    expires: isoTime(expiresAt),
    started: isoTime(startedAt),
    ended: isoTime(endedAt),
    exit_code: typeof exit === 'number' ? exit : -1,
    signal: typeof exit === 'string' ? exit : '',
    outputs,
  };
}

function isoTime(ms: number | undefined): string {
  return ms === undefined ? '' : new Date(ms).toISOString();
}

/** A result as a value: the rest of a struct from an offset inside it is bytes. */
export function valueOf({ kind, bytes }: OutputItem): Sendable {
  if (kind === 'text') return bytes.toString();
  if (kind === 'bytes') return bytes;
  return bytes[0] === BRACE ? readJson(bytes).value : bytes;
}

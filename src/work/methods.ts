/** The wire methods `work.*`. */
import { isCount, onlyMembers, waitOf, wrongParams } from '../rpc/rpc.ts';
import type { Caller, Method, MethodRegistry } from '../rpc/rpc.ts';
import { submitterOf } from '../access/access.ts';
import type { Submitter } from '../access/access.ts';
import { clean } from '../core/core.ts';
import { readJson } from '../json/json.ts';
import { Double, dictOf, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { Executor } from './executor.ts';
import type { OutputItem } from './output.ts';
import { shownParams } from './secrets.ts';
import { reasonOfState } from './unit.ts';
import type { Unit } from './unit.ts';
import type { Work } from './work-units.ts';

export interface WorkMethodsParts {
  readonly work: Work;
  /** True if the caller may see and end the units of everybody. */
  readonly isAdmin: (caller: Caller) => boolean;
  /** The names of this relay: its host_id and its nick. */
  readonly self: () => readonly string[];
  /** The plugins of this relay. */
  readonly plugins: () => readonly { readonly name: string; readonly version?: string | undefined }[];
}

type Struct = Readonly<Record<string, Sendable>>;

const DEFAULT_WAIT_MS = 0;
const DEFAULT_LIMIT = 256 * 1024;
// As XML-RPC, bytes take a third more; the answer stays below the default limit on a body.
const MAX_LIMIT = 4 * 1024 * 1024;
const MAX_MS = 366 * 24 * 3_600_000;
const DEFAULT_LISTED = 100;
const MAX_LISTED = 1_000;

/** Registers the methods. */
export function addWorkMethods(registry: MethodRegistry, parts: WorkMethodsParts): void {
  for (const method of [...submissionMethods(parts), ...resultMethods(parts), ...endingMethods(parts)]) registry.add(method);
}

/** Who may see only their own units; undefined for an admin, who sees all. */
function seer({ isAdmin }: WorkMethodsParts, caller: Caller): Submitter | undefined {
  return isAdmin(caller) ? undefined : submitterOf(caller);
}

/** The methods that submit work and list it. */
function submissionMethods(parts: WorkMethodsParts): readonly Method[] {
  const { work, self, plugins } = parts;
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
    {
      name: 'work.submit',
      access: 'call',
      help: "Submits a unit of work and returns it, once it is stored: work.submit({type: 'ham.spam:render', payload?, params?, id?, node?, ttl?, timeoutMs?, upload?}). payload is base64 or a string; with upload: true it is sent by PUT /work/UNIT/payload instead. params is a struct; members whose names begin with secret_ are never shown. ttl is the ms within which it must start. The same id again is the same unit. node is this relay, or any.",
      signatures: [['struct', 'struct']],
      paramNames: ['work'],
      invoke: async (params, caller) => {
        const submission = onlyMembers('work.submit', params, ['type', 'payload', 'params', 'id', 'node', 'ttl', 'timeoutMs', 'upload']);
        const { type, payload = '', params: given = dictOf(), id, node = 'any', ttl, timeoutMs, upload = false } = submission;
        if (typeof type !== 'string')
          throw wrongParams("work.submit needs the member type, such as 'ham.spam:render'; work.types lists all");
        if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) throw wrongParams('payload must be base64 or a string');
        if (!isDict(given)) throw wrongParams('params must be a struct');
        if (id !== undefined && typeof id !== 'string') throw wrongParams('id must be a string');
        if (typeof upload !== 'boolean') throw wrongParams('upload must be true or false');
        requireHere(node, self());
        const unit = await work.submit(
          {
            ...{ type, id, params: given, ttlMs: msOf('ttl', ttl), timeoutMs: msOf('timeoutMs', timeoutMs) },
            payload: upload ? undefined : Buffer.from(payload as string),
          },
          submitterOf(caller),
        );
        return unitOnWire(unit, work);
      },
    },
    {
      name: 'work.list',
      access: 'call',
      help: 'Lists units of the caller (of everybody, for admins), the newest first: work.list({state?, type?, limit?}). limit is 100 by default, at most 1000.',
      signatures: [['array'], ['array', 'struct']],
      paramNames: ['options'],
      invoke: (params, caller) => {
        const { state, type, limit = DEFAULT_LISTED } = onlyMembers('work.list', params, ['state', 'type', 'limit']);
        if (!isCount(limit, 1, MAX_LISTED)) throw wrongParams(`limit must be an integer from 1 to ${MAX_LISTED}`);
        const units = work
          .list(seer(parts, caller))
          .filter((unit) => (state ?? unit.state.type) === unit.state.type && (type ?? unit.type) === unit.type);
        return units
          .slice(-limit)
          .reverse()
          .map((unit) => unitOnWire(unit, work));
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
      help: 'Returns a unit: {unit, type, state, reason, position, ...}. With waitMs it waits until the unit has ended, at most 60000 ms. state is pending, running, succeeded, failed, canceled, expired or lost.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      paramNames: ['unit'],
      invoke: async (params, caller) => {
        const { unit: id, waitMs = 0 } = ofUnit('work.status', params, ['waitMs']);
        const wait = waitOf(waitMs);
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
      invoke: async (params, caller) =>
        unitOnWire(await work.cancel(work.find(ofUnit('work.cancel', params, []).unit, seer(parts, caller))), work),
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
        const { unit: id } = ofUnit('work.release', params, []);
        if (work.has(id)) await work.release(work.find(id, seer(parts, caller)));
        return true;
      },
    },
  ];
}

function typeOnWire(executor: Executor, work: Work, plugins: ReturnType<WorkMethodsParts['plugins']>): Struct {
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
export function unitOnWire(unit: Unit, work: Pick<Work, 'positionOf' | 'paramsOf' | 'outputsOf'>): Struct {
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
    submitter: submitter.text,
    params: shownParams(work.paramsOf(unit)),
    payload_bytes: payloadBytes,
    awaits_payload: unit.isUploading === true && state.type === 'pending',
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

const BRACE = '{'.charCodeAt(0);

function requireHere(node: Value, names: readonly string[]): void {
  if (typeof node !== 'string') throw wrongParams('node must be a string');
  if (node === 'any' || names.includes(node)) return;
  throw wrongParams(`no route to node '${clean(node, 100)}' (known: ${names.join(', ')}); work runs on this relay only`);
}

/** The id of a unit alone, or a struct with it and these other members. */
function ofUnit(method: string, params: readonly Value[], members: readonly string[]): Dict & { readonly unit: string } {
  const [first] = params;
  const struct =
    typeof first === 'string' && params.length === 1 ? dictOf([['unit', first]]) : onlyMembers(method, params, ['unit', ...members]);
  if (typeof struct.unit !== 'string') throw wrongParams(`${method} needs the id of a unit: ${method}({unit: ID})`);
  return struct as Dict & { readonly unit: string };
}

function msOf(name: string, value: Value | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value > 0 && value <= MAX_MS) return value;
  throw wrongParams(`${name} must be ms, from 1 to ${MAX_MS}`);
}

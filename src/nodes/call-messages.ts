/**
 * What two nodes send each other about a call, as payloads of messages of the mesh. All of it is XML-RPC:
 *
 * - `request`: a call of the method whose first parameter is a struct {start, timeout, as, rights, plain, credit}, the others those of the
 *   method
 * - `answer`: a response with a struct: {number, last, value}, or {number, last, fault: {code, text, kind, data, retry_after}}
 * - `credit`: a response with the number of the first item of a stream that must not be sent yet
 * - `cancel`: nothing
 *
 * The `ref` of each is the id of the call.
 */
import { ACCESS_CLASSES, ERRORS, REASONS, RelayError, clean, errorFromFault } from '../core/core.ts';
import type { AccessClass, ErrorCode, ErrorData, ErrorReason, FaultAnswer, MaybePromise } from '../core/core.ts';
import { MAX_PAYLOAD_BYTES } from '../mesh-core/mesh-core.ts';
import { Double, isDict } from '../values/values.ts';
import type { Dict, ExactOf, Sendable, Value } from '../values/values.ts';
import {
  cleanUnsendable,
  parseCallInSlices,
  parseResponseInSlices,
  serialiseCall,
  serialiseResponse,
  serialiseResponseInTurns,
} from '../xmlrpc/xmlrpc.ts';
import { isCount } from '../rpc/rpc.ts';

/** The content types of the messages. */
export const REQUEST = 'request';
export const ANSWER = 'answer';
export const CREDIT = 'credit';
export const CANCEL = 'cancel';

/** The longest time limit of a call, in ms. */
export const MAX_TIMEOUT_MS = 600_000;
/** Items of a stream that may be under way. Bounds what waits at the reader: that many payloads. */
export const MAX_CREDIT = 8;

/** What a node wants of another one. */
export interface NodeRequest {
  readonly method: string;
  readonly params: readonly Value[];
  readonly exactOf: ExactOf;
  /** Which start of this node it is for: one that somebody recorded before is not run again. */
  readonly start: number;
  /** ms from when it was sent until nobody waits for the answer; of a stream, until nobody waits for the next item. */
  readonly timeoutMs: number;
  /** For whom that node calls; may be empty. */
  readonly as: string;
  /** The rights of that caller: the call needs them too. */
  readonly rights: readonly AccessClass[];
  /** The numbers have no types, so the signature of the method decides. */
  readonly hasPlainNumbers: boolean;
  /** Items of a stream that may be sent at first; undefined if the answer is one value. */
  readonly credit: number | undefined;
}

/** A part of an answer: a value or a fault, and where it belongs. */
export interface NodeAnswer {
  /** From 0 in each call. */
  readonly number: number;
  readonly isLast: boolean;
  /** Undefined: a stream ends, without another item. */
  readonly value?: Sendable | undefined;
  readonly fault?: NodeFault | undefined;
}

/** An answer as received. */
export interface ReceivedAnswer extends NodeAnswer {
  readonly value?: Value | undefined;
  /** The value with the types of its numbers. */
  readonly exact?: Sendable | undefined;
}

/** A fault with what a RelayError says besides. */
export interface NodeFault extends FaultAnswer {
  /** The code of a RelayError; undefined for a Fault of a plugin. */
  readonly kind?: ErrorCode | undefined;
  readonly data?: ErrorData | undefined;
  readonly retryAfterMs?: number | undefined;
}

const EXTENSIONS = { nil: true, i8: true } as const;
// Longer names are cut in logs anyway.
const MAX_AS = 200;

/** Throws a RelayError LIMIT if the parameters are too large, or INTERNAL with the path of one that cannot be sent. */
export function writeRequest({
  method,
  params,
  start,
  timeoutMs,
  as,
  rights,
  hasPlainNumbers,
  credit,
}: Omit<NodeRequest, 'exactOf' | 'params'> & { readonly params: readonly Sendable[] }): Buffer {
  const about = {
    start: new Double(start),
    timeout: timeoutMs,
    as,
    rights,
    plain: hasPlainNumbers,
    ...(credit !== undefined && { credit }),
  };
  return requireSize(serialiseCall(method, [about, ...params], EXTENSIONS), `the parameters of ${clean(method, 100)}`, 'pass less');
}

/** Reads a request. Rejects with a RelayError if it is not one. */
export async function readRequest(payload: Buffer): Promise<NodeRequest> {
  const call = await parseCallInSlices(payload);
  const [about, ...params] = call.params;
  const { start, timeout, as, rights, plain, credit } = isDict(about) ? about : ({} as Dict);
  const isStart = isCount(start, 0, Number.MAX_SAFE_INTEGER);
  const isFit =
    isStart && isCount(timeout, 1, MAX_TIMEOUT_MS) && typeof as === 'string' && Array.isArray(rights) && typeof plain === 'boolean';
  if (!isFit || (credit !== undefined && !isCount(credit, 1, MAX_CREDIT)))
    throw new RelayError('INVALID_REQUEST', 'the request of a node begins with a struct {start, timeout, as, rights, plain, credit}');
  const exact = call.exactOf(call.params) as readonly Sendable[] | undefined;
  return {
    ...{ method: call.methodName, params, start, timeoutMs: timeout, as: clean(as, MAX_AS), hasPlainNumbers: plain, credit },
    rights: ACCESS_CLASSES.filter((one) => (rights as readonly Value[]).includes(one)),
    exactOf: (part) => (part === params ? exact?.slice(1) : call.exactOf(part)),
  };
}

/** Writes an answer. Throws, or rejects with, a RelayError LIMIT if the value is too large, or INTERNAL if it cannot be written. */
export function writeAnswer(answer: NodeAnswer, method: string): MaybePromise<Buffer> {
  const { number, isLast, value, fault } = answer;
  if (fault) return serialiseResponse({ number, last: true, fault: faultOnWire(fault) }, EXTENSIONS);
  const struct = { number, last: isLast, ...(value !== undefined && { value }) };
  const bytes = serialiseResponseInTurns(struct, EXTENSIONS);
  const checked = (buffer: Buffer): Buffer => requireSize(buffer, `the result of ${clean(method, 100)}`, 'ask for less at a time');
  return Buffer.isBuffer(bytes) ? checked(bytes) : Promise.resolve(bytes).then(checked);
}

/** Reads an answer. Rejects with a RelayError if it is not one. */
export async function readAnswer(payload: Buffer): Promise<ReceivedAnswer> {
  const response = await parseResponseInSlices(payload);
  const struct = response.kind === 'value' && isDict(response.value) ? response.value : ({} as Dict);
  const { number, last, fault } = struct;
  if (!isCount(number, 0, Number.MAX_SAFE_INTEGER) || typeof last !== 'boolean' || response.kind !== 'value')
    throw new RelayError('INVALID_REQUEST', 'the answer of a node is a struct {number, last, value}');
  if (fault !== undefined) return { number, isLast: true, fault: readFault(fault) };
  const { value: exact } = response.exact() as { readonly value?: Sendable };
  return { number, isLast: last, value: struct.value, exact };
}

export function writeCredit(until: number): Buffer {
  return serialiseResponse(until);
}

/** The number of the first item that must not be sent yet. Rejects with a RelayError if the payload is not one. */
export async function readCredit(payload: Buffer): Promise<number> {
  const response = await parseResponseInSlices(payload);
  if (response.kind === 'value' && isCount(response.value, 0, Number.MAX_SAFE_INTEGER)) return response.value;
  throw new RelayError('INVALID_REQUEST', 'a credit is the number of an item');
}

/** The fault for an error that was reported: `answer` is what a caller over HTTP would get. What must stay on the machine is not in it. */
export function faultOfError(error: unknown, answer: FaultAnswer): NodeFault {
  if (!RelayError.is(error)) return answer;
  const { reason, option, status, systemCode } = error.data;
  return { ...answer, kind: error.code, data: { reason, option, status, systemCode }, retryAfterMs: error.retryAfterMs };
}

/** The error for a fault of a node; the text of one that is not a plugin's names the node. */
export function errorOfFault({ code, text, kind, data, retryAfterMs }: NodeFault, node: string): Error {
  if (kind !== undefined && ERRORS[kind].fault === code)
    return new RelayError(kind, `${node}: ${text}`, {
      isLogged: true,
      data: data ?? {},
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  const error = errorFromFault(code, text);
  return RelayError.is(error) ? new RelayError(error.code, `${node}: ${text}`, { isLogged: true }) : error;
}

function faultOnWire({ code, text, kind, data = {}, retryAfterMs }: NodeFault): Sendable {
  const known = Object.entries(data).filter(([, value]) => value !== undefined) as [string, Sendable][];
  return {
    ...{ code, text: cleanUnsendable(text) },
    ...(kind !== undefined && { kind }),
    ...(known.length > 0 && { data: Object.fromEntries(known) }),
    ...(retryAfterMs !== undefined && { retry_after: retryAfterMs }),
  };
}

function readFault(fault: Value): NodeFault {
  const { code, text, kind, data, retry_after: retryAfterMs } = isDict(fault) ? fault : ({} as Dict);
  if (typeof code !== 'number' || typeof text !== 'string')
    throw new RelayError('INVALID_REQUEST', 'a fault of a node is a struct {code, text}');
  return {
    ...{ code, text },
    kind: typeof kind === 'string' && Object.hasOwn(ERRORS, kind) ? (kind as ErrorCode) : undefined,
    data: isDict(data) ? readData(data) : undefined,
    retryAfterMs: isCount(retryAfterMs, 0, 86_400_000) ? retryAfterMs : undefined,
  };
}

function readData({ reason, option, status, systemCode }: Dict): ErrorData {
  return {
    ...(typeof reason === 'string' && Object.hasOwn(REASONS, reason) && { reason: reason as ErrorReason }),
    ...(typeof option === 'string' && { option: clean(option, 100) }),
    ...(typeof status === 'number' && { status }),
    ...(typeof systemCode === 'string' && { systemCode: clean(systemCode, 100) }),
  };
}

function requireSize(payload: Buffer, what: string, remedy: string): Buffer {
  if (payload.length <= MAX_PAYLOAD_BYTES) return payload;
  const text = `${what} take ${payload.length} bytes; a call between nodes carries at most ${MAX_PAYLOAD_BYTES}: ${remedy}`;
  throw new RelayError('LIMIT', text, { isForCaller: true });
}

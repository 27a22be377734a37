/** JSON-RPC 2.0 on `POST /RPC2` and `POST /`: one call or a batch of them, on the same registry as XML-RPC. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, joinInSlices } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { writeJsonInTurns } from '../json/json.ts';
import type { Caller } from '../rpc/rpc.ts';
import { openJson, paramsOf } from './json-body.ts';
import type { JsonEndpointParts, JsonRequest } from './json-body.ts';
import { setRemedies, statusOf } from './rejection.ts';

// All answers of a batch together; as much as one answer may have.
const MAX_CHARS = 64 * 1024 * 1024;
// Errors about the request as a whole also set the HTTP status; any other error is a JSON-RPC answer with HTTP 200.
const STATUSES_OF_REQUEST: ReadonlySet<number> = new Set([401, 403, 413, 429, 503]);

const RESULT = Buffer.from('{"jsonrpc":"2.0","result":');
const LIST = Buffer.from('[');
const COMMA = Buffer.from(',');
const LIST_END = Buffer.from(']');

/** A call as it stands in a request. */
interface Call {
  readonly method: string;
  readonly params: readonly Value[];
}

/** What becomes of one element: its answer, none for a notification. */
interface Outcome {
  readonly text: readonly Buffer[] | undefined;
  /** What it threw, if it failed. */
  readonly error?: unknown;
}

/** Answers one request; 204 if it holds nothing but notifications. */
export async function answerJsonRpc(parts: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { text, error } = await respond(parts, request);
  return send(reply, text && (await joinInSlices(text)), error);
}

/** Answers `error`, of a call whose id nobody has read. */
export function failJsonRpc(parts: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  return send(reply, Buffer.from(errorText(parts, request, error, 'a request', 'null')), error);
}

function send(reply: FastifyReply, text: Buffer | undefined, error: unknown): FastifyReply {
  if (text === undefined) return reply.code(204).send();
  const status = statusOf(error);
  if (error !== undefined && STATUSES_OF_REQUEST.has(status)) {
    reply.code(status);
    setRemedies(reply, error);
  }
  return reply.type('application/json').send(text);
}

async function respond(parts: JsonEndpointParts, request: FastifyRequest): Promise<Outcome> {
  try {
    const opened = await openJson(parts, request, { keepTextOf: 'id' });
    const { caller, value, textOf } = opened;
    if (value === undefined) throw counted(parts, caller, new RelayError('NOT_WELL_FORMED', 'the request has no body'));
    if (Array.isArray(value)) return await respondToBatch(parts, request, opened, value as readonly Value[]);
    request.outcome.rpcMethod = isDict(value) && typeof value.method === 'string' ? value.method : undefined;
    const call = (one: Call): Promise<unknown> => parts.dispatcher.call(one.method, one.params, caller);
    return await respondToOne(parts, request, { value, idText: idTextOf(value, textOf), caller, call, maxChars: MAX_CHARS });
  } catch (error) {
    return failed(parts, request, error, 'a request', 'null');
  }
}

async function respondToBatch(
  parts: JsonEndpointParts,
  request: FastifyRequest,
  opened: JsonRequest,
  list: readonly Value[],
): Promise<Outcome> {
  const { dispatcher } = parts;
  const { caller, textOf } = opened;
  request.outcome.rpcMethod = `batch of ${list.length}`;
  if (list.length === 0) dispatcher.count(caller);
  if (list.length === 0) throw new RelayError('INVALID_REQUEST', 'the batch is empty; it holds one call or more');
  dispatcher.requireBatch(list.length);
  const call = (one: Call): Promise<unknown> => dispatcher.callNested(one.method, one.params, caller);
  const answers: Buffer[] = [];
  let maxChars = MAX_CHARS;
  for (const value of list) {
    const { text } = await respondToOne(parts, request, { value, idText: idTextOf(value, textOf), caller, call, maxChars });
    if (text === undefined) continue;
    answers.push(answers.length === 0 ? LIST : COMMA, ...text);
    // In bytes, of which there are no fewer than characters.
    maxChars -= text.reduce((sum, { length }) => sum + length, 0);
  }
  return { text: answers.length === 0 ? undefined : [...answers, LIST_END] };
}

interface Element {
  readonly value: Value;
  /** The JSON of its id, as it stands in the request; undefined if it has none. */
  readonly idText: string | undefined;
  readonly caller: Caller;
  readonly call: (one: Call) => Promise<unknown>;
  readonly maxChars: number;
}

async function respondToOne(parts: JsonEndpointParts, request: FastifyRequest, element: Element): Promise<Outcome> {
  const { value, idText, caller, call, maxChars } = element;
  const id = idText === undefined || isId(idText) ? idText : 'null';
  let one: Call | undefined;
  try {
    one = callOf(value, idText);
  } catch (error) {
    // A call counts itself. What is none is answered though it has no id: nobody can tell whether it was to be a notification.
    return failed(parts, request, counted(parts, caller, error), 'a request', id ?? 'null');
  }
  try {
    const result = await call(one);
    if (id === undefined) return { text: undefined };
    return { text: [RESULT, ...(await writeJsonInTurns(result, 'result', maxChars)), Buffer.from(`,"id":${id}}`)] };
  } catch (error) {
    const outcome = failed(parts, request, error, one.method, id ?? 'null');
    return id === undefined ? { text: undefined } : outcome;
  }
}

/** `error`, or that the caller asks too often. */
function counted({ dispatcher }: JsonEndpointParts, caller: Caller, error: unknown): unknown {
  try {
    dispatcher.count(caller);
    return error;
  } catch (tooOften) {
    return tooOften;
  }
}

function failed(parts: JsonEndpointParts, request: FastifyRequest, error: unknown, method: string, id: string): Outcome {
  return { text: [Buffer.from(errorText(parts, request, error, method, id))], error };
}

function errorText({ dispatcher }: JsonEndpointParts, request: FastifyRequest, error: unknown, method: string, id: string): string {
  const { code, text } = dispatcher.faultFor(error, method);
  request.outcome.rpcFault = code;
  return `{"jsonrpc":"2.0","error":${JSON.stringify({ code, message: text })},"id":${id}}`;
}

function idTextOf(value: Value, textOf: JsonRequest['textOf']): string | undefined {
  return isDict(value) ? textOf(value) : undefined;
}

/** True for the JSON of a string, a number or null; an object with a marker, like {"$i8": "7"}, is an object here. */
function isId(json: string): boolean {
  return /^["0-9n-]/.test(json);
}

/** Throws a RelayError INVALID_REQUEST that says what is wrong. */
function callOf(value: Value, idText = 'null'): Call {
  const refuse = (reason: string): never => {
    throw new RelayError('INVALID_REQUEST', `${reason}; a call is {"jsonrpc": "2.0", "method": name, "params": list or object, "id": any}`);
  };
  if (!isDict(value)) return refuse('the request is no object');
  const { jsonrpc, method, params = [] } = value;
  if (jsonrpc !== '2.0') return refuse('"jsonrpc" is not "2.0"');
  if (typeof method !== 'string') return refuse('"method" is no string');
  if (!isId(idText)) return refuse('"id" is no string, number or null');
  return { method, params: paramsOf(params) ?? refuse('"params" is no list and no object') };
}

/** `/work/<unit>/...`: payloads and results of units of work as plain bytes, and what happens to a unit as server-sent events. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Principal } from '../access/access.ts';
import { writeJson } from '../json/json.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Sendable } from '../values/values.ts';
import type { Endpoint } from './endpoint.ts';
import { readRange } from './ranges.ts';
import { sendProblem, setRemedies, statusOf } from './rejection.ts';
import { HEADERS, queryOf, sendEvents } from './server-sent-events.ts';
import { arriving, streamed } from './streamed-bodies.ts';
import type { StreamedResponses } from './streamed-bodies.ts';

/** The units of work of a relay. Methods throw, or reject with, RelayErrors; a caller sees their own units, an admin those of everybody. */
export interface UnitBodies {
  /** Throws INVALID_PARAMS if there is no such unit of this caller. */
  requireUnit(unit: string, caller: Principal): void;
  /** Throws INVALID_PARAMS if the unit does not wait for a payload, and LIMIT if there is no room for `bytes` bytes. */
  requireUpload(unit: string, bytes: number | undefined, caller: Principal): void;
  /** Stores the payload; resolves to the unit. If `body` throws, the unit waits for its payload as before. */
  upload(unit: string, body: AsyncIterable<Buffer>, caller: Principal): Promise<Sendable>;
  /** How many bytes an output has until now. INVALID_PARAMS: there is no such unit or output. */
  size(
    unit: string,
    output: string,
    caller: Principal,
  ): Promise<{ readonly bytes: number; readonly hasEnded: boolean; readonly state: string }>;
  /** Bytes of an output in small pieces; `to` undefined: until the unit ends, which is waited for. */
  bytes(
    unit: string,
    output: string,
    wanted: { readonly from: number; readonly to: number | undefined; readonly signal: AbortSignal },
    caller: Principal,
  ): AsyncIterable<Buffer>;
  /** The states of a unit, and its results from an offset on; `data` is one line of JSON. The final state is last. */
  events(
    unit: string,
    wanted: { readonly output: string | undefined; readonly from: number; readonly signal: AbortSignal },
    caller: Principal,
  ): AsyncIterable<{ readonly type: string; readonly id: string | undefined; readonly data: string }>;
}

export interface WorkEndpointParts extends StreamedResponses {
  readonly dispatcher: Pick<Dispatcher, 'count' | 'faultFor' | 'requireCall'>;
  readonly work: UnitBodies;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
}

// The id of the last event, after which there is nothing to resume.
const END = 'end';

/** Rows for the endpoint table. */
export function workEndpoints(parts: WorkEndpointParts): readonly Endpoint[] {
  const row = { reads: [], writesProblems: true } as const;
  return [
    {
      ...{ ...row, path: '/work/:unit/payload' },
      put: {
        refuse: (request, reply) => refuseUpload(parts, request, reply),
        answer: (request, reply) => answerUpload(parts, request, reply),
      },
      fail: (request, reply, error) => fail(parts, { request, reply, method: 'work.submit' }, error),
    },
    {
      ...{ ...row, path: '/work/:unit/events' },
      get: (request, reply) => answerEvents(parts, request, reply),
      fail: (request, reply, error) => fail(parts, { request, reply, method: 'work.results' }, error),
    },
    {
      ...{ ...row, path: '/work/:unit/:output' },
      get: (request, reply) => answerOutput(parts, request, reply),
      fail: (request, reply, error) => fail(parts, { request, reply, method: 'work.results' }, error),
    },
  ];
}

interface Answering {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** The method that does the same, whose right is needed. */
  readonly method: string;
  /** The status if what was asked for is not possible. Default 422. */
  readonly impossible?: number;
}

/** The status for these codes here, whatever calls answer for them. A TIMEOUT is that of a body. */
const statusesFor = (impossible: number): Readonly<Record<string, number>> => ({ INVALID_PARAMS: impossible, TIMEOUT: 408 });

/** The problem document for `error`. */
function fail({ dispatcher }: WorkEndpointParts, { request, reply, method, impossible = 422 }: Answering, error: unknown): FastifyReply {
  request.outcome.rpcMethod = method;
  const fault = dispatcher.faultFor(error, method);
  request.outcome.rpcFault = fault.code;
  setRemedies(reply, error);
  const status = statusesFor(impossible)[RelayError.is(error) ? error.code : ''] ?? statusOf(error);
  // The rest of a body that is not wanted must not be taken for the next request.
  if (request.method === 'PUT') reply.header('connection', 'close');
  return sendProblem(reply, status, fault);
}

/** Charges the rate limit and checks the right. Throws RelayErrors. */
function enter({ dispatcher }: WorkEndpointParts, request: FastifyRequest, method: string): void {
  request.outcome.rpcMethod = method;
  dispatcher.count(request.principal);
  dispatcher.requireCall(method, request.principal);
}

interface PathParams {
  readonly unit: string;
  readonly output: string;
}

function refuseUpload(parts: WorkEndpointParts, request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const { unit } = request.params as PathParams;
  const length = request.headers['content-length'];
  let impossible = 404;
  try {
    enter(parts, request, 'work.submit');
    parts.work.requireUnit(unit, request.principal);
    impossible = 409;
    parts.work.requireUpload(unit, length === undefined ? undefined : Number(length), request.principal);
    return undefined;
  } catch (error) {
    return fail(parts, { request, reply, method: 'work.submit', impossible }, error);
  }
}

async function answerUpload(parts: WorkEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { unit } = request.params as PathParams;
  try {
    const body = arriving(request.raw, parts.requestTimeoutMs, parts.clock);
    const stored = await parts.work.upload(unit, body, request.principal);
    return await reply.headers(HEADERS).type('application/json').send(writeJson(stored, 'the unit'));
  } catch (error) {
    // Nobody is there for an answer.
    if (request.raw.destroyed && !request.raw.complete) return reply.hijack();
    return fail(parts, { request, reply, method: 'work.submit', impossible: 409 }, error);
  }
}

async function answerOutput(parts: WorkEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { unit, output } = request.params as PathParams;
  const { work } = parts;
  let impossible = 422;
  try {
    enter(parts, request, 'work.results');
    const { follow, offset } = queryOf(request, ['follow', 'offset']);
    const from = offsetOf(offset, 'offset') ?? 0;
    const isFollowed = flagOf(follow, 'follow');
    impossible = 404;
    const { bytes, hasEnded, state } = await work.size(unit, output, request.principal);
    const send = (status: number, length: number | undefined, start: number, end: number | undefined): FastifyReply => {
      reply.code(status).headers({ ...HEADERS, 'accept-ranges': 'bytes', 'co2-work-state': state, 'content-security-policy': 'sandbox' });
      if (length !== undefined) reply.header('content-length', length);
      reply.type('application/octet-stream');
      if (request.method === 'HEAD') return reply.send(streamed(request, reply.raw, parts, nothing));
      const pieces = (signal: AbortSignal) => work.bytes(unit, output, { from: start, to: end, signal }, request.principal);
      return reply.send(streamed(request, reply.raw, parts, pieces));
    };
    // The end of what is followed is not known yet, so that no range of it can be told.
    if (isFollowed && !hasEnded) return await send(200, undefined, from, undefined);
    const range = request.headers['if-range'] === undefined ? readRange(request.headers.range, bytes) : undefined;
    const total = hasEnded ? String(bytes) : '*';
    if (range === 'unsatisfiable' || from > bytes) {
      reply.headers({ ...HEADERS, 'content-range': `bytes */${bytes}` });
      return await sendProblem(reply, 416, { code: 416, text: `the output ${clean(output, 40)} has ${bytes} bytes` });
    }
    if (range === undefined || from > 0) return await send(200, bytes - from, from, bytes);
    reply.header('content-range', `bytes ${range.from}-${range.to - 1}/${total}`);
    return await send(206, range.to - range.from, range.from, range.to);
  } catch (error) {
    return fail(parts, { request, reply, method: 'work.results', impossible }, error);
  }
}

async function* nothing(): AsyncGenerator<Buffer, void> {
  // The head says everything.
}

async function answerEvents(parts: WorkEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { unit } = request.params as PathParams;
  let impossible = 422;
  try {
    enter(parts, request, 'work.results');
    const { stream, offset } = queryOf(request, ['stream', 'offset']);
    const last = request.headers['last-event-id'];
    const from =
      last === END ? 0 : (offsetOf(typeof last === 'string' ? last : offset, last === undefined ? 'offset' : 'Last-Event-ID') ?? 0);
    impossible = 404;
    parts.work.requireUnit(unit, request.principal);
    if (stream !== undefined) await parts.work.size(unit, stream, request.principal);
    // The status by which a browser learns that it need not connect again.
    if (last === END) return await reply.code(204).headers(HEADERS).send();
    return await sendEvents(request, reply, parts, (signal) =>
      parts.work.events(unit, { output: stream, from, signal }, request.principal),
    );
  } catch (error) {
    return fail(parts, { request, reply, method: 'work.results', impossible }, error);
  }
}

function offsetOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new RelayError('INVALID_REQUEST', `${name} must be a number of bytes, not '${clean(text, 40)}'`);
}

function flagOf(text: string | undefined, name: string): boolean {
  if (text === undefined || text === '0') return false;
  if (text === '1') return true;
  throw new RelayError('INVALID_REQUEST', `${name} must be 1 or 0, not '${clean(text, 40)}'`);
}

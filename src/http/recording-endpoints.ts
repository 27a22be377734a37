/** `/recordings/<name>/...`: the frames of a recording as server-sent events, as they come or from the store. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Endpoint } from './endpoint.ts';
import { sendProblem, setRemedies, statusOf } from './rejection.ts';
import { HEADERS, queryOf, sendEvents } from './server-sent-events.ts';
import type { ServerSentEvent } from './server-sent-events.ts';
import type { StreamedResponses } from './streamed-bodies.ts';

/** The recordings of a relay. Methods throw RelayErrors. */
export interface RecordedFrames {
  /** Throws INVALID_PARAMS if there is no recording and no datasource of this name. */
  requireName(name: string): void;
  /** States and frames from a cursor on. */
  events(name: string, wanted: { readonly from: string; readonly signal: AbortSignal }): AsyncIterable<ServerSentEvent>;
  /** Stored frames when they are due, and the event `end`. */
  replayEvents(
    name: string,
    wanted: {
      readonly since: number | undefined;
      readonly until: number | undefined;
      readonly speed: number;
      readonly cursor: string | undefined;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<ServerSentEvent>;
}

export interface RecordingEndpointParts extends StreamedResponses {
  readonly dispatcher: Pick<Dispatcher, 'count' | 'faultFor' | 'requireCall'>;
  readonly recordings: RecordedFrames;
  readonly clock: Clock;
}

// The id of the last event, after which there is nothing to resume.
const END = 'end';
const MAX_SPEED = 1_000_000;

/** Rows for the endpoint table. */
export function recordingEndpoints(parts: RecordingEndpointParts): readonly Endpoint[] {
  return [
    row('/recordings/:name/events', 'recording.subscribe', parts, answerEvents),
    row('/recordings/:name/replay', 'recording.replay', parts, answerReplay),
  ];
}

type Answer = (parts: RecordingEndpointParts, request: FastifyRequest, reply: FastifyReply, name: string) => FastifyReply;

/** `method` is the one that does the same, whose right is needed. */
function row(path: string, method: string, parts: RecordingEndpointParts, answer: Answer): Endpoint {
  const { dispatcher, recordings } = parts;
  const fail = (request: FastifyRequest, reply: FastifyReply, error: unknown, impossible = 422): FastifyReply => {
    request.outcome.rpcMethod = method;
    const fault = dispatcher.faultFor(error, method);
    request.outcome.rpcFault = fault.code;
    setRemedies(reply, error);
    return sendProblem(reply, RelayError.is(error) && error.code === 'INVALID_PARAMS' ? impossible : statusOf(error), fault);
  };
  return {
    ...{ path, reads: [], writesProblems: true, fail },
    get: (request, reply) => {
      let impossible = 404;
      try {
        request.outcome.rpcMethod = method;
        dispatcher.count(request.principal);
        dispatcher.requireCall(method, request.principal);
        const { name } = request.params as { readonly name: string };
        recordings.requireName(name);
        impossible = 422;
        return answer(parts, request, reply, name);
      } catch (error) {
        return fail(request, reply, error, impossible);
      }
    },
  };
}

function answerEvents(parts: RecordingEndpointParts, request: FastifyRequest, reply: FastifyReply, name: string): FastifyReply {
  const { from = 'first' } = queryOf(request, ['from']);
  const last = request.headers['last-event-id'];
  const start = typeof last === 'string' ? last : from;
  if (!/^(?:first|now|[0-9a-f]{8}_\d{1,15})$/.test(start))
    throw new RelayError('INVALID_REQUEST', `from must be first, now, or the id of an event, not '${clean(start, 40)}'`);
  return sendEvents(request, reply, parts, (signal) => parts.recordings.events(name, { from: start, signal }));
}

function answerReplay(parts: RecordingEndpointParts, request: FastifyRequest, reply: FastifyReply, name: string): FastifyReply {
  const { since, until, speed } = queryOf(request, ['since', 'until', 'speed']);
  const last = request.headers['last-event-id'];
  // The status by which a browser learns that it need not connect again.
  if (last === END) return reply.code(204).headers(HEADERS).send();
  const wanted = {
    ...{ since: numberOf('since', since), until: numberOf('until', until), speed: numberOf('speed', speed, MAX_SPEED) ?? 1 },
    cursor: typeof last === 'string' ? last : undefined,
  };
  return sendEvents(request, reply, parts, (signal) => parts.recordings.replayEvents(name, { ...wanted, signal }));
}

function numberOf(name: string, text: string | undefined, max = Number.MAX_SAFE_INTEGER): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,16}(?:\.\d{1,9})?$/.test(text) && value <= max) return value;
  throw new RelayError('INVALID_REQUEST', `${name} must be a number, not '${clean(text, 40)}'`);
}

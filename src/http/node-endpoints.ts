/** `/nodes/<node>/traceroute`: the way to a node of the mesh as server-sent events, hop by hop. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../core/core.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Endpoint } from './endpoint.ts';
import { sendProblem, setRemedies, statusOf } from './rejection.ts';
import { HEADERS, queryOf, sendEvents } from './server-sent-events.ts';
import type { ServerSentEvent } from './server-sent-events.ts';
import type { StreamedResponses } from './streamed-bodies.ts';

/** The nodes of the mesh. */
export interface TracedNodes {
  /** The id of a node with this id or nick. Throws a RelayError NOT_FOUND. */
  resolve(name: string): string;
  /** The hops to a node as they answer, and the event `end`. */
  events(node: string, signal: AbortSignal): AsyncIterable<ServerSentEvent>;
}

export interface NodeEndpointParts extends StreamedResponses {
  readonly dispatcher: Pick<Dispatcher, 'count' | 'faultFor' | 'requireCall'>;
  readonly nodes: TracedNodes;
  readonly clock: Clock;
}

// The method that does the same, whose right is needed.
const METHOD = 'relay.traceroute';
// The id of the last event, after which there is nothing to resume.
const END = 'end';

/** Rows for the endpoint table. */
export function nodeEndpoints(parts: NodeEndpointParts): readonly Endpoint[] {
  const { dispatcher, nodes } = parts;
  const fail = (request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply => {
    request.outcome.rpcMethod = METHOD;
    const fault = dispatcher.faultFor(error, METHOD);
    request.outcome.rpcFault = fault.code;
    setRemedies(reply, error);
    return sendProblem(reply, statusOf(error), fault);
  };
  const get = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    try {
      request.outcome.rpcMethod = METHOD;
      dispatcher.count(request.principal);
      dispatcher.requireCall(METHOD, request.principal);
      queryOf(request, []);
      const node = nodes.resolve((request.params as { readonly node: string }).node);
      // The status by which a browser learns that it need not connect again.
      if (request.headers['last-event-id'] === END) return reply.code(204).headers(HEADERS).send();
      return sendEvents(request, reply, parts, (signal) => nodes.events(node, signal));
    } catch (error) {
      return fail(request, reply, error);
    }
  };
  return [{ path: '/nodes/:node/traceroute', reads: [], writesProblems: true, get, fail }];
}

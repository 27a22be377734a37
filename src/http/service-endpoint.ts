/** `POST /service/<name>`: reports nodes of a service that are up or down, as JSON, to its watcher `watch.http`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault, RelayError } from '../core/core.ts';
import { writeJson } from '../json/json.ts';
import type { Endpoint } from './endpoint.ts';
import { openJson } from './json-body.ts';
import type { JsonEndpointParts } from './json-body.ts';
import { sendProblem, setRemedies, statusOf } from './rejection.ts';

/** The method of the bundled plugin. The access that it needs is checked as for any call. */
const METHOD = 'watch.http.report';

/** The fault of the method for a service that does not run. */
const NO_SUCH_SERVICE = 404;

/** Rows for the endpoint table. */
export function serviceEndpoints(parts: JsonEndpointParts): readonly Endpoint[] {
  return [
    {
      ...{ path: '/service/:service', reads: ['json'], writesProblems: true },
      post: (request, reply) => answer(parts, request, reply),
      fail: (request, reply, error) => fail(parts, request, reply, error),
    },
  ];
}

async function answer(parts: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { service = '' } = request.params as { service?: string };
  request.outcome.rpcMethod = METHOD;
  try {
    const { caller, value } = await openJson(parts, request);
    if (value === undefined) throw new RelayError('INVALID_REQUEST', 'the body is empty; expected nodes by name, or a list of all nodes');
    const nodes = await parts.dispatcher.call(METHOD, [service, value], caller);
    return await reply.type('application/json').send(writeJson({ service, nodes: nodes ?? 0 }, 'the answer'));
  } catch (error) {
    return fail(parts, request, reply, error);
  }
}

function fail({ dispatcher }: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  request.outcome.rpcMethod = METHOD;
  const isMissing = RelayError.is(error) && error.code === 'NO_SUCH_METHOD';
  const reason = "no watcher of this relay takes reports here; turn it on: bundled: ['watch'] in config.ts";
  const shown = isMissing ? new RelayError('NO_SUCH_METHOD', reason) : error;
  const fault = dispatcher.faultFor(shown, METHOD);
  request.outcome.rpcFault = fault.code;
  setRemedies(reply, shown);
  return sendProblem(reply, Fault.is(shown) && shown.code === NO_SUCH_SERVICE ? 404 : statusOf(shown), fault);
}

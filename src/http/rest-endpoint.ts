/** `POST /api/<method>`: the parameters as JSON, a list or one struct, and the answer as JSON or a problem document. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, joinInSlices } from '../core/core.ts';
import type { Value } from '../values/values.ts';
import { writeJsonInTurns } from '../json/json.ts';
import { openJson, paramsOf } from './json-body.ts';
import type { JsonEndpointParts } from './json-body.ts';
import { sendProblem, setRemedies, statusOf } from './rejection.ts';

/** Answers one call of the method that the path names; an empty body is no parameters. */
export async function answerRest(parts: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { method = '' } = request.params as { method?: string };
  request.outcome.rpcMethod = method;
  try {
    const { caller, value = [] } = await openJson(parts, request);
    const result = await parts.dispatcher.call(method, requireParams(value), caller);
    return await reply.type('application/json').send(await joinInSlices(await writeJsonInTurns(result, 'result')));
  } catch (error) {
    return failRest(parts, request, reply, error);
  }
}

/** Answers `error` as a problem document. */
export function failRest({ dispatcher }: JsonEndpointParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const { method = '' } = request.params as { method?: string };
  request.outcome.rpcMethod = method;
  const fault = dispatcher.faultFor(error, method);
  request.outcome.rpcFault = fault.code;
  setRemedies(reply, error);
  return sendProblem(reply, statusOf(error), fault);
}

function requireParams(value: Value): readonly Value[] {
  const params = paramsOf(value);
  if (params) return params;
  throw new RelayError('INVALID_REQUEST', 'the body is no list of parameters and no object; a single parameter stands in a list');
}

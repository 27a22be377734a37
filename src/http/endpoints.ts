/** The endpoint table: which handler answers at which path, and what it reads. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Endpoint, XmlCalls } from './endpoint.ts';
import { healthEndpoints } from './health-endpoints.ts';
import type { HealthEndpointParts } from './health-endpoints.ts';
import type { JsonEndpointParts } from './json-body.ts';
import { answerJsonRpc, failJsonRpc } from './json-rpc-endpoint.ts';
import { readMediaType } from './media-type.ts';
import type { XmlType } from './media-type.ts';
import { nodeEndpoints } from './node-endpoints.ts';
import type { NodeEndpointParts } from './node-endpoints.ts';
import { answerPage, failPage } from './page-endpoint.ts';
import type { PageEndpointParts } from './page-endpoint.ts';
import { answerRest, failRest } from './rest-endpoint.ts';
import { recordingEndpoints } from './recording-endpoints.ts';
import type { RecordingEndpointParts } from './recording-endpoints.ts';
import { robotCalls } from './robot-endpoint.ts';
import type { RobotEndpointParts } from './robot-endpoint.ts';
import { serviceEndpoints } from './service-endpoint.ts';
import { workEndpoints } from './work-endpoints.ts';
import type { WorkEndpointParts } from './work-endpoints.ts';
import { rpcCalls, sendXml } from './xmlrpc-endpoint.ts';

/** The table of one server. */
export function makeEndpoints(
  parts: RobotEndpointParts &
    JsonEndpointParts &
    PageEndpointParts &
    HealthEndpointParts &
    WorkEndpointParts &
    RecordingEndpointParts &
    NodeEndpointParts,
): readonly Endpoint[] {
  const [calls, keywords] = [rpcCalls(parts), robotCalls(parts)];
  const rpc: Omit<Endpoint, 'path'> = {
    reads: ['xml', 'json'],
    xml: calls,
    get: (request, reply) => answerPage(parts, request, reply),
    post: (request, reply, type) => (type.kind === 'xml' ? answerXml(calls, request, reply, type) : answerJsonRpc(parts, request, reply)),
    fail: (request, reply, error) => {
      if (request.method !== 'POST') return failPage(reply, error);
      return isJson(request) ? failJsonRpc(parts, request, reply, error) : sendXml(reply, calls.fail(request.outcome, error));
    },
  };
  return [
    { path: '/', ...rpc },
    { path: '/RPC2', ...rpc },
    {
      ...{ path: '/api/:method', reads: ['json'], writesProblems: true },
      post: (request, reply) => answerRest(parts, request, reply),
      fail: (request, reply, error) => failRest(parts, request, reply, error),
    },
    {
      ...{ path: '/robot', reads: ['xml'], xml: keywords },
      post: (request, reply, type) => answerXml(keywords, request, reply, type as XmlType),
      fail: (request, reply, error) => sendXml(reply, keywords.fail(request.outcome, error)),
    },
    ...healthEndpoints(parts),
    ...serviceEndpoints(parts),
    ...workEndpoints(parts),
    ...recordingEndpoints(parts),
    ...nodeEndpoints(parts),
  ];
}

async function answerXml(calls: XmlCalls, request: FastifyRequest, reply: FastifyReply, type: XmlType): Promise<FastifyReply> {
  return sendXml(
    reply,
    await calls.answer({ principal: request.principal, body: request.body, outcome: request.outcome, charset: type.charset }),
    request.principal.session,
  );
}

function isJson({ headers }: FastifyRequest): boolean {
  const type = readMediaType(headers['content-type'], ['xml', 'json']);
  return 'kind' in type && type.kind === 'json';
}

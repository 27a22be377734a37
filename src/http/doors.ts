/** All doors: where what is answered. */
import type { FastifyRequest } from 'fastify';
import { answerJsonRpc, failJsonRpc } from './json-rpc-door.ts';
import type { JsonDoorParts } from './json-body.ts';
import type { Door } from './door.ts';
import { readMediaType } from './media-type.ts';
import { answerPage, failPage } from './page-door.ts';
import type { PageDoorParts } from './page-door.ts';
import { answerRest, failRest } from './rest-door.ts';
import { answerRobot } from './robot-door.ts';
import type { RobotDoorParts } from './robot-door.ts';
import { answerRpc, failRpc } from './rpc-door.ts';

/** Made once per start. */
export function makeDoors(parts: RobotDoorParts & JsonDoorParts & PageDoorParts): readonly Door[] {
  const rpc: Omit<Door, 'path'> = {
    reads: ['xml', 'json'],
    get: (request, reply) => answerPage(parts, request, reply),
    post: (request, reply, type) => (type.kind === 'xml' ? answerRpc(parts, request, reply, type) : answerJsonRpc(parts, request, reply)),
    fail: (request, reply, error) => {
      if (request.method !== 'POST') return failPage(reply, error);
      return isJson(request) ? failJsonRpc(parts, request, reply, error) : failRpc(parts, request, reply, error);
    },
  };
  return [
    { path: '/', ...rpc },
    { path: '/RPC2', ...rpc },
    {
      ...{ path: '/api/:method', reads: ['json'], tellsProblems: true },
      post: (request, reply) => answerRest(parts, request, reply),
      fail: (request, reply, error) => failRest(parts, request, reply, error),
    },
    {
      ...{ path: '/robot', reads: ['xml'] },
      post: (request, reply, type) => answerRobot(parts, request, reply, type),
      fail: (request, reply, error) => failRpc(parts, request, reply, error),
    },
  ];
}

function isJson({ headers }: FastifyRequest): boolean {
  const type = readMediaType(headers['content-type'], ['xml', 'json']);
  return 'kind' in type && type.kind === 'json';
}

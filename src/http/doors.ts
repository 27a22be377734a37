/** All doors: where what is answered. */
import { answerJsonRpc } from './json-rpc-door.ts';
import type { JsonDoorParts } from './json-body.ts';
import type { Door } from './door.ts';
import { answerPage } from './page-door.ts';
import type { PageDoorParts } from './page-door.ts';
import { answerRest } from './rest-door.ts';
import { answerRpc } from './rpc-door.ts';
import type { RpcDoorParts } from './rpc-door.ts';

/** Made once per start. */
export function makeDoors(parts: RpcDoorParts & JsonDoorParts & PageDoorParts): readonly Door[] {
  const rpc: Omit<Door, 'path'> = {
    reads: ['xml', 'json'],
    get: (request, reply) => answerPage(parts, request, reply),
    post: (request, reply, type) => (type.kind === 'xml' ? answerRpc(parts, request, reply, type) : answerJsonRpc(parts, request, reply)),
  };
  return [
    { path: '/', ...rpc },
    { path: '/RPC2', ...rpc },
    { path: '/api/:method', reads: ['json'], tellsProblems: true, post: (request, reply) => answerRest(parts, request, reply) },
  ];
}

/** All doors: where what is answered. */
import { answerJsonRpc } from './json-rpc-door.ts';
import type { JsonDoorParts } from './json-body.ts';
import type { Door } from './door.ts';
import { answerPage } from './page-door.ts';
import type { PageDoorParts } from './page-door.ts';
import { answerRest } from './rest-door.ts';
import { answerRobot } from './robot-door.ts';
import type { RobotDoorParts } from './robot-door.ts';
import { answerRpc } from './rpc-door.ts';

/** Made once per start. */
export function makeDoors(parts: RobotDoorParts & JsonDoorParts & PageDoorParts): readonly Door[] {
  const rpc: Omit<Door, 'path'> = {
    reads: ['xml', 'json'],
    get: (request, reply) => answerPage(parts, request, reply),
    post: (request, reply, type) => (type.kind === 'xml' ? answerRpc(parts, request, reply, type) : answerJsonRpc(parts, request, reply)),
  };
  return [
    { path: '/', ...rpc },
    { path: '/RPC2', ...rpc },
    { path: '/api/:method', reads: ['json'], tellsProblems: true, post: (request, reply) => answerRest(parts, request, reply) },
    { path: '/robot', reads: ['xml'], post: (request, reply, type) => answerRobot(parts, request, reply, type) },
  ];
}

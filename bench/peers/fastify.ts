/** A minimal server with Fastify: reads a body and always answers with the same bytes. Prints its port. */
import Fastify from 'fastify';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';

const [sum, taken] = [serialiseResponse(3), serialiseResponse(true)];
const server = Fastify();
server.removeAllContentTypeParsers();
server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
  done(null, body);
});
// As long as the relay's answer; without parsing, calls can only be told apart by their length.
server.post('/RPC2', (request, reply) =>
  reply.header('content-type', 'text/xml; charset=utf-8').send((request.body as Buffer).length > 1000 ? taken : sum),
);
console.log(new URL(await server.listen({ host: '127.0.0.1', port: 0 })).port);

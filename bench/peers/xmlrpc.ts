/** A server with the npm package `xmlrpc`. Prints its port. */
import xmlrpc from 'xmlrpc';
import { freePort } from '../free-port.ts';

// The package cannot report a port that the system chose.
const port = await freePort();

const server = xmlrpc.createServer({ host: '127.0.0.1', port, path: '/RPC2' }, () => {
  console.log(port);
});
server.on('bench.box.add', (_error, [a, b]: [number, number], answer: (error: unknown, value: unknown) => void) => {
  answer(null, a + b);
});
server.on('notify', (_error, _params, answer: (error: unknown, value: unknown) => void) => {
  answer(null, true);
});

/** A server with the npm package `xmlrpc`. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import xmlrpc from 'xmlrpc';

// The package cannot report a port that the system chose, so it gets a free one.
const probe = createServer();
await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
const { port } = probe.address() as AddressInfo;
await new Promise((resolve) => probe.close(resolve));

const server = xmlrpc.createServer({ host: '127.0.0.1', port, path: '/RPC2' }, () => {
  console.log(port);
});
server.on('bench.box.add', (_error, [a, b]: [number, number], answer: (error: unknown, value: unknown) => void) => {
  answer(null, a + b);
});
server.on('notify', (_error, _params, answer: (error: unknown, value: unknown) => void) => {
  answer(null, true);
});

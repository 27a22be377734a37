/** A hop with the npm package `xmlrpc`: a call of `notify` for each dict and receiver. */
import xmlrpc from 'xmlrpc';
import { freePort } from '../free-port.ts';
import type { Hop } from './hop.ts';

export const hop: Hop = {
  concurrency: 16,
  receive: async ({ count, onDict }) => {
    const ports: number[] = [];
    for (let n = 0; n < count; n++) {
      const port = await freePort();
      const server = await new Promise<xmlrpc.Server>((resolve) => {
        const started = xmlrpc.createServer({ host: '127.0.0.1', port, path: '/RPC2' }, () => {
          resolve(started);
        });
      });
      server.on('notify', (_error, _params, answer: (error: unknown, value: unknown) => void) => {
        onDict();
        answer(null, true);
      });
      ports.push(port);
    }
    return ports;
  },
  send: ({ receivers }) => {
    const clients = receivers.map((port) => xmlrpc.createClient({ host: '127.0.0.1', port, path: '/RPC2' }));
    const call = (client: xmlrpc.Client, dict: unknown): Promise<void> =>
      new Promise((resolve, reject) => {
        client.methodCall('notify', [dict], (error: unknown) => {
          if (error) reject(new Error('notify failed', { cause: error }));
          else resolve();
        });
      });
    return Promise.resolve((dict) => Promise.all(clients.map((client) => call(client, dict))));
  },
};

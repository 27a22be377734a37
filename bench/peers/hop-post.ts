/** A hop of plain HTTP: undici posts each dict as JSON to a server of Node. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { checkDict } from './hop-json.ts';
import type { Hop } from './hop.ts';

export const hop: Hop = {
  concurrency: 16,
  receive: ({ count, onDict }) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const server = createServer((request, response) => {
          const chunks: Buffer[] = [];
          request.on('data', (chunk: Buffer) => chunks.push(chunk));
          request.on('end', () => {
            checkDict(Buffer.concat(chunks));
            onDict();
            response.end('true');
          });
        }).listen(0, '127.0.0.1');
        await once(server, 'listening');
        return (server.address() as AddressInfo).port;
      }),
    ),
  send: ({ receivers }) => {
    const pools = receivers.map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: 16 }));
    const post = async (pool: Pool, body: string): Promise<void> => {
      const { body: answer } = await pool.request({ path: '/', method: 'POST', headers: { 'content-type': 'application/json' }, body });
      await answer.dump();
    };
    return Promise.resolve((dict) => {
      const body = JSON.stringify(dict);
      return Promise.all(pools.map((pool) => post(pool, body)));
    });
  },
};

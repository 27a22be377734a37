/** An XML-RPC server of a few methods, as foreign servers are: what it does not know is a fault in its own words. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';

export type Answers = Readonly<Record<string, (...params: readonly Value[]) => Sendable>>;

/** How it says that it has no method of this name. */
type Unknown = (method: string) => readonly [code: number, text: string];

const UNSUPPORTED: Unknown = (method) => [1, `method "${method}" is not supported`];

/** A server of these methods. Answers its URL and what it was asked. */
export async function serverOf(t: ExecutionContext, answers: Answers, unknown = UNSUPPORTED): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { methodName, params } = parseCall(Buffer.concat(chunks));
      asked.push(methodName);
      const answer = Object.hasOwn(answers, methodName) ? answers[methodName] : undefined;
      response.setHeader('content-type', 'text/xml');
      response.end(answer ? serialiseResponse(answer(...params)) : serialiseFault(...unknown(methodName)));
    });
  }).listen(0, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`, asked };
}

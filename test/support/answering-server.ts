/** An XML-RPC server with a few methods that answers unknown ones with a fault of its own, as servers of other authors do. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';

export type Answers = Readonly<Record<string, (...params: readonly Value[]) => Sendable>>;

/** Returns the fault for a method that the server does not have. */
type Unknown = (method: string) => readonly [code: number, text: string];

const UNSUPPORTED: Unknown = (method) => [1, `method "${method}" is not supported`];

/** Starts a server with these methods; returns its URL and the names of the methods that were called. */
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

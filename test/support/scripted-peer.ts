/** A scripted peer or remote satellite: accepts, rejects, resets the connection or stays silent, as the test says for each request. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from './gate.ts';

/** `ok` answers true; a number is a fault code; `http 500` a status; `reset` closes the connection; `silent` never answers. */
export type Answer = 'ok' | 'reset' | 'silent' | `http ${number}` | number;

export interface ScriptedPeer {
  readonly url: string;
  readonly port: number;
  /** Every dict that reached it, whatever the answer was. */
  readonly notified: Gate<Dict>;
  /** The XML of every `notify`. */
  readonly bodies: Gate<string>;
  /** Receives an entry for every ping, which is answered true and takes no answer from the script. */
  readonly pinged: Gate<true>;
  /** The number of connections that were opened to it. */
  readonly connections: () => number;
  /** Adds the answers to the next requests, in order; later ones get `ok`. */
  script(...answers: Answer[]): void;
  close(): Promise<void>;
}

export async function scriptedPeer(t: ExecutionContext, { host = '127.0.0.1', port = 0 } = {}): Promise<ScriptedPeer> {
  const notified = new Gate<Dict>();
  const bodies = new Gate<string>();
  const pinged = new Gate<true>();
  const answers: Answer[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const call = parseCall(body, { allowNonFinite: true });
      if (call.methodName === 'ping') {
        pinged.push(true);
        respond(response, 'ok');
        return;
      }
      if (call.methodName === 'system.multicall' || call.methodName === 'relay.hello') {
        // Like a program that has only `notify`.
        respond(response, -32601);
        return;
      }
      bodies.push(body.toString('utf8'));
      notified.push(call.params[0] as Dict);
      respond(response, answers.shift() ?? 'ok');
    });
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    });
  t.teardown(close);
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://${host}:${bound}`,
    port: bound,
    notified,
    bodies,
    pinged,
    connections: () => connections,
    script: (...more) => answers.push(...more),
    close,
  };
}

function respond(response: ServerResponse, answer: Answer): void {
  if (answer === 'silent') return;
  if (answer === 'reset') {
    response.destroy();
    return;
  }
  if (typeof answer === 'string' && answer.startsWith('http ')) {
    response.writeHead(Number(answer.slice(5))).end();
    return;
  }
  response.setHeader('content-type', 'text/xml');
  response.end(answer === 'ok' ? serialiseResponse(true) : serialiseFault(answer as number, 'as the script says'));
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

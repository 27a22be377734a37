/** A server that answers with raw bytes, for tests of how a client handles malformed responses. */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { Gate } from './gate.ts';

export interface RawServer {
  readonly url: string;
  /** Receives an entry for every connection that ended. */
  readonly closed: Gate<true>;
  /** The requests, with their headers. */
  readonly requests: readonly string[];
  /** The number of open connections. */
  readonly open: () => number;
  /** The number of connections ever made. */
  readonly connections: () => number;
}

/** Starts a server that calls `behave` with the socket and the text of each complete request. */
export async function rawServer(t: ExecutionContext, behave: (socket: Socket, request: string) => void): Promise<RawServer> {
  const closed = new Gate<true>();
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed.push(true);
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!text.includes('</methodCall>')) return;
      requests.push(text);
      behave(socket, text);
      text = '';
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = (): number => [...sockets].filter((socket) => !socket.destroyed).length;
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, closed, requests, open, connections: () => sockets.size };
}

/** Builds an HTTP response. */
export function answer(body: string | Buffer, { status = '200 OK', type = 'text/xml', headers = '' } = {}): Buffer {
  const bytes = Buffer.from(body);
  const contentType = type === '' ? '' : `Content-Type: ${type}\r\n`;
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${contentType}${headers}Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

/** A server of raw bytes, for tests of what a client makes of anything that may come back. */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { Gate } from './gate.ts';

export interface RawServer {
  readonly url: string;
  /** Every connection that ended. */
  readonly closed: Gate<true>;
  /** What was asked, headers included. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly open: () => number;
  /** Connections that were ever made. */
  readonly connections: () => number;
}

/** A server of raw bytes: `behave` gets the socket once a whole request is there, and the request's text. */
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

/** An HTTP answer. */
export function answer(body: string | Buffer, { status = '200 OK', type = 'text/xml', headers = '' } = {}): Buffer {
  const bytes = Buffer.from(body);
  const contentType = type === '' ? '' : `Content-Type: ${type}\r\n`;
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${contentType}${headers}Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

/**
 * Generates load: requests over a few kept-alive connections, one in flight on each. Uses bare sockets, since an HTTP client would cost
 * more than the servers.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** The result of a load. */
export interface Load {
  readonly callsPerSecond: number;
  /** ms of each call. */
  readonly latencies: readonly number[];
}

/** Connections of a load. */
export const CONNECTIONS = 32;

const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = Buffer.from(`0${HEAD_END}`);

/** Formats an HTTP request of an XML-RPC call. */
export function requestOf(body: Buffer): Buffer {
  const head = ['POST /RPC2 HTTP/1.1', 'Host: 127.0.0.1', 'Content-Type: text/xml', `Content-Length: ${body.length}`];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}${HEAD_END}`), body]);
}

/** When a load ends, whichever comes first. */
export interface End {
  readonly ms: number;
  readonly calls?: number;
}

/** Sends `request` repeatedly over `connections` connections. Rejects on an answer other than HTTP 200 and on a fault. */
export async function load(port: number, request: Buffer, connections: number, { ms, calls = Infinity }: End): Promise<Load> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + ms;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const connection = new Connection(port);
      try {
        while (performance.now() < end && latencies.length < calls) {
          const sent = performance.now();
          await connection.ask(request);
          latencies.push(performance.now() - sent);
        }
      } finally {
        connection.close();
      }
    }),
  );
  return { callsPerSecond: (latencies.length * 1000) / (performance.now() - start), latencies };
}

/** One connection; it reconnects when the server closes it between two requests. */
export class Connection {
  #socket: Socket | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;
  #wanted = -1;
  #settle: { readonly resolve: (body: Buffer) => void; readonly reject: (error: Error) => void } | undefined;

  constructor(private readonly port: number) {}

  /** Resolves with the whole response, including headers. */
  ask(request: Buffer): Promise<Buffer> {
    const socket = this.#socket ?? this.#connect();
    this.#parts = [];
    this.#bytes = 0;
    this.#wanted = -1;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      socket.write(request);
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#take(chunk);
    });
    socket.on('error', (error) => this.#settle?.reject(error));
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
      this.#settle?.reject(new Error('the server ended the connection without an answer'));
    });
    return socket;
  }

  #take(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    if (this.#wanted === -1) this.#readHead();
    const isWhole = this.#wanted === Infinity ? chunk.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) : this.#bytes === this.#wanted;
    if (isWhole) this.#end(Buffer.concat(this.#parts));
  }

  #readHead(): void {
    const so = Buffer.concat(this.#parts);
    const end = so.indexOf(HEAD_END);
    if (end === -1) return;
    const length = /\ncontent-length: *(\d+)/i.exec(so.toString('latin1', 0, end))?.[1];
    this.#wanted = length === undefined ? Infinity : end + HEAD_END.length + Number(length);
  }

  #end(answer: Buffer): void {
    const settle = this.#settle;
    this.#settle = undefined;
    // The server is about to close the connection; the next request must not race with that.
    if (/\nconnection: close/i.test(answer.toString('latin1', 0, 300))) {
      this.#socket?.destroy();
      this.#socket = undefined;
    }
    if (answer.includes(' 200 ') && !answer.includes('<fault>')) settle?.resolve(answer);
    else settle?.reject(new Error(`a call failed: ${answer.toString('latin1', 0, 400)}`));
  }
}

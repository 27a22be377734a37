/** One HTTP request to the program by itself, as somebody sends it who is not the relay; what comes of it is told whatever it is, and bounded. */
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Its beginning. */
  readonly body: string;
}

export interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly method: string;
  readonly body: string;
  readonly timeoutMs: number;
}

const MAX_BODY = 64 * 1024;

/** Rejects with an Error if there is no answer in time, or none that is HTTP. */
export function exchange({ port, path, method, body, timeoutMs }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'text/xml; charset=utf-8', 'content-length': Buffer.byteLength(body) };
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let text = '';
      const done = (): void => {
        clearTimeout(late);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        sent.destroy();
      };
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_BODY) done();
      });
      response.on('end', done);
      response.on('error', done);
    });
    const late = setTimeout(() => {
      sent.destroy(new Error(`no answer in ${timeoutMs} ms`));
    }, timeoutMs);
    sent.on('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    sent.end(body);
  });
}

/** Sends bytes, says nothing more, and hangs up; resolves when the connection is gone, or after `timeoutMs`. */
export function sendAndLeave(port: number, bytes: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const late = setTimeout(() => {
      socket.destroy();
    }, timeoutMs);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
    socket.on('data', () => undefined);
    socket.end(bytes);
  });
}

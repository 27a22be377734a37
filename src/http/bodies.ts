/** How request bodies arrive: as bytes, and inflated if they are in gzip and the operator accepts that. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { isGzip } from './request-checks.ts';

// Ordinary calls shrink to a tenth and repetitive ones to a fiftieth; a higher ratio costs the relay far more than the sender.
const MAX_RATIO = 100;
// Below this size the ratio says nothing: a small body of blanks is not an attack.
const RATIO_FREE_BYTES = 64 * 1024;

/** Makes `server` read every body into a Buffer, inflate gzip, and send `100 Continue` only when the body is wanted. */
export function readBodiesAsBytes(server: FastifyInstance, maxBodyBytes: number): void {
  server.removeAllContentTypeParsers();
  // The media type has been checked against the endpoint already.
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
  const waiting = new WeakSet<IncomingMessage>();
  server.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    waiting.add(request);
    server.server.emit('request', request, response);
  });
  // The request checks reject unknown expectations, with the same text for all of them.
  server.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    server.server.emit('request', request, response);
  });
  server.addHook('preParsing', (request, reply, payload, done) => {
    if (waiting.has(request.raw)) reply.raw.writeContinue();
    const isInflated = isBodyRead(request) && isGzip(request.headers['content-encoding']);
    done(null, isInflated ? inflated(payload, maxBodyBytes) : payload);
  });
}

/** Makes routes of this part of the server get their bodies unread. */
export function passBodiesUnread(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, _body, done) => {
    done(null);
  });
}

/** True if the body of a request is read into memory; Node discards the body of any other method. */
export function isBodyRead({ method }: { readonly method: string }): boolean {
  return method === 'POST';
}

/** A body that cannot be read; `statusCode` is the status of the answer. */
class InflateError extends Error {
  constructor(
    readonly statusCode: 400 | 413,
    text: string,
  ) {
    super(text);
  }
}

/**
 * The inflated `body`. It fails with an error that has a `statusCode` if the body is not valid gzip, is truncated, or grows more than a
 * hundredfold or beyond `maxBytes`. The router looks for the number of received bytes in `receivedEncodedLength`.
 */
function inflated(body: Readable, maxBytes: number): Readable {
  const gunzip = createGunzip();
  let sent = 0;
  let grown = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
      sent += chunk.length;
      done(null, chunk);
    },
  });
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding: string, done: TransformCallback) {
      grown += chunk.length;
      if (grown > maxBytes) done(new InflateError(413, `the body is larger than ${maxBytes} bytes (maxBodyBytes) when inflated`));
      else if (grown > RATIO_FREE_BYTES && grown > sent * MAX_RATIO)
        done(new InflateError(413, `the body grows more than ${MAX_RATIO} times when inflated`));
      else done(null, chunk);
    },
  });
  // There may be no reader, and an error event without a listener ends the process.
  bounded.on('error', ignore);
  const fail = (error: Error): void => {
    bounded.destroy(error);
  };
  gunzip.once('error', () => {
    fail(new InflateError(400, 'the body is not valid gzip (truncated or corrupt)'));
  });
  body.once('close', () => {
    if (!body.readableEnded) fail(new InflateError(400, 'the body is truncated'));
  });
  // pipeline() would destroy the request, and with it the connection that the rejection is sent over.
  bounded.once('close', () => {
    body.unpipe(counted);
    gunzip.destroy();
    // Discard the rest, so that the connection can continue with its next request.
    body.resume();
  });
  body.pipe(counted).pipe(gunzip).pipe(bounded);
  return Object.defineProperty(bounded, 'receivedEncodedLength', { get: () => sent });
}

function ignore(): void {
  // The reader of the body has a listener of its own.
}

/** What requests hold from their headers to the end of their answers: memory out of one budget, and the patience of the relay with whoever does not read. */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock, canonicalAddress } from '../message/message.ts';
import type { ByteBudget, Reservation } from './byte-budget.ts';
import type { Refusal } from './guard.ts';
import type { SlowReaders } from './slow-readers.ts';

const BUSY: Refusal = {
  status: 503,
  text: 'the relay holds as many large bodies and answers as it may (maxBufferedBytes); call again in a moment',
};

export interface InFlightParts {
  readonly budget: ByteBudget;
  readonly readers: SlowReaders;
  readonly maxBodyBytes: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request holds, from its headers on. */
    inFlight: InFlight | undefined;
  }
}

interface InFlight {
  readonly reservation: Reservation;
  answerBytes: number;
}

/** Watches every request of `server`; its hooks come before those of the doors. `refuse` answers one that would hold too much. */
export function watchInFlight(
  server: FastifyInstance,
  { budget, readers, maxBodyBytes }: InFlightParts,
  refuse: (request: FastifyRequest, reply: FastifyReply, refusal: Refusal) => FastifyReply,
): void {
  server.decorateRequest('inFlight', undefined);
  server.addHook('onRequest', (request, reply, done) => {
    const { socket } = request;
    const held = { reservation: budget.open(placeOf(request)), answerBytes: 0 };
    request.inFlight = held;
    // Read to its end, or gone.
    reply.raw.once('close', () => {
      held.reservation.release();
      readers.done(socket, held.answerBytes);
    });
    if (!readers.asking(socket)) return;
    const length = Number(request.headers['content-length'] ?? 0);
    // What is larger than a body may be is refused, and never read.
    if (length > maxBodyBytes || held.reservation.grow(length)) done();
    else refuse(request, reply, BUSY);
  });
  server.addHook('preParsing', (request, _reply, body, done) => {
    // A chunked body says nothing of its length, one in gzip not enough.
    const isInflated = body !== request.raw;
    // What was sent is let go as it is inflated.
    if (isInflated) request.inFlight?.reservation.grow(-Number(request.headers['content-length'] ?? 0));
    if (isInflated || request.headers['content-length'] === undefined) {
      const count = (chunk: Buffer): void => {
        if (request.inFlight?.reservation.grow(chunk.length) !== false) return;
        body.off('data', count);
        const error = Object.assign(new Error(BUSY.text), { statusCode: BUSY.status });
        // Ends the reading of this body, but not the connection: the answer must get out.
        if (isInflated) (body as Readable).destroy(error);
        else body.emit('error', error);
      };
      body.on('data', count);
    }
    done(null, body);
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const held = request.inFlight;
    let answer = payload;
    let bytes = sizeOf(payload);
    if (held?.reservation.grow(bytes) === false) {
      // Let go here, so that nobody makes us keep answers by asking for many and reading none.
      held.reservation.grow(-bytes);
      answer = `the call was made, but its answer of ${bytes} bytes is one too many to hold (maxBufferedBytes)\n`;
      bytes = sizeOf(answer);
      reply.code(503).type('text/plain; charset=utf-8').header('content-length', bytes);
    }
    if (held) held.answerBytes = bytes;
    readers.sending(request.socket, bytes);
    done(null, answer);
  });
}

function sizeOf(payload: unknown): number {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? Buffer.byteLength(payload) : 0;
}

function placeOf({ socket: { remoteAddress = '' } }: FastifyRequest): string {
  const address = canonicalAddress(remoteAddress);
  return address === undefined ? 'this machine' : addressBlock(address);
}

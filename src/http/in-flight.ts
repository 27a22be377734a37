/** What requests hold from their headers to the end of their answers: memory out of one budget, and the patience of the relay with whoever does not read. */
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock, canonicalAddress } from '../message/message.ts';
import type { ByteBudget, Reservation } from './byte-budget.ts';
import type { Refusal } from './guard.ts';
import type { Connection, SlowReaders } from './slow-readers.ts';

const BUSY: Refusal = {
  status: 503,
  text: 'the relay holds as many large bodies and answers as it may (maxBufferedBytes); call again in a moment',
};

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request holds, from its headers on. */
    inFlight: Held | undefined;
  }
}

/** All requests that are under way. */
export class InFlight {
  constructor(
    private readonly budget: ByteBudget<Connection>,
    private readonly readers: SlowReaders,
  ) {}

  /** A request came in over `connection`, to be answered by `response`. Undefined if it is one too many that waits there: the connection is cut. */
  begin(connection: Connection, response: ServerResponse): Held | undefined {
    const held = new Held(this.budget.open(connection), this.readers, connection);
    // Read to its end, or gone.
    response.on('close', () => {
      held.end();
    });
    return this.readers.asking(connection) ? held : undefined;
  }
}

/** What one request holds. */
export class Held {
  #answerBytes = 0;

  constructor(
    private readonly reservation: Reservation,
    private readonly readers: SlowReaders,
    private readonly connection: Connection,
  ) {}

  /** Counts `bytes` more of its body, or less; false if that is more than there is for it now. */
  grow(bytes: number): boolean {
    return this.reservation.grow(bytes);
  }

  /** What is sent instead of an answer of `bytes` bytes, since nobody may make us keep answers by asking for many and reading none; undefined if that goes out. */
  answering(bytes: number): string | undefined {
    const isKept = this.reservation.grow(bytes);
    if (!isKept) this.reservation.grow(-bytes);
    const instead = isKept ? undefined : `the call was made, but its answer of ${bytes} bytes is one too many to hold (maxBufferedBytes)\n`;
    this.#answerBytes = instead?.length ?? bytes;
    this.readers.sending(this.connection, this.#answerBytes);
    return instead;
  }

  end(): void {
    this.reservation.release();
    this.readers.done(this.connection, this.#answerBytes);
  }
}

/** Watches every request that the router of `server` gets; its hooks come before those of the doors. `refuse` answers one that would hold too much. */
export function watchInFlight(
  server: FastifyInstance,
  { inFlight, maxBodyBytes }: { readonly inFlight: InFlight; readonly maxBodyBytes: number },
  refuse: (request: FastifyRequest, reply: FastifyReply, refusal: Refusal) => FastifyReply,
): void {
  server.decorateRequest('inFlight', undefined);
  server.addHook('onRequest', (request, reply, done) => {
    const held = inFlight.begin(request.socket, reply.raw);
    request.inFlight = held;
    if (!held) return;
    const length = Number(request.headers['content-length'] ?? 0);
    // What is larger than a body may be is refused, and never read.
    if (length > maxBodyBytes || held.grow(length)) done();
    else refuse(request, reply, BUSY);
  });
  server.addHook('preParsing', (request, _reply, body, done) => {
    // A chunked body says nothing of its length, one in gzip not enough.
    const isInflated = body !== request.raw;
    // What was sent is let go as it is inflated.
    if (isInflated) request.inFlight?.grow(-Number(request.headers['content-length'] ?? 0));
    if (isInflated || request.headers['content-length'] === undefined) {
      const count = (chunk: Buffer): void => {
        if (request.inFlight?.grow(chunk.length) !== false) return;
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
    const instead = request.inFlight?.answering(sizeOf(payload));
    if (instead !== undefined) reply.code(503).type('text/plain; charset=utf-8').header('content-length', instead.length);
    done(null, instead ?? payload);
  });
}

function sizeOf(payload: unknown): number {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? Buffer.byteLength(payload) : 0;
}

/** Where a connection comes from, for the budget. */
export function placeOf({ remoteAddress = '' }: Connection): string {
  const address = canonicalAddress(remoteAddress);
  return address === undefined ? 'this machine' : addressBlock(address);
}

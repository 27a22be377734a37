/** What requests hold from their headers to the end of their answers: memory out of one budget, and the patience of the relay with whoever does not read. */
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock } from '../message/message.ts';
import type { Principal } from '../access/access.ts';
import { SMALL_BYTES } from './byte-budget.ts';
import type { ByteBudget, Reservation, Share } from './byte-budget.ts';
import type { Told } from './endpoint.ts';
import type { Refusal } from './guard.ts';
import { isBodyRead } from './server.ts';
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
    private readonly budget: ByteBudget<Caller>,
    private readonly readers: SlowReaders,
  ) {}

  /** A request came in over `connection`, to be answered by `response`. Undefined if it is one too many that waits there: the connection is cut. */
  begin(connection: Connection, response: ServerResponse): Held | undefined {
    const held = new Held(this.budget, this.readers, connection);
    // Read to its end, or gone.
    response.on('close', () => {
      held.end();
    });
    return this.readers.asking(connection) ? held : undefined;
  }
}

/** Who sent a request, as far as that is known; undefined before the caller is determined. */
interface Caller {
  standing: Principal | undefined;
}

/** What one request holds. */
export class Held implements Caller {
  /** Who sent it: set before anything large is counted. */
  standing: Principal | undefined;
  readonly #reservation: Reservation;
  #answerBytes = 0;

  constructor(
    budget: ByteBudget<Caller>,
    private readonly readers: SlowReaders,
    private readonly connection: Connection,
  ) {
    this.#reservation = budget.open(this);
  }

  /** Counts `bytes` of its body that have arrived; false if that is more than there is for it now. */
  grow(bytes: number): boolean {
    return this.#reservation.grow(bytes);
  }

  /** Its body is not kept: the request is refused. */
  drop(): void {
    this.#reservation.release();
  }

  /** What is sent instead of an answer of `bytes` bytes, since nobody may make us keep answers by asking for many and reading none; undefined if that goes out. */
  answering(bytes: number, { rpcMethod }: Told): string | undefined {
    // Refusals are small, and so are most answers.
    const isKept = bytes <= SMALL_BYTES || this.#reservation.grow(bytes);
    if (!isKept) this.#reservation.grow(-bytes);
    const what = rpcMethod === undefined ? 'the answer' : 'the call was made, but its answer';
    const instead = isKept ? undefined : `${what} of ${bytes} bytes is one too many to hold (maxBufferedBytes)\n`;
    this.#answerBytes = instead?.length ?? bytes;
    this.readers.sending(this.connection, this.#answerBytes);
    return instead;
  }

  end(): void {
    this.#reservation.release();
    this.readers.done(this.connection, this.#answerBytes);
  }
}

/** Watches every request that the router of `server` gets; its hooks come before those of the doors. */
export function watchInFlight(server: FastifyInstance, inFlight: InFlight): void {
  server.decorateRequest('inFlight', undefined);
  server.addHook('onRequest', (request, reply, done) => {
    const held = inFlight.begin(request.socket, reply.raw);
    request.inFlight = held;
    // A connection that was cut gets no answer.
    if (held) done();
  });
  server.addHook('preParsing', (request, reply, body, done) => {
    if (isBodyRead(request)) countArriving(request, reply, body);
    done(null, body);
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const instead = request.inFlight?.answering(sizeOf(payload), request.told);
    if (instead !== undefined) reply.code(503).type('text/plain; charset=utf-8').header('content-length', instead.length);
    done(null, instead ?? payload);
  });
}

/** Counts a body as it arrives, whatever length was announced, and makes the router give it up once that is more than there is for it. */
function countArriving({ inFlight, raw }: FastifyRequest, reply: FastifyReply, body: Readable): void {
  if (!inFlight) return;
  // The router stops listening once it gives a body up; an error event without a listener would end the process.
  body.on('error', ignore);
  const count = (chunk: Buffer): void => {
    // Given up already: what still comes is discarded.
    const isDiscarded = reply.sent;
    if (!isDiscarded && inFlight.grow(chunk.length)) return;
    body.off('data', count);
    inFlight.drop();
    if (isDiscarded) return;
    const error = Object.assign(new Error(BUSY.text), { statusCode: BUSY.status });
    // Ends the reading of this body, but not the connection: the answer must get out.
    if (body === raw) body.emit('error', error);
    else body.destroy(error);
  };
  body.on('data', count);
}

function ignore(): void {
  // The router has a listener of its own.
}

function sizeOf(payload: unknown): number {
  return typeof payload === 'string' || Buffer.isBuffer(payload) ? Buffer.byteLength(payload) : 0;
}

/** Whose share of the budget a request takes. */
export function shareOf({ standing }: Caller): Share {
  if (!standing) return { place: 'unknown', isStranger: true };
  const { address, isDirect, role } = standing;
  // Anybody can register a satellite.
  const isStranger = role.kind === 'anonymous' || role.kind === 'satellite';
  return { place: isDirect ? addressBlock(address) : 'a proxy on this machine', isStranger };
}

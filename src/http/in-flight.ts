/** Requests in flight, from their headers to the end of their responses: each takes memory from one budget, and slow readers are cut. */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock } from '../message/message.ts';
import type { Principal } from '../access/access.ts';
import { SMALL_BYTES } from './byte-budget.ts';
import type { ByteBudget, Reservation, Share } from './byte-budget.ts';
import type { CallOutcome } from './endpoint.ts';
import type { Rejection } from './rejection.ts';
import { isBodyRead } from './bodies.ts';
import type { Connection, SlowReaders } from './slow-readers.ts';

/** The answer when the memory budget has no room. */
export const BUSY: Rejection = {
  status: 503,
  text: 'the memory for large bodies and responses is in use (maxBufferedBytes); call again in a moment',
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Set when the headers have arrived. */
    inFlight: RequestInFlight | undefined;
  }
}

/** All requests in flight. */
export class InFlight {
  constructor(
    private readonly budget: ByteBudget<Sender>,
    private readonly readers: SlowReaders,
  ) {}

  /**
   * Registers a request, until `end` of the result is called. Undefined if too many requests wait on `connection` already: it is closed.
   */
  begin(connection: Connection): RequestInFlight | undefined {
    return this.readers.requestBegan(connection) ? new RequestInFlight(this.budget, this.readers, connection) : undefined;
  }
}

/** The caller of a request; undefined until it is known. */
interface Sender {
  principal: Principal | undefined;
}

/** One request in flight. */
export class RequestInFlight implements Sender {
  /** Set before anything large is counted. */
  principal: Principal | undefined;
  readonly #reservation: Reservation;
  #answerBytes = 0;

  constructor(
    budget: ByteBudget<Sender>,
    private readonly readers: SlowReaders,
    private readonly connection: Connection,
  ) {
    this.#reservation = budget.open(this);
  }

  /** Counts `bytes` of the body that have arrived; false if the budget has no room for them. */
  grow(bytes: number): boolean {
    return this.#reservation.grow(bytes);
  }

  /** Frees the memory of the body: the request is rejected. */
  drop(): void {
    this.#reservation.release();
  }

  /**
   * Registers a response of `bytes` bytes. Answers the text to send instead of it if the budget has no room: a client must not fill the
   * memory by sending many calls and reading no response.
   */
  answering(bytes: number, { rpcMethod }: CallOutcome): string | undefined {
    // Most responses are small, and all rejections.
    const isKept = bytes <= SMALL_BYTES || this.#reservation.grow(bytes);
    if (!isKept) this.#reservation.grow(-bytes);
    const what = rpcMethod === undefined ? 'the response' : 'the call was made, but its response';
    const instead = isKept ? undefined : `${what} of ${bytes} bytes is too large to hold now (maxBufferedBytes)\n`;
    this.#answerBytes = instead?.length ?? bytes;
    this.readers.responseBegan(this.connection, this.#answerBytes);
    return instead;
  }

  /** Call once, when the client has read the response or is gone. */
  end(): void {
    this.#reservation.release();
    this.readers.responseEnded(this.connection, this.#answerBytes);
  }
}

/** Registers every request that the router of `server` gets. Call it before other hooks are added. */
export function watchInFlight(server: FastifyInstance, inFlight: InFlight): void {
  server.decorateRequest('inFlight', undefined);
  server.addHook('onRequest', (request, reply, done) => {
    const held = (request.inFlight = inFlight.begin(request.socket));
    // A closed connection gets no response.
    if (!held) return;
    reply.raw.on('close', () => {
      held.end();
    });
    done();
  });
  server.addHook('preParsing', (request, reply, body, done) => {
    if (isBodyRead(request)) countArriving(request, reply, body);
    done(null, body);
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const instead = request.inFlight?.answering(sizeOf(payload), request.outcome);
    if (instead !== undefined) reply.code(503).type('text/plain; charset=utf-8').header('content-length', instead.length);
    done(null, instead ?? payload);
  });
}

/** Counts a body while it arrives, whatever its Content-Length, and makes the router abandon it when the budget has no room. */
function countArriving({ inFlight, raw }: FastifyRequest, reply: FastifyReply, body: Readable): void {
  if (!inFlight) return;
  // The router stops listening when it abandons a body, and an error event without a listener would end the process.
  body.on('error', ignore);
  const count = (chunk: Buffer): void => {
    // The router has abandoned the body: discard the rest.
    const isDiscarded = reply.sent;
    if (!isDiscarded && inFlight.grow(chunk.length)) return;
    body.off('data', count);
    inFlight.drop();
    if (isDiscarded) return;
    const error = Object.assign(new Error(BUSY.text), { statusCode: BUSY.status });
    // End the body, but not the connection: the response must still be sent.
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

/** The share of the budget that a request uses. */
export function shareOf({ principal }: Sender): Share {
  if (!principal) return { place: 'unknown', isUntrusted: true };
  const { address, isDirect, role } = principal;
  // Anybody can register as a satellite.
  const isUntrusted = role.kind === 'anonymous' || role.kind === 'satellite';
  return { place: isDirect ? addressBlock(address) : 'a proxy on this machine', isUntrusted };
}

/** The memory of large bodies and answers over all connections: whoever would take more than its share is asked to come again. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressBlock, canonicalAddress } from '../message/message.ts';
import type { Refusal } from './guard.ts';

/** What one request holds of the budget, until `release`. */
export interface Reservation {
  /** Counts `bytes` more, in any case; false if that is more than there is for it now. */
  grow(bytes: number): boolean;
  release(): void;
}

// What is smaller is bounded by the number of connections.
const SMALL_BYTES = 64 * 1024;

export class ByteBudget {
  readonly #byPlace = new Map<string, number>();
  #held = 0;

  /** `maxBytes`: for all requests at once. One place may have half of it, so that no caller alone shuts out the others. */
  constructor(private readonly maxBytes: number) {}

  /** Bytes held by requests that are not small. */
  get held(): number {
    return this.#held;
  }

  /** For a request from `place` that holds nothing yet. */
  open(place: string): Reservation {
    let own = 0;
    return {
      grow: (bytes) => {
        const before = countedOf(own);
        own += bytes;
        return this.#count(place, countedOf(own) - before);
      },
      release: () => {
        this.#count(place, -countedOf(own));
        own = 0;
      },
    };
  }

  #count(place: string, bytes: number): boolean {
    if (bytes === 0) return true;
    const mine = (this.#byPlace.get(place) ?? 0) + bytes;
    this.#held += bytes;
    if (mine === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, mine);
    return this.#held <= this.maxBytes && mine <= this.maxBytes / 2;
  }
}

const BUSY: Refusal = {
  status: 503,
  text: 'the relay holds as many large bodies and answers as it may (maxBufferedBytes); call again in a moment',
};

/** Counts what the requests of `server` hold, from their headers to the end of the connection or the answer; `refuse` answers one that is too much. */
export function holdWithin(
  budget: ByteBudget,
  server: FastifyInstance,
  refuse: (reply: FastifyReply, refusal: Refusal) => FastifyReply,
): void {
  const held = new WeakMap<FastifyRequest, Reservation>();
  server.addHook('onRequest', (request, reply, done) => {
    const reservation = budget.open(placeOf(request));
    held.set(request, reservation);
    reply.raw.once('close', () => {
      reservation.release();
    });
    if (reservation.grow(Number(request.headers['content-length'] ?? 0))) done();
    else refuse(reply, BUSY);
  });
  server.addHook('preParsing', (request, _reply, body, done) => {
    // Only a chunked body says nothing of its length.
    if (request.headers['content-length'] === undefined) {
      const count = (chunk: Buffer): void => {
        if (held.get(request)?.grow(chunk.length) !== false) return;
        body.off('data', count);
        // Ends the reading of this body, but not the connection: the answer must get out.
        body.emit('error', Object.assign(new Error(BUSY.text), { statusCode: BUSY.status }));
      };
      body.on('data', count);
    }
    done(null, body);
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const bytes = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : 0;
    if (held.get(request)?.grow(bytes) !== false) {
      done(null, payload);
      return;
    }
    // Let go here, so that nobody makes us keep answers by asking for many and reading none.
    held.get(request)?.grow(-bytes);
    const text = `the call was made, but its answer of ${bytes} bytes is one too many to hold (maxBufferedBytes)\n`;
    reply.code(503).type('text/plain; charset=utf-8').header('content-length', Buffer.byteLength(text));
    done(null, text);
  });
}

function placeOf({ socket: { remoteAddress = '' } }: FastifyRequest): string {
  const address = canonicalAddress(remoteAddress);
  return address === undefined ? 'this machine' : addressBlock(address);
}

function countedOf(bytes: number): number {
  return bytes > SMALL_BYTES ? bytes : 0;
}

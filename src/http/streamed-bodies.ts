/** Bodies that are never whole in memory: uploads as they arrive, and responses that are made while they are read. */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { RelayError, withTimeout } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { BUSY } from './in-flight.ts';
import type { SlowReaders } from './slow-readers.ts';

// An upload brings this much in each `limitMs`: it may take hours, but must not hold a connection without progress.
const MIN_PROGRESS_BYTES = 64 * 1024;

const uploading = new WeakSet<object>();

/** True while the body of a request over this connection is read by {@link arriving}: the limit on whole requests does not apply. */
export function isUploading(socket: object): boolean {
  return uploading.has(socket);
}

/**
 * The body of a request as it arrives; the client waits while it is not read. Throws a RelayError TIMEOUT if it makes no progress for
 * `limitMs`, and the error of the connection if the client goes before the end.
 */
export async function* arriving(request: IncomingMessage, limitMs: number, clock: Clock): AsyncGenerator<Buffer, void> {
  // Ending early must not destroy the connection over which the answer is sent.
  const chunks = request.iterator({ destroyOnReturn: false });
  const text = `the body did not make progress within ${limitMs} ms (requestTimeoutMs)`;
  let [waitedMs, arrived] = [0, 0];
  uploading.add(request.socket);
  try {
    for (;;) {
      const began = clock.now();
      const next = await withTimeout(clock, Math.max(1, limitMs - waitedMs), text, () => chunks.next());
      if (next.done === true) return;
      const chunk = next.value as Buffer;
      // The time that the relay takes to store it does not count.
      waitedMs += clock.now() - began;
      arrived += chunk.length;
      if (arrived >= MIN_PROGRESS_BYTES) [waitedMs, arrived] = [0, 0];
      yield chunk;
    }
  } finally {
    uploading.delete(request.socket);
  }
}

/** What ends responses that are still being made. */
export interface StreamedResponses {
  readonly readers: SlowReaders;
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
}

/**
 * A response whose pieces are made as the client reads them. `pieces` gets a signal that is aborted when the client is gone or the server
 * stops. An error of `pieces` ends the connection before the end of the body, so that the client can tell; see {@link StreamedResponses}.
 */
export function streamed(
  request: FastifyRequest,
  response: { flushHeaders(): void; once(event: 'close', listener: () => void): unknown },
  { readers, stopping }: StreamedResponses,
  pieces: (signal: AbortSignal) => AsyncIterable<Buffer>,
): Readable {
  const gone = new AbortController();
  const leave = (): void => {
    gone.abort(new RelayError('UNAVAILABLE', 'the client is gone, or the relay stops'));
  };
  response.once('close', leave);
  stopping.addEventListener('abort', leave);
  if (stopping.aborted) leave();
  return Readable.from(watched(), { objectMode: false, highWaterMark: MIN_PROGRESS_BYTES });

  async function* watched(): AsyncGenerator<Buffer, void> {
    // The first piece may take hours.
    response.flushHeaders();
    try {
      for await (const piece of pieces(gone.signal)) {
        const read = readers.pieceBegan(request.socket, piece.length);
        try {
          if (request.inFlight?.grow(piece.length) === false) throw new RelayError('UNAVAILABLE', BUSY.text);
          yield piece;
        } finally {
          request.inFlight?.grow(-piece.length);
          read();
        }
      }
    } finally {
      stopping.removeEventListener('abort', leave);
    }
  }
}

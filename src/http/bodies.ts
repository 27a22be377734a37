/** Bodies in gzip, where the operator lets them in: inflated as they come, bounded in size and in ratio. */
import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import { createGunzip } from 'node:zlib';

// Ordinary calls shrink to a tenth, repetitive ones to a fiftieth; what shrinks further is made to cost the reader, not the sender.
const MAX_RATIO = 100;
// Below this the ratio says nothing: a small body of blanks is no attack.
const RATIO_FREE_BYTES = 64 * 1024;

/** A body that cannot be read; `statusCode` is how it is answered. */
class InflateError extends Error {
  constructor(
    readonly statusCode: 400 | 413,
    text: string,
  ) {
    super(text);
  }
}

/** The inflated `body`, with the bytes that were sent as `receivedEncodedLength`, where the server looks for it; it ends with an error that has a `statusCode` if it is no gzip, is cut short, or grows more than a hundredfold or beyond `maxBytes`. */
export function inflated(body: Readable, maxBytes: number): Readable {
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
      if (grown > maxBytes) done(new InflateError(413, `the body is larger than ${maxBytes} bytes (maxBodyBytes) when it is inflated`));
      else if (grown > RATIO_FREE_BYTES && grown > sent * MAX_RATIO)
        done(new InflateError(413, `the body grows more than ${MAX_RATIO} times when it is inflated`));
      else done(null, chunk);
    },
  });
  // Nobody may be reading any more, or never was; an error event without a listener ends the process.
  bounded.on('error', ignore);
  const fail = (error: Error): void => {
    bounded.destroy(error);
  };
  gunzip.once('error', () => {
    fail(new InflateError(400, 'the body is no gzip, or is cut short'));
  });
  body.once('close', () => {
    if (!body.readableEnded) fail(new InflateError(400, 'the body is cut short'));
  });
  // Not by pipeline(), which would destroy the request and with it the connection that the refusal is to go over.
  bounded.once('close', () => {
    body.unpipe(counted);
    gunzip.destroy();
    // What still comes is discarded, so that the connection can go on with its next request.
    body.resume();
  });
  body.pipe(counted).pipe(gunzip).pipe(bounded);
  return Object.defineProperty(bounded, 'receivedEncodedLength', { get: () => sent });
}

function ignore(): void {
  // The reader of the body, if there is one, has its own listener.
}

/**
 * Random hexadecimal names, from bytes that are fetched in advance: each message of a client needs a few, and fetching few bytes costs as
 * much as fetching many.
 */
import { randomFillSync } from 'node:crypto';

const NAMES_IN_ADVANCE = 512;

/** Makes names of `bytes` random bytes each. */
export function randomHex(bytes: number): () => string {
  const pool = Buffer.alloc(bytes * NAMES_IN_ADVANCE);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    at += bytes;
    return pool.toString('hex', at - bytes, at);
  };
}

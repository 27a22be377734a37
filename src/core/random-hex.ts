/**
 * Random hexadecimal names, from bytes that are generated in advance: each message of a client needs a few, and generating a few costs as
 * much as generating many.
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

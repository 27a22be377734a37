/** Texts that outlive the document they were read from: V8's slices keep the whole of it alive. */

// Below this a document costs less to keep than its copies do.
const SMALL_DOCUMENT = 4096;

/**
 * `part` of a document of `length` characters, copied if it is less than a quarter of it: so whoever keeps a part for long keeps
 * at most four times as much alive, and a waiting line that counts its items counts their memory.
 */
export function detached(part: string, length: number): string {
  if (length < SMALL_DOCUMENT || part.length * 4 >= length) return part;
  return Buffer.from(part, 'utf8').toString('utf8');
}

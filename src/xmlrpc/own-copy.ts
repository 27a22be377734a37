/** Copies bytes that are kept for long. */

/**
 * The bytes from `from` to `to` in memory of their own: a slice would keep all of `bytes` alive, and a small pooled buffer the 8 KiB of its
 * pool.
 */
export function ownCopy(bytes: Uint8Array, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  copy.set(bytes.subarray(from, to));
  return copy;
}

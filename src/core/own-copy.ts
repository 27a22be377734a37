/** Copies bytes that will be kept for a long time. */

/** A copy of `from..to` in memory of its own: a slice would keep all of `bytes` alive, and a pooled buffer the 8 KiB of its pool. */
export function ownCopy(bytes: Uint8Array, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  copy.set(bytes.subarray(from, to));
  return copy;
}

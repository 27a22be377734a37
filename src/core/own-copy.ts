/** Copies bytes that are kept longer than what they come from. */

// Memory of its own takes longer to get than all else that is done with a small message. A copy keeps its piece, which is about what the
// objects around a message take anyway.
const PIECE_BYTES = 4096;
const SMALL_BYTES = 512;
let piece = Buffer.alloc(0);
let used = 0;

/** A copy of `from..to` that keeps at most 4 KiB besides itself: a slice would keep all of `bytes`. */
export function ownCopy(bytes: Uint8Array, from: number, to: number): Buffer {
  const copy = room(to - from);
  copy.set(bytes.subarray(from, to));
  return copy;
}

function room(length: number): Buffer {
  if (length > SMALL_BYTES) return Buffer.allocUnsafeSlow(length);
  if (used + length > piece.length) {
    piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    used = 0;
  }
  used += length;
  return piece.subarray(used - length, used);
}

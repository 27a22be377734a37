/** The bytes of a body as they come: in one piece of memory, of whatever size the pieces are in which they come. */

const NOTHING = Buffer.alloc(0);

export class CollectedBytes {
  /** Of these the first `size`; a piece that came alone is kept as it is. */
  #bytes: Buffer = NOTHING;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** All of them; nothing may be added any more. */
  get whole(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** `toCome`: how many more are known to follow. */
  add(piece: Buffer, toCome = 0): void {
    if (piece.length === 0) return;
    const size = this.#size + piece.length;
    if (this.#size === 0 && toCome === 0) this.#bytes = piece;
    else this.#copy(piece, size, size + toCome);
    this.#size = size;
  }

  #copy(piece: Buffer, size: number, wanted: number): void {
    // A piece that was kept as it is has no room at its end, so what follows it never writes over what is not ours.
    if (size > this.#bytes.length) {
      // Doubled, so that a body that comes byte by byte is not copied once for each.
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#size));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    piece.copy(this.#bytes, this.#size);
  }
}

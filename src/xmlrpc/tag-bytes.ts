/** Tags as bytes: an expected one, or several in a row, is recognised four bytes at a time without being taken apart. */

/** Bytes that may stand at a place of a document; at least four. */
export class TagBytes {
  readonly length: number;
  readonly #words: readonly number[];
  // The last four bytes, which may overlap the word before them.
  readonly #last: number;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    this.length = bytes.length;
    this.#words = Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readInt32LE(4 * i));
    this.#last = bytes.readInt32LE(bytes.length - 4);
  }

  /** True if these bytes stand at `at`. */
  isAt(view: DataView, at: number): boolean {
    const last = at + this.length - 4;
    if (last + 4 > view.byteLength || view.getInt32(last, true) !== this.#last) return false;
    const words = this.#words;
    for (let i = 0; i < words.length; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return false;
    return true;
  }
}

/** Short texts by number, packed into one piece of memory: a million strings would be a million objects for each collection of garbage. */

// Room that is made at once at most, and the share by which it is larger than what is needed.
const AT_ONCE_BYTES = 64 * 1024;
const SPARE = 1 / 16;

/** See the head of this file. Texts have fewer than 65,536 bytes. */
export class PackedTexts {
  readonly #starts: Uint32Array;
  readonly #lengths: Uint16Array;
  #bytes = Buffer.alloc(0);
  // The first byte that is free, and how many before it belong to no text any more.
  #end = 0;
  #dead = 0;
  #count = 0;

  /** `texts`: the numbers are below that. */
  constructor(texts: number) {
    this.#starts = new Uint32Array(texts);
    this.#lengths = new Uint16Array(texts);
  }

  /** The text with this number; empty if it was not set. */
  get(number: number): string {
    const start = this.#starts[number] ?? 0;
    return this.#bytes.toString('utf8', start, start + (this.#lengths[number] ?? 0));
  }

  /** Sets a text that is empty now. */
  set(number: number, text: string): void {
    if (text === '') return;
    const length = Buffer.byteLength(text);
    this.#reserve(length);
    this.#bytes.write(text, this.#end);
    this.#starts[number] = this.#end;
    this.#lengths[number] = length;
    this.#end += length;
    this.#count++;
  }

  /** Makes a text empty. */
  clear(number: number): void {
    const length = this.#lengths[number] ?? 0;
    if (length === 0) return;
    this.#lengths[number] = 0;
    this.#dead += length;
    if (--this.#count === 0) this.#end = this.#dead = 0;
  }

  /** Makes room, by moving the texts that are left together if there are many others. */
  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const needed = this.#end - this.#dead + bytes;
    // All texts are about as long as those until now.
    const expected = Math.ceil((needed / (this.#count + 1)) * this.#starts.length);
    const length = Math.max(Math.ceil(needed * (1 + SPARE)), Math.min(expected, Math.max(AT_ONCE_BYTES, 2 * needed)));
    const moved = Buffer.allocUnsafeSlow(length);
    let end = 0;
    for (const [number, start] of this.#starts.entries()) {
      const of = this.#lengths[number] ?? 0;
      if (of === 0) continue;
      this.#bytes.copy(moved, end, start, start + of);
      this.#starts[number] = end;
      end += of;
    }
    this.#bytes = moved;
    this.#end = end;
    this.#dead = 0;
  }
}

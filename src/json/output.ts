/** Where JSON is written: text that becomes bytes piece by piece, and of which the end can be taken back. */

// A piece takes some 0.1 ms to become bytes.
const PIECE_CHARS = 64 * 1024;

/** A place that {@link Output.truncate} goes back to. */
export interface Mark {
  readonly parts: number;
  readonly chars: number;
}

export class Output {
  readonly #parts: Buffer[] = [];
  #partChars = 0;
  #text = '';

  /** Characters written so far. */
  get chars(): number {
    return this.#partChars + this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= PIECE_CHARS) this.#flush();
  }

  /** This place. */
  mark(): Mark {
    this.#flush();
    return { parts: this.#parts.length, chars: this.#partChars };
  }

  /** Forgets what was written behind `mark`. */
  truncate({ parts, chars }: Mark): void {
    this.#parts.length = parts;
    this.#partChars = chars;
    this.#text = '';
  }

  /** What was written, in UTF-8. */
  parts(): readonly Buffer[] {
    this.#flush();
    return this.#parts;
  }

  #flush(): void {
    if (this.#text === '') return;
    this.#parts.push(Buffer.from(this.#text));
    this.#partChars += this.#text.length;
    this.#text = '';
  }
}

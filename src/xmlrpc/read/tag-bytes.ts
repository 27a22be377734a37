/** Recognises expected tags, or several in a row, by comparing four bytes at a time instead of parsing them. */

const WORD = 4;
const MAX_LENGTH = 28;

/** An expected sequence of 4 to 28 bytes. */
export class TagBytes {
  readonly length: number;
  // The words of a short text overlap or repeat, because a loop would cost more than the extra comparisons.
  readonly #first: number;
  readonly #second: number;
  readonly #third: number;
  readonly #fourth: number;
  readonly #last: number;
  readonly #secondAt: number;
  readonly #thirdAt: number;
  readonly #fourthAt: number;
  readonly #lastAt: number;
  // The words between the fourth and the last one of a long text.
  readonly #rest: readonly number[];

  constructor(text: string) {
    const bytes = Buffer.from(text);
    if (bytes.length < WORD || bytes.length > MAX_LENGTH) throw new Error(`${text} cannot be compared in words`);
    const last = bytes.length - WORD;
    this.length = bytes.length;
    this.#lastAt = last;
    this.#secondAt = Math.min(WORD, last);
    this.#thirdAt = Math.min(2 * WORD, last);
    this.#fourthAt = Math.min(3 * WORD, last);
    this.#first = bytes.readInt32LE(0);
    this.#second = bytes.readInt32LE(this.#secondAt);
    this.#third = bytes.readInt32LE(this.#thirdAt);
    this.#fourth = bytes.readInt32LE(this.#fourthAt);
    this.#last = bytes.readInt32LE(last);
    this.#rest = Array.from({ length: Math.max(0, Math.ceil((last - 16) / WORD)) }, (_, i) => bytes.readInt32LE(16 + WORD * i));
  }

  /** True if these bytes are at `at` of `view`, which has `length` bytes. */
  isAt(view: DataView, at: number, length: number): boolean {
    return (
      at + this.length <= length &&
      view.getInt32(at, true) === this.#first &&
      view.getInt32(at + this.#lastAt, true) === this.#last &&
      view.getInt32(at + this.#secondAt, true) === this.#second &&
      view.getInt32(at + this.#thirdAt, true) === this.#third &&
      view.getInt32(at + this.#fourthAt, true) === this.#fourth &&
      (this.#rest.length === 0 || this.#isRestAt(view, at))
    );
  }

  #isRestAt(view: DataView, at: number): boolean {
    return this.#rest.every((word, i) => view.getInt32(at + 16 + WORD * i, true) === word);
  }
}

/** Finds the messages of a table by a number: that of their records, or that in a stream. Both mostly grow by one. */

/** Something with a row of its own in a table. */
interface InRow {
  readonly row: number;
}

/** A table of such things. */
interface Rows<T extends InRow> {
  at(row: number): T | undefined;
}

/** The rows of as many numbers in a row. */
interface Span {
  readonly rows: number[];
  count: number;
}

const SPAN = 64;
const NONE = -1;

/** See the head of this file. It has the order of the numbers, and takes some bytes for each of those that follow one another. */
export class RowIndex<T extends InRow> {
  readonly #table: Rows<T>;
  // By the first number, divided by its length. None is empty.
  #spans = new Map<number, Span>();
  #size = 0;
  // Spans are made in the order of their numbers, but for rare ones.
  #greatest = -Infinity;
  #isOrdered = true;
  // The least number, if it is known.
  #first: number | undefined;

  constructor(table: Rows<T>) {
    this.#table = table;
  }

  get size(): number {
    return this.#size;
  }

  has(number: number): boolean {
    return this.#rowOf(number) !== NONE;
  }

  get(number: number): T | undefined {
    const row = this.#rowOf(number);
    return row === NONE ? undefined : this.#table.at(row);
  }

  /** Adds a message, which takes the place of another one with this number. */
  set(number: number, { row }: T): void {
    const key = Math.floor(number / SPAN);
    let span = this.#spans.get(key);
    if (!span) {
      span = { rows: new Array<number>(SPAN).fill(NONE), count: 0 };
      this.#spans.set(key, span);
      if (key < this.#greatest) this.#isOrdered = false;
      this.#greatest = Math.max(this.#greatest, key);
    }
    const at = number - key * SPAN;
    if (span.rows[at] === NONE) {
      span.count++;
      this.#size++;
    }
    span.rows[at] = row;
    if (this.#size === 1 || (this.#first !== undefined && number < this.#first)) this.#first = number;
  }

  /** Removes what has this number; true if something had it. */
  delete(number: number): boolean {
    const key = Math.floor(number / SPAN);
    const span = this.#spans.get(key);
    const at = number - key * SPAN;
    if (!span || (span.rows[at] ?? NONE) === NONE) return false;
    span.rows[at] = NONE;
    this.#size--;
    if (--span.count === 0) this.#spans.delete(key);
    if (number === this.#first) this.#first = undefined;
    return true;
  }

  /** The least number; undefined if there is none. */
  get first(): number | undefined {
    if (this.#first !== undefined || this.#size === 0) return this.#first;
    this.#order();
    const [[key, { rows }] = [0, { rows: [] }]] = this.#spans;
    return (this.#first = key * SPAN + rows.findIndex((row) => row !== NONE));
  }

  /** The messages in the order of their numbers, from this one on. They may be removed meanwhile. */
  *values(from = 0): Generator<T, undefined> {
    this.#order();
    for (const [key, { rows }] of this.#spans) {
      for (let at = Math.max(0, from - key * SPAN); at < SPAN; at++) {
        const row = rows[at] ?? NONE;
        const found = row === NONE ? undefined : this.#table.at(row);
        if (found) yield found;
      }
    }
  }

  #rowOf(number: number): number {
    const key = Math.floor(number / SPAN);
    return this.#spans.get(key)?.rows[number - key * SPAN] ?? NONE;
  }

  #order(): void {
    if (this.#isOrdered) return;
    this.#spans = new Map([...this.#spans].sort(([one], [other]) => one - other));
    this.#isOrdered = true;
  }
}

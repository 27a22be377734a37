/** A set of the numbers of a stream: all up to a limit, and runs above it. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_RUNS } from './limits.ts';

/** Constant in memory for numbers that come in order, whatever their distance; each gap costs one run. */
export class NumberSet {
  /** All numbers up to this one are in the set. */
  #through = 0;
  /** Runs above, in order, neither touching nor overlapping: from, to (inclusive), from, to ... */
  #runs: number[] = [];

  /** All numbers up to this one are in the set. */
  get through(): number {
    return this.#through;
  }

  /** The greatest number of the set; 0 if it is empty. */
  get greatest(): number {
    return this.#runs.at(-1) ?? this.#through;
  }

  /** True if nothing more fits without closing a gap first. */
  get isFull(): boolean {
    return this.#runs.length >= 2 * MAX_RUNS;
  }

  has(number: number): boolean {
    if (number <= this.#through) return true;
    const at = this.#firstRunTo(number);
    return at < this.#runs.length && (this.#runs[at] ?? 0) <= number;
  }

  /** The first number that is missing, from this one on. */
  missingFrom(number: number): number {
    if (number <= this.#through) return this.missingFrom(this.#through + 1);
    const at = this.#firstRunTo(number);
    return at < this.#runs.length && (this.#runs[at] ?? 0) <= number ? (this.#runs[at + 1] ?? 0) + 1 : number;
  }

  /** Adds a number, which need not be new. */
  add(number: number): void {
    if (number === this.#through + 1 && this.#runs.length === 0) {
      this.#through = number;
      return;
    }
    if (this.has(number)) return;
    const runs = this.#runs;
    // The run that ends before the number, and the one that begins after it.
    const at = this.#firstRunTo(number);
    const touchesBefore = at > 0 && runs[at - 1] === number - 1;
    const touchesAfter = runs[at] === number + 1;
    if (touchesBefore && touchesAfter) runs.splice(at - 1, 2);
    else if (touchesBefore) runs[at - 1] = number;
    else if (touchesAfter) runs[at] = number;
    else runs.splice(at, 0, number, number);
    this.#absorb();
  }

  /** Adds all numbers up to this one. */
  advance(through: number): void {
    if (through <= this.#through) return;
    this.#through = through;
    this.#absorb();
  }

  encode(writer: ByteWriter): ByteWriter {
    writer.varint(this.#through).varint(this.#runs.length / 2);
    let last = this.#through;
    for (const edge of this.#runs) {
      writer.varint(edge - last);
      last = edge;
    }
    return writer;
  }

  /** Reads what {@link encode} wrote. Throws a RelayError INVALID_PARAMS for anything else. */
  static decode(reader: ByteReader): NumberSet {
    const set = new NumberSet();
    set.#through = reader.varint();
    const edges = 2 * reader.varint(MAX_RUNS);
    let last = set.#through;
    for (let at = 0; at < edges; at++) {
      last += reader.varint(Number.MAX_SAFE_INTEGER - last);
      set.#runs.push(last);
    }
    return set;
  }

  /** The index of the first run that ends at `number` or later. */
  #firstRunTo(number: number): number {
    let [low, high] = [0, this.#runs.length / 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#runs[2 * middle + 1] ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return 2 * low;
  }

  /** Joins the runs that the limit has reached. */
  #absorb(): void {
    let count = 0;
    while (count < this.#runs.length && (this.#runs[count] ?? 0) <= this.#through + 1) {
      this.#through = Math.max(this.#through, this.#runs[count + 1] ?? 0);
      count += 2;
    }
    if (count > 0) this.#runs.splice(0, count);
  }
}

/** Any JavaScript value to JSON, or a typed error that names its place; total, without recursion, and to be paused after any step. */
import { types } from 'node:util';
import { Attempt, Double, Int64, Walk, isDict } from '../values/values.ts';
import type { Frame } from '../values/values.ts';
import { hasLoneSurrogate } from './bytes.ts';
import { dateText, looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';
import { Output } from './output.ts';
import type { Mark } from './output.ts';

// Five times what is read from one text by default. Protects everybody else, who waits meanwhile: values that share parts exponentially
// often are endless,
// and empty ones have so few characters that their limit comes late.
const MAX_VALUES = 1_000_000;
const TOO_MANY = `there are more than ${MAX_VALUES} values up to here; send them in parts`;

// A step ends after so many of either, about a millisecond.
const STEP_CHARS = 32 * 1024;
const STEP_VALUES = 4 * 1024;
// Units of a text that are escaped at a time, and bytes that become base64: a whole number of threes.
const TEXT_PIECE = 16 * 1024;
const BASE64_PIECE = 3 * 8 * 1024;

// What stands between quotes as it is: printable ASCII without quotes and backslashes.
const PLAIN = /^[ !#-[\]-~]*$/;

/** A text or bytes of which a part is written. */
interface Long {
  readonly rest: string | Buffer;
  readonly length: number;
  at: number;
}

/** How much was written. */
interface Written {
  readonly mark: Mark;
  readonly values: number;
}

/** One value on its way out, in as many turns as its owner likes; `label` is its place in errors. */
export class JsonWriter {
  readonly #out = new Output();
  readonly #walk: Walk<Written>;
  #long: Long | undefined;
  // What comes before the next child: the whole value, or what stands in for one that failed.
  #next: { readonly value: unknown } | undefined;
  #values = 1;

  constructor(
    root: unknown,
    label: string,
    private readonly maxChars: number,
  ) {
    this.#walk = new Walk(label);
    this.#next = { value: root };
  }

  /** Goes on for some {@link STEP_CHARS} or {@link STEP_VALUES}; true once all is written. */
  write(): boolean {
    try {
      return this.#step();
    } catch (error) {
      const { mark, instead } = this.#walk.giveUp(error);
      this.#out.truncate(mark.mark);
      this.#values = mark.values;
      this.#long = undefined;
      this.#next = { value: instead };
      return false;
    }
  }

  /** What was written, in UTF-8. */
  parts(): readonly Buffer[] {
    return this.#out.parts();
  }

  #step(): boolean {
    const until = this.#out.chars + STEP_CHARS;
    for (let steps = 0; steps < STEP_VALUES && this.#out.chars < until; steps++) {
      if (this.#next) {
        const { value } = this.#next;
        this.#next = undefined;
        this.#value(value);
      } else if (this.#long) this.#piece(this.#long);
      else if (this.#walk.top) this.#child(this.#walk.top);
      else return true;
      if (this.#out.chars > this.maxChars) this.#tooLong();
    }
    return false;
  }

  /** The next child of `frame`, or its end. */
  #child(frame: Frame): void {
    const { container, names, isMap } = frame;
    if (frame.next === frame.length) {
      this.#put(names ? '}' : ']');
      this.#walk.close();
      return;
    }
    const index = frame.next++;
    if (index > 0) this.#put(',');
    if (names === undefined) {
      this.#value((container as readonly unknown[])[index]);
    } else {
      const name = names[index] ?? '';
      this.#put(`${this.#quoted(frame.length === 1 && looksMarked(name) ? `$${name}` : name)}:`);
      this.#value(isMap ? (container as ReadonlyMap<string, unknown>).get(name) : (container as Record<string, unknown>)[name]);
    }
  }

  #value(value: unknown): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#put(numberText(this.#finite(value)));
    else if (typeof value === 'boolean' || value === null) this.#put(String(value));
    else if (typeof value === 'bigint') this.#put(isInt32(Number(value)) ? String(value) : this.#int64(value));
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${value === undefined ? 'undefined' : `a ${typeof value}`} cannot be sent; leave the member out`);
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      this.#open(value);
    } else if (isDict(value)) {
      this.#open(value, Object.keys(value));
    } else if (types.isUint8Array(value)) {
      this.#begin('{"$base64":"', Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    } else if (types.isDate(value)) {
      this.#put(`{"$date":"${dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`);
    } else if (types.isMap(value)) {
      this.#open(value, this.#walk.namesOf(value, MAX_VALUES, TOO_MANY), true);
    } else if (Double.is(value)) {
      this.#put(doubleText(this.#finite(value.value)));
    } else if (Int64.is(value)) {
      this.#put(this.#int64(value.value));
    } else if (Attempt.is(value)) {
      this.#try(value);
    } else {
      this.#fail('an instance of a class cannot be sent; send a plain object, an array, a Map, a Date or a Buffer');
    }
  }

  #text(text: string): void {
    if (text.length > TEXT_PIECE) this.#begin('"', text);
    else this.#put(this.#quoted(text));
  }

  #begin(open: string, rest: string | Buffer): void {
    // Each character and each byte takes one at least.
    if (rest.length > this.maxChars) this.#tooLong();
    this.#put(open);
    this.#long = { rest, length: rest.length, at: 0 };
  }

  /** The next piece of a long text or of bytes. */
  #piece(long: Long): void {
    const { rest, length, at } = long;
    if (typeof rest === 'string') {
      long.at = pieceEnd(rest, at);
      this.#put(this.#quoted(rest.slice(at, long.at)).slice(1, -1));
    } else {
      // Between two turns its owner may have given the memory away.
      if (rest.length !== length) this.#fail('the bytes were changed while they were written');
      long.at = Math.min(length, at + BASE64_PIECE);
      this.#put(rest.toString('base64', at, long.at));
    }
    if (long.at < length) return;
    this.#long = undefined;
    this.#put(typeof rest === 'string' ? '"' : '"}');
  }

  #try(attempt: Attempt): void {
    this.#walk.begin(attempt, { mark: this.#out.mark(), values: this.#values });
    this.#value(attempt.value);
  }

  #put(text: string): void {
    this.#out.add(text);
  }

  #quoted(text: string): string {
    if (text.length <= 40 && PLAIN.test(text)) return `"${text}"`;
    const json = JSON.stringify(text);
    if (hasLoneSurrogate(json)) this.#fail('the text holds half a surrogate pair, which is no character; send it as a Buffer');
    return json;
  }

  #finite(value: unknown): number {
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.#fail(`${String(value)} cannot be sent: there are finite numbers only`);
  }

  #int64(value: unknown): string {
    const text = typeof value === 'bigint' ? int64Text(value) : undefined;
    return text ?? this.#fail('the integer does not fit 64 bits');
  }

  #open(container: object, names?: readonly string[], isMap?: boolean): void {
    const { length } = this.#walk.open(container, names, isMap);
    this.#values += length;
    if (this.#values > MAX_VALUES) this.#fail(TOO_MANY);
    this.#put(names ? '{' : '[');
  }

  #tooLong(): never {
    return this.#fail(`the value is longer than ${this.maxChars} characters of JSON; send it in parts`);
  }

  #fail(reason: string): never {
    return this.#walk.fail(reason);
  }
}

/** The end of the piece of `text` that begins at `from`; never between two surrogates. */
function pieceEnd(text: string, from: number): number {
  const end = from + TEXT_PIECE;
  const last = text.charCodeAt(end - 1);
  return Math.min(text.length, last >= 0xd800 && last < 0xdc00 ? end + 1 : end);
}

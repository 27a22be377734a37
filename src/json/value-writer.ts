/** Any JavaScript value to JSON, or a typed error that names its place; total, without recursion, and to be paused after any step. */
import { types } from 'node:util';
import { Attempt, Double, Int64, RelayError, isDict, memberPlace } from '../message/message.ts';
import { hasLoneSurrogate } from './bytes.ts';
import { dateText, looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';
import { Output } from './output.ts';
import type { Mark } from './output.ts';

// As deep as a text is read by default, so that what is written can be read.
const MAX_DEPTH = 64;
// Five times what is read from one text by default. Protects everybody else, who waits meanwhile: values that share parts exponentially often are endless,
// and empty ones have so few characters that their limit comes late.
const MAX_VALUES = 1_000_000;

// A step ends after so many of either, about a millisecond.
const STEP_CHARS = 32 * 1024;
const STEP_VALUES = 4 * 1024;
// Units of a text that are escaped at a time, and bytes that become base64: a whole number of threes.
const TEXT_PIECE = 16 * 1024;
const BASE64_PIECE = 3 * 8 * 1024;

// What stands between quotes as it is: printable ASCII without quotes and backslashes.
const PLAIN = /^[ !#-[\]-~]*$/;

/** An array or struct that is being written; `next` counts the children begun. */
interface Frame {
  readonly container: object;
  readonly length: number;
  next: number;
  /** Undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly isMap: boolean;
}

/** A text or bytes of which a part is written. */
interface Long {
  readonly rest: string | Buffer;
  readonly length: number;
  at: number;
}

/** The attempt that was begun last: what was written before it, and which child of which frame it is. */
interface Begun {
  readonly attempt: Attempt;
  readonly mark: Mark;
  readonly values: number;
  readonly depth: number;
  readonly frame: Frame | undefined;
  readonly child: number | undefined;
}

/** One value on its way out, in as many turns as its owner likes; `label` is its place in errors. */
export class JsonWriter {
  readonly #out = new Output();
  readonly #frames: Frame[] = [];
  // The last of them.
  #top: Frame | undefined;
  #long: Long | undefined;
  // What comes before the next child: the whole value, or what stands in for one that failed.
  #next: { readonly value: unknown } | undefined;
  #begun: Begun | undefined;
  #values = 1;

  constructor(
    root: unknown,
    private readonly label: string,
    private readonly maxChars: number,
  ) {
    this.#next = { value: root };
  }

  /** Goes on for some {@link STEP_CHARS} or {@link STEP_VALUES}; true once all is written. */
  write(): boolean {
    try {
      return this.#step();
    } catch (error) {
      // A getter, a proxy or an iterator of the value's own.
      const known = RelayError.is(error)
        ? error
        : new RelayError('INTERNAL', `${this.#path()}: the value cannot be read`, { cause: error });
      this.#giveUp(known);
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
      else if (this.#top) this.#child(this.#top);
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
      this.#frames.pop();
      this.#top = this.#frames.at(-1);
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
      this.#open({ container: value, length: value.length, next: 0, names: undefined, isMap: false });
    } else if (isDict(value)) {
      const names = Object.keys(value);
      this.#open({ container: value, length: names.length, next: 0, names, isMap: false });
    } else if (types.isUint8Array(value)) {
      this.#begin('{"$base64":"', Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    } else if (types.isDate(value)) {
      this.#put(`{"$date":"${dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`);
    } else if (types.isMap(value)) {
      const names = this.#mapNames(value);
      this.#open({ container: value, length: names.length, next: 0, names, isMap: true });
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
    const frame = this.#top;
    const mark = this.#out.mark();
    this.#begun = { attempt, mark, values: this.#values, depth: this.#frames.length, frame, child: frame?.next };
    this.#value(attempt.value);
  }

  /** Takes back what is written of the attempt that is being made, and lets its stand-in come next; throws `error` if there is none. */
  #giveUp(error: RelayError): void {
    const begun = this.#begun;
    if (!begun || this.#frames[begun.depth - 1] !== begun.frame || begun.frame?.next !== begun.child) throw error;
    this.#begun = undefined;
    this.#out.truncate(begun.mark);
    this.#values = begun.values;
    this.#frames.length = begun.depth;
    this.#top = begun.frame;
    this.#long = undefined;
    this.#next = { value: begun.attempt.otherwise(error) };
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

  #mapNames(map: ReadonlyMap<unknown, unknown>): readonly string[] {
    const names: string[] = [];
    for (const name of map.keys()) {
      if (typeof name !== 'string') this.#fail('a Map with a key that is no string cannot be sent as a struct');
      if (names.push(name) > MAX_VALUES) this.#tooMany();
    }
    return names;
  }

  #open(frame: Frame): void {
    const frames = this.#frames;
    for (const { container } of frames) if (container === frame.container) this.#fail('the value contains itself');
    if (frames.length >= MAX_DEPTH) this.#fail(`arrays and structs deeper than ${MAX_DEPTH} cannot be sent`);
    this.#values += frame.length;
    if (this.#values > MAX_VALUES) this.#tooMany();
    this.#put(frame.names ? '{' : '[');
    frames.push(frame);
    this.#top = frame;
  }

  #tooMany(): never {
    return this.#fail(`there are more than ${MAX_VALUES} values up to here; send them in parts`);
  }

  #tooLong(): never {
    return this.#fail(`the value is longer than ${this.maxChars} characters of JSON; send it in parts`);
  }

  #fail(reason: string): never {
    throw new RelayError('INTERNAL', `${this.#path()}: ${reason}`);
  }

  /** `result.data[3]`: the child that is being written in each open frame. */
  #path(): string {
    let path = this.label;
    for (const { names, next } of this.#frames) {
      if (next > 0) path = names ? memberPlace(path, names[next - 1] ?? '') : `${path}[${next - 1}]`;
    }
    return path;
  }
}

/** The end of the piece of `text` that begins at `from`; never between two surrogates. */
function pieceEnd(text: string, from: number): number {
  const end = from + TEXT_PIECE;
  const last = text.charCodeAt(end - 1);
  return Math.min(text.length, last >= 0xd800 && last < 0xdc00 ? end + 1 : end);
}

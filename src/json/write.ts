/** Any JavaScript value to JSON, or a typed error that names its place; total, and without recursion. */
import { types } from 'node:util';
import { Double, Int64, Walk, isDict } from '../message/message.ts';
import type { Frame } from '../message/message.ts';
import { hasLoneSurrogate } from './bytes.ts';
import { dateText, looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';

// 64 Mi characters: eight bodies of the default size. Protects the heap.
const MAX_CHARS = 64 * 1024 * 1024;
// Five times what is read from one text by default. Protects everybody else, who waits meanwhile: values that share parts exponentially often are endless,
// and empty ones have so few characters that their limit comes late.
const MAX_VALUES = 1_000_000;
const TOO_MANY = `there are more than ${MAX_VALUES} values up to here; send them in parts`;

// What stands between quotes as it is: printable ASCII without quotes and backslashes.
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * The JSON of `value`, whose place is called `label` in errors: `result.data[3]: …`. Throws a RelayError INTERNAL for what cannot be written, for
 * more than `maxChars` characters (64 Mi unless told) and for more than 1,000,000 values.
 */
export function writeJson(value: unknown, label: string, maxChars = MAX_CHARS): string {
  return new Writer(label, maxChars).write(value);
}

class Writer {
  readonly #walk: Walk;
  #values = 1;
  #out = '';

  constructor(
    label: string,
    private readonly maxChars: number,
  ) {
    this.#walk = new Walk(label);
  }

  write(root: unknown): string {
    const walk = this.#walk;
    try {
      this.#value(root);
      while (walk.top) this.#children(walk.top);
      return this.#out;
    } catch (error) {
      return walk.rethrow(error);
    }
  }

  /** The next children of `frame`, up to one that has children itself. */
  #children(frame: Frame): void {
    const { container, names, isMap } = frame;
    while (frame.next < frame.length) {
      const index = frame.next++;
      if (index > 0) this.#out += ',';
      if (names === undefined) {
        this.#value((container as readonly unknown[])[index]);
      } else {
        const name = names[index] ?? '';
        this.#out += `${this.#quoted(frame.length === 1 && looksMarked(name) ? `$${name}` : name)}:`;
        this.#value(isMap ? (container as ReadonlyMap<string, unknown>).get(name) : (container as Record<string, unknown>)[name]);
      }
      if (this.#out.length > this.maxChars) this.#tooLong();
      if (this.#walk.top !== frame) return;
    }
    this.#out += names ? '}' : ']';
    this.#walk.close();
  }

  #value(value: unknown): void {
    if (typeof value === 'string') this.#out += this.#quoted(value);
    else if (typeof value === 'number') this.#out += numberText(this.#finite(value));
    else if (typeof value === 'boolean' || value === null) this.#out += String(value);
    else if (typeof value === 'bigint') this.#out += isInt32(Number(value)) ? String(value) : this.#int64(value);
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${value === undefined ? 'undefined' : `a ${typeof value}`} cannot be sent; leave the member out`);
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      this.#open(value);
    } else if (isDict(value)) {
      this.#open(value, Object.keys(value));
    } else if (types.isUint8Array(value)) {
      if (value.byteLength * 1.4 > this.maxChars) this.#tooLong();
      this.#out += `{"$base64":"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"}`;
    } else if (types.isDate(value)) {
      this.#out += `{"$date":"${dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`;
    } else if (types.isMap(value)) {
      this.#open(value, this.#walk.namesOf(value, MAX_VALUES, TOO_MANY), true);
    } else if (Double.is(value)) {
      this.#out += doubleText(this.#finite(value.value));
    } else if (Int64.is(value)) {
      this.#out += this.#int64(value.value);
    } else {
      this.#fail('an instance of a class cannot be sent; send a plain object, an array, a Map, a Date or a Buffer');
    }
  }

  #quoted(text: string): string {
    if (text.length > this.maxChars) this.#tooLong();
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
    this.#out += names ? '{' : '[';
  }

  #tooLong(): never {
    return this.#fail(`the value is longer than ${this.maxChars} characters of JSON; send it in parts`);
  }

  #fail(reason: string): never {
    return this.#walk.fail(reason);
  }
}

/** Any JavaScript value to JSON, or a typed error that names its place; total, and without recursion. */
import { types } from 'node:util';
import { Double, Int64, RelayError, clean, isDict } from '../message/message.ts';
import { hasLoneSurrogate } from './bytes.ts';
import { dateText, looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';

// As deep as a text is read by default, so that what is written can be read.
const MAX_DEPTH = 64;
// 64 Mi characters: eight bodies of the default size. Ends values that share parts exponentially often before the heap ends.
const MAX_CHARS = 64 * 1024 * 1024;

// What stands between quotes as it is: printable ASCII without quotes and backslashes.
const PLAIN = /^[ !#-[\]-~]*$/;

/** An array or struct that is being written; `next` counts the children begun. */
interface Frame {
  readonly container: object;
  readonly length: number;
  next: number;
  /** Undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly valueAt: (index: number) => unknown;
}

/**
 * The JSON of `value`, whose place is called `label` in errors: `result.data[3]: …`. Throws a RelayError INTERNAL for what cannot be written, and for
 * more than `maxChars` characters (64 Mi unless told).
 */
export function writeJson(value: unknown, label: string, maxChars = MAX_CHARS): string {
  return new Writer(label, maxChars).write(value);
}

class Writer {
  readonly #frames: Frame[] = [];
  #out = '';

  constructor(
    private readonly label: string,
    private readonly maxChars: number,
  ) {}

  write(root: unknown): string {
    try {
      this.#value(root);
      for (let frame = this.#frames.at(-1); frame; frame = this.#frames.at(-1)) this.#child(frame);
      return this.#out;
    } catch (error) {
      // A getter, a proxy or an iterator of the value's own.
      if (!RelayError.is(error)) throw new RelayError('INTERNAL', `${this.#path()}: the value cannot be read`, { cause: error });
      throw error;
    }
  }

  #child(frame: Frame): void {
    const { names, length } = frame;
    if (frame.next === length) {
      this.#out += names ? '}' : ']';
      this.#frames.pop();
      return;
    }
    const index = frame.next++;
    if (index > 0) this.#out += ',';
    const name = names?.[index];
    if (name !== undefined) this.#out += `${this.#quoted(length === 1 && looksMarked(name) ? `$${name}` : name)}:`;
    this.#value(frame.valueAt(index));
    if (this.#out.length > this.maxChars) this.#tooLong();
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
      const list = value as readonly unknown[];
      this.#open({ container: list, length: list.length, next: 0, names: undefined, valueAt: (index) => list[index] });
    } else if (isDict(value)) {
      this.#struct(value, Object.keys(value), (name) => value[name]);
    } else if (types.isUint8Array(value)) {
      if (value.byteLength * 1.4 > this.maxChars) this.#tooLong();
      this.#out += `{"$base64":"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"}`;
    } else if (types.isDate(value)) {
      this.#out += `{"$date":"${dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`;
    } else if (types.isMap(value)) {
      this.#map(value);
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

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const names: string[] = [];
    for (const name of map.keys()) {
      if (typeof name !== 'string') this.#fail('a Map with a key that is no string cannot be sent as a struct');
      if (names.push(name) * 4 > this.maxChars) this.#tooLong();
    }
    this.#struct(map, names, (name) => map.get(name));
  }

  #struct(container: object, names: readonly string[], get: (name: string) => unknown): void {
    this.#open({ container, length: names.length, next: 0, names, valueAt: (index) => get(names[index] ?? '') });
  }

  #open(frame: Frame): void {
    if (this.#frames.some((outer) => outer.container === frame.container)) this.#fail('the value contains itself');
    if (this.#frames.length >= MAX_DEPTH) this.#fail(`arrays and structs deeper than ${MAX_DEPTH} cannot be sent`);
    this.#out += frame.names ? '{' : '[';
    this.#frames.push(frame);
  }

  #tooLong(): never {
    return this.#fail(`the value is longer than ${this.maxChars} characters of JSON; send it in parts`);
  }

  #fail(reason: string): never {
    throw new RelayError('INTERNAL', `${this.#path()}: ${reason}`);
  }

  /** `result["data"][3]`: the child that is being written in each open frame. */
  #path(): string {
    let path = this.label;
    for (const { names, next } of this.#frames) {
      if (next === 0) continue;
      path += names ? `[${JSON.stringify(clean(names[next - 1] ?? '', 40))}]` : `[${next - 1}]`;
    }
    return path;
  }
}

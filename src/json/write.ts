/** Any JavaScript value to JSON, or a typed error that names its place; total, and without recursion. */
import { types } from 'node:util';
import { Double, Int64, RelayError, isDict, memberPlace } from '../message/message.ts';
import { hasLoneSurrogate } from './bytes.ts';
import { dateText, looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';

// As deep as a text is read by default, so that what is written can be read.
const MAX_DEPTH = 64;
// 64 Mi characters: eight bodies of the default size. Protects the heap.
const MAX_CHARS = 64 * 1024 * 1024;
// Five times what is read from one text by default. Protects everybody else, who waits meanwhile: values that share parts exponentially often are endless,
// and empty ones have so few characters that their limit comes late.
const MAX_VALUES = 1_000_000;

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

/**
 * The JSON of `value`, whose place is called `label` in errors: `result.data[3]: …`. Throws a RelayError INTERNAL for what cannot be written, for
 * more than `maxChars` characters (64 Mi unless told) and for more than 1,000,000 values.
 */
export function writeJson(value: unknown, label: string, maxChars = MAX_CHARS): string {
  return new Writer(label, maxChars).write(value);
}

class Writer {
  readonly #frames: Frame[] = [];
  // The last of them.
  #top: Frame | undefined;
  #values = 1;
  #out = '';

  constructor(
    private readonly label: string,
    private readonly maxChars: number,
  ) {}

  write(root: unknown): string {
    try {
      this.#value(root);
      while (this.#top) this.#children(this.#top);
      return this.#out;
    } catch (error) {
      // A getter, a proxy or an iterator of the value's own.
      if (!RelayError.is(error)) throw new RelayError('INTERNAL', `${this.#path()}: the value cannot be read`, { cause: error });
      throw error;
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
      if (this.#top !== frame) return;
    }
    this.#out += names ? '}' : ']';
    this.#frames.pop();
    this.#top = this.#frames.at(-1);
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
      this.#open({ container: value, length: value.length, next: 0, names: undefined, isMap: false });
    } else if (isDict(value)) {
      const names = Object.keys(value);
      this.#open({ container: value, length: names.length, next: 0, names, isMap: false });
    } else if (types.isUint8Array(value)) {
      if (value.byteLength * 1.4 > this.maxChars) this.#tooLong();
      this.#out += `{"$base64":"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"}`;
    } else if (types.isDate(value)) {
      this.#out += `{"$date":"${dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`;
    } else if (types.isMap(value)) {
      const names = this.#mapNames(value);
      this.#open({ container: value, length: names.length, next: 0, names, isMap: true });
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
    this.#out += frame.names ? '{' : '[';
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

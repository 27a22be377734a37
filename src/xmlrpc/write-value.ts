/** Any JavaScript value to XML-RPC, or a typed error that names its place; total, and without recursion. */
import { types } from 'node:util';

import { Double, Int64, RelayError, clean, isDict } from '../message/message.ts';
import { dateText } from './dates.ts';
import { doubleText, escapeText } from './write-text.ts';

/** Which extensions the reader knows; none unless told. */
export interface WriteOptions {
  /** `<nil/>` for null. Default false: it is an extension that many clients do not read. */
  nil?: boolean;
  /** `<i8>` for bigint beyond 32 bits and {@link Int64}. Default false: an extension as well. */
  i8?: boolean;
}

// As deep as a parse goes by default, so that what is written can be read.
const MAX_DEPTH = 64;
// 64 Mi characters: eight bodies of the default size. Ends values that share parts exponentially often, and endless iterators, before the heap ends.
const MAX_CHARS = 64 * 1024 * 1024;
const INT32_MIN = -(2n ** 31n);
const INT32_MAX = 2n ** 31n - 1n;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

// An array or struct that is being written; `next` counts the children begun.
interface Frame {
  readonly container: object;
  readonly length: number;
  next: number;
  /** The name of a struct's child; undefined for an array. */
  readonly nameAt?: (index: number) => string;
  readonly valueAt: (index: number) => unknown;
}

/** `<value>…</value>` for `value`, whose place is called `label` in errors (`params[0]`). */
export function writeValue(value: unknown, label: string, options: WriteOptions = {}): string {
  return new Writer(label, options).write(value);
}

/** `<name>…</name>`; `label` is the struct's place. */
export function writeName(name: string, label: string): string {
  const text = escapeText(name);
  if (text === undefined)
    throw new RelayError('INTERNAL', `${memberPlace(label, name)}: the member name holds a character that XML cannot carry`);
  return `<name>${text}</name>`;
}

class Writer {
  readonly #label: string;
  readonly #options: WriteOptions;
  readonly #frames: Frame[] = [];
  #out = '';

  constructor(label: string, options: WriteOptions) {
    this.#label = label;
    this.#options = options;
  }

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
    if (frame.next > 0 && frame.nameAt) this.#out += '</member>';
    if (frame.next === frame.length) {
      this.#out += frame.nameAt ? '</struct></value>' : '</data></array></value>';
      this.#frames.pop();
      return;
    }
    const index = frame.next++;
    if (frame.nameAt) this.#out += `<member>${writeName(frame.nameAt(index), this.#path(this.#frames.length - 1))}`;
    this.#value(frame.valueAt(index));
    if (this.#out.length > MAX_CHARS) this.#fail(`the value is longer than ${MAX_CHARS} characters of XML; send it in parts`);
  }

  #value(value: unknown): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'boolean') this.#scalar('boolean', value ? '1' : '0');
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (value === null) this.#nil();
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${value === undefined ? 'undefined' : `a ${typeof value}`} cannot be sent; leave the member out`);
  }

  #scalar(element: string, text: string): void {
    this.#out += `<value><${element}>${text}</${element}></value>`;
  }

  #text(value: string): void {
    if (value.length > MAX_CHARS) this.#fail(`the text is longer than ${MAX_CHARS} characters; send it in parts`);
    const text = escapeText(value);
    if (text === undefined)
      this.#fail('the text holds a control character or half a surrogate pair, which XML cannot carry; send it as a Buffer');
    this.#scalar('string', text);
  }

  #number(value: number): void {
    if (!Number.isFinite(value)) this.#fail(`${value} cannot be sent: XML-RPC has finite numbers only`);
    const isInt = (value | 0) === value && !Object.is(value, -0);
    if (isInt) this.#scalar('int', String(value));
    else this.#scalar('double', doubleText(value));
  }

  #nil(): void {
    if (this.#options.nil !== true) this.#fail('null cannot be written: nil is an extension, and the request did not use it');
    this.#out += '<value><nil/></value>';
  }

  #bigint(value: bigint): void {
    if (value >= INT32_MIN && value <= INT32_MAX) this.#scalar('int', String(value));
    else this.#int64(value);
  }

  #int64(value: unknown): void {
    if (typeof value !== 'bigint' || value < INT64_MIN || value > INT64_MAX) this.#fail('the integer does not fit 64 bits');
    if (this.#options.i8 !== true)
      this.#fail('an integer of 64 bits cannot be written: i8 is an extension, and the request did not use it');
    this.#scalar('i8', String(value));
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      const list = value as readonly unknown[];
      this.#open({ container: list, length: list.length, next: 0, valueAt: (index) => list[index] });
    } else if (isDict(value)) {
      this.#struct(value, Object.keys(value), (name) => value[name]);
    } else if (types.isUint8Array(value)) {
      this.#bytes(value);
    } else if (types.isDate(value)) {
      this.#scalar('dateTime.iso8601', dateText(value) ?? this.#fail('the date is invalid or outside the years 0 to 9999'));
    } else if (types.isMap(value)) {
      this.#map(value);
    } else {
      this.#wrapped(value);
    }
  }

  #wrapped(value: object): void {
    if (Double.is(value)) {
      if (!Number.isFinite(value.value)) this.#fail(`Double(${String(value.value)}) cannot be sent: XML-RPC has finite numbers only`);
      this.#scalar('double', doubleText(value.value));
    } else if (Int64.is(value)) {
      this.#int64(value.value);
    } else {
      this.#fail('an instance of a class cannot be sent; send a plain object, an array, a Map, a Date or a Buffer');
    }
  }

  #bytes(value: Uint8Array): void {
    if (value.byteLength > (MAX_CHARS / 4) * 3)
      this.#fail(`the bytes are longer than ${MAX_CHARS} characters of base64; send them in parts`);
    this.#scalar('base64', Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64'));
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const names: string[] = [];
    for (const name of map.keys()) {
      if (typeof name !== 'string') this.#fail('a Map with a key that is no string cannot be sent as a struct');
      if (names.push(name) * 20 > MAX_CHARS) this.#fail('the Map has too many members');
    }
    this.#struct(map, names, (name) => map.get(name));
  }

  #struct(container: object, names: readonly string[], get: (name: string) => unknown): void {
    const nameAt = (index: number): string => names[index] ?? '';
    this.#open({ container, length: names.length, next: 0, nameAt, valueAt: (index) => get(nameAt(index)) });
  }

  #open(frame: Frame): void {
    if (this.#frames.some((outer) => outer.container === frame.container)) this.#fail('the value contains itself');
    if (this.#frames.length >= MAX_DEPTH) this.#fail(`arrays and structs deeper than ${MAX_DEPTH} cannot be sent`);
    this.#out += frame.nameAt ? '<value><struct>' : '<value><array><data>';
    this.#frames.push(frame);
  }

  #fail(reason: string): never {
    throw new RelayError('INTERNAL', `${this.#path()}: ${reason}`);
  }

  // `params[0].data[3]`: the child that is being written in each of the first `count` frames.
  #path(count = this.#frames.length): string {
    let path = this.#label;
    for (const { nameAt, next } of this.#frames.slice(0, count)) {
      if (next > 0) path = nameAt ? memberPlace(path, nameAt(next - 1)) : `${path}[${next - 1}]`;
    }
    return path;
  }
}

/** The place of a member in error texts: `struct.data`, or `struct["odd name"]`. */
export function memberPlace(place: string, name: string): string {
  return IDENTIFIER.test(name) ? `${place}.${name}` : `${place}[${JSON.stringify(clean(name, 40))}]`;
}

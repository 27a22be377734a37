/** Any JavaScript value to XML-RPC, or a typed error that names its place; total, without recursion, and to be paused anywhere. */
import { types } from 'node:util';
import { Attempt, Double, Int64, Walk, describeValue, isDict } from '../values/values.ts';
import type { Frame } from '../values/values.ts';
import { tagOf } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { NAME_PROBLEM, writeName } from './write-name.ts';
import type { WriteOptions } from './write-options.ts';
import { writeDate, writeDouble } from './write-scalars.ts';
import { TEXT_PIECE, pieceEnd, writeText } from './write-text.ts';
import type { Unsendable } from './write-text.ts';

// 64 MiB: eight bodies of the default size. Ends values that share parts exponentially often, and endless iterators, before the heap ends.
const MAX_BYTES = 64 * 1024 * 1024;
// No member takes less than 20 bytes.
const MAX_NAMES = Math.floor(MAX_BYTES / 20);
// All tags around a value, and any scalar but text and base64: the longest double has 330 characters.
const ROOM = 512;
// Bytes that are turned to base64 at a time: a whole number of threes, and so few that V8 keeps the text among the young.
const BASE64_PIECE = 3 * 8 * 1024;
const INT32_MIN = -(2n ** 31n);
const INT32_MAX = 2n ** 31n - 1n;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

interface Pair {
  readonly open: Tag;
  readonly close: Tag;
}

const LAST_MEMBER_END = tagOf('</member></struct></value>');
const STRUCT = pairOf('<struct>');
const ARRAY = pairOf('<array><data>', '</data></array>');
const TRUE = tagOf('<value><boolean>1</boolean></value>');
const FALSE = tagOf('<value><boolean>0</boolean></value>');
const NIL = tagOf('<value><nil/></value>');
const INT = pairOf('<int>');
const I8 = pairOf('<i8>');
const DOUBLE = pairOf('<double>');
const STRING = pairOf('<string>');
const DATE = pairOf('<dateTime.iso8601>');
const BASE64 = pairOf('<base64>');

const UNSENDABLE: Readonly<Record<Unsendable, string>> = {
  illegal: 'the text holds a control character or half a surrogate pair, which XML cannot carry; send it as a Buffer',
  astral: 'the text holds a character beyond U+FFFF, which the reader is said not to know (option astral)',
};

// A text or bytes of which a part is written.
interface Long {
  readonly rest: string | Buffer;
  readonly length: number;
  at: number;
}

/** Writes `<value>…</value>` for `value`, whose place is called `label` in errors (`params[0]`). */
export function writeValue(out: ByteBuffer, value: unknown, label: string, options: WriteOptions = {}): void {
  const writer = new ValueWriter(out, value, label, options);
  while (!writer.write(MAX_BYTES)) continue;
}

/** One value on its way out, in as many turns as its owner likes. */
export class ValueWriter {
  readonly #out: ByteBuffer;
  readonly #options: WriteOptions;
  // Marks are bytes.
  readonly #walk: Walk<number>;
  #long: Long | undefined;
  // What comes before the next child: the whole value, or what stands in for one that failed.
  #next: { readonly value: unknown } | undefined;

  constructor(out: ByteBuffer, value: unknown, label: string, options: WriteOptions) {
    this.#out = out;
    this.#walk = new Walk(label);
    this.#options = options;
    this.#next = { value };
  }

  /** Goes on until all is written, or `bytes` more are; true if all is. Throws a RelayError for what cannot be sent. */
  write(bytes: number): boolean {
    const until = Math.min(this.#out.size + bytes, MAX_BYTES);
    try {
      return this.#run(until);
    } catch (error) {
      const { mark, instead } = this.#walk.giveUp(error);
      this.#out.truncate(mark);
      this.#long = undefined;
      this.#next = { value: instead };
      return false;
    }
  }

  #run(until: number): boolean {
    const out = this.#out;
    const walk = this.#walk;
    if (this.#next) {
      const { value } = this.#next;
      this.#next = undefined;
      this.#value(value);
    }
    for (;;) {
      if (this.#long) this.#piece(this.#long);
      else if (walk.top) this.#children(walk.top, until);
      else return true;
      if (out.size < until) continue;
      if (until === MAX_BYTES) this.#fail(`the message is longer than ${MAX_BYTES} bytes; send it in parts`);
      return false;
    }
  }

  /** The next children of `frame`, as far as they are scalars, and one that takes more than one step. */
  #children(frame: Frame, until: number): void {
    const out = this.#out;
    const { container, names, isMap } = frame;
    while (frame.next < frame.length) {
      out.reserve(ROOM);
      const index = frame.next++;
      if (names === undefined) {
        this.#value((container as readonly unknown[])[index]);
      } else {
        const name = names[index] ?? '';
        if (!writeName(out, name, index === 0, this.#options)) this.#fail(NAME_PROBLEM);
        this.#value(isMap ? (container as ReadonlyMap<string, unknown>).get(name) : (container as Record<string, unknown>)[name]);
      }
      if (this.#walk.top !== frame || this.#long !== undefined || out.size >= until) return;
    }
    out.reserve(ROOM);
    if (names === undefined) out.tag(ARRAY.close);
    else out.tag(frame.length > 0 ? LAST_MEMBER_END : STRUCT.close);
    this.#walk.close();
  }

  #value(value: unknown): void {
    this.#out.reserve(ROOM);
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'boolean') this.#out.tag(value ? TRUE : FALSE);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (value === null) this.#nil();
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${describeValue(value)} cannot be sent; leave the member out`);
  }

  #scalar({ open, close }: Pair, text: string): void {
    const out = this.#out;
    out.tag(open);
    out.ascii(text);
    out.tag(close);
  }

  #text(value: string): void {
    const out = this.#out;
    out.tag(STRING.open);
    if (value.length > TEXT_PIECE) {
      this.#long = { rest: value, length: value.length, at: 0 };
      return;
    }
    const problem = writeText(out, value, this.#options);
    if (problem !== undefined) this.#fail(UNSENDABLE[problem]);
    out.reserve(ROOM);
    out.tag(STRING.close);
  }

  /** The next piece of a long text or of long bytes. */
  #piece(long: Long): void {
    const out = this.#out;
    const { rest, length, at } = long;
    if (typeof rest === 'string') {
      long.at = pieceEnd(rest, at);
      const problem = writeText(out, rest.slice(at, long.at), this.#options);
      if (problem !== undefined) this.#fail(UNSENDABLE[problem]);
    } else {
      // Between two turns its owner may have given the memory away.
      if (rest.length !== length) this.#fail('the bytes were changed while they were written');
      long.at = Math.min(length, at + BASE64_PIECE);
      writeBase64(out, rest, at, long.at);
    }
    if (long.at < length) return;
    this.#long = undefined;
    out.reserve(ROOM);
    out.tag(typeof rest === 'string' ? STRING.close : BASE64.close);
  }

  #number(value: number): void {
    if ((value | 0) === value && !Object.is(value, -0)) {
      const out = this.#out;
      out.tag(INT.open);
      out.int32(value);
      out.tag(INT.close);
    } else if (this.#options.wideInts === true && Number.isSafeInteger(value) && value !== 0) {
      this.#scalar(I8, String(value));
    } else {
      this.#double(value, String);
    }
  }

  /** `show` names the value in an error. */
  #double(value: number, show: (value: number) => string): void {
    const out = this.#out;
    if (Number.isFinite(value)) {
      out.tag(DOUBLE.open);
      writeDouble(out, value, this.#options.doubles === 'exponent');
      out.tag(DOUBLE.close);
      return;
    }
    // Of a Double, whose value may be anything.
    const isNumber = typeof value === 'number';
    if (!isNumber || this.#options.nonFinite !== true) this.#fail(`${show(value)} cannot be sent: XML-RPC has finite numbers only`);
    this.#scalar(DOUBLE, String(value));
  }

  #nil(): void {
    if (this.#options.nil !== true) this.#unread('null', 'nil');
    this.#out.tag(NIL);
  }

  #bigint(value: bigint): void {
    if (value >= INT32_MIN && value <= INT32_MAX) this.#number(Number(value));
    else this.#int64(value);
  }

  #int64(value: unknown): void {
    if (typeof value !== 'bigint' || value < INT64_MIN || value > INT64_MAX) this.#fail('the integer does not fit 64 bits');
    if (this.#options.i8 !== true) this.#unread('an integer of 64 bits', 'i8');
    this.#scalar(I8, String(value));
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      this.#open(ARRAY, value);
    } else if (isDict(value)) {
      this.#open(STRUCT, value, Object.keys(value));
    } else if (Object.getPrototypeOf(value) === Date.prototype || types.isDate(value)) {
      // The first is much faster, and whoever only pretends to be a date fails when it is read.
      this.#date(value as Date);
    } else if (types.isUint8Array(value)) {
      const rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      this.#out.tag(BASE64.open);
      // In one chunk, which then need not be copied; what is too long fails later, at its place.
      this.#out.reserve(Math.min(Math.ceil(rest.length / 3) * 4, MAX_BYTES) + ROOM);
      this.#long = { rest, length: rest.length, at: 0 };
    } else if (types.isMap(value)) {
      this.#open(STRUCT, value, this.#walk.namesOf(value, MAX_NAMES, 'the Map has too many members'), true);
    } else {
      this.#wrapped(value);
    }
  }

  #date(value: Date): void {
    const out = this.#out;
    out.tag(DATE.open);
    if (!writeDate(out, value)) this.#fail('the date is invalid or outside the years 0 to 9999');
    out.tag(DATE.close);
  }

  #wrapped(value: object): void {
    if (Double.is(value)) this.#double(value.value, (wrapped) => `Double(${String(wrapped)})`);
    else if (Int64.is(value)) this.#int64(value.value);
    else if (Attempt.is(value)) this.#try(value);
    else this.#fail('an instance of a class cannot be sent; send a plain object, an array, a Map, a Date or a Buffer');
  }

  #try(attempt: Attempt): void {
    this.#walk.begin(attempt, this.#out.size);
    this.#value(attempt.value);
  }

  #open({ open }: Pair, container: object, names?: readonly string[], isMap?: boolean): void {
    this.#walk.open(container, names, isMap);
    this.#out.tag(open);
  }

  /** `what` takes an extension that the reader may not know. */
  #unread(what: string, extension: 'nil' | 'i8'): never {
    const remedy = this.#options.remedies?.[extension];
    const reason = `${what} cannot be written: ${extension} is an extension, and the other side has not shown that it reads it`;
    return this.#walk.fail(remedy === undefined ? reason : `${reason}; ${remedy}`, remedy !== undefined);
  }

  #fail(reason: string): never {
    return this.#walk.fail(reason);
  }
}

function pairOf(open: string, close = open.replace('<', '</')): Pair {
  return { open: tagOf(`<value>${open}`), close: tagOf(`${close}</value>`) };
}

function writeBase64(out: ByteBuffer, bytes: Buffer, from: number, to: number): void {
  const text = bytes.toString('base64', from, to);
  out.reserve(text.length);
  out.at += out.bytes.write(text, out.at, 'latin1');
}

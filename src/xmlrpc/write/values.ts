/**
 * Writes any JavaScript value as XML-RPC, without recursion and in steps, or throws an error that names the path of the part that cannot be
 * sent.
 */
import { types } from 'node:util';
import { pieceEnd } from '../../core/core.ts';
import { Attempt, Double, Int64, Walk, isDict, describeValue } from '../../values/values.ts';
import type { WalkLevel } from '../../values/values.ts';
import type { WriteOptions } from '../options.ts';
import { tagOf } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { NAME_PROBLEM, writeName } from './names.ts';
import { writeDate, writeDouble } from './scalars.ts';
import { TEXT_PIECE, writeText } from './text.ts';
import type { Unsendable } from './text.ts';

// 64 MiB: eight bodies of the default size. Protects the heap from endless iterators and from values that repeat shared parts exponentially
// often.
const MAX_BYTES = 64 * 1024 * 1024;
// A member takes at least 20 bytes.
const MAX_NAMES = Math.floor(MAX_BYTES / 20);
// Bytes of all tags around a value, and of any scalar except text and base64: the longest double has 330.
const SCALAR_BYTES = 512;
// Bytes that are encoded as base64 at a time: a multiple of three, and few enough for V8's young generation.
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
  illegal: 'the text contains a control character or a lone surrogate, which XML cannot represent; send it as a Buffer',
  astral: 'the text contains a character beyond U+FFFF, which the recipient cannot read (option astral)',
};

// A long text or byte array that is partly written.
interface LongValue {
  readonly rest: string | Buffer;
  readonly length: number;
  at: number;
}

/** Writes `<value>…</value>` for `value`. Paths in errors start with `label` (`params[0]`). */
export function writeValue(out: ByteBuffer, value: unknown, label: string, options: WriteOptions = {}): void {
  new ValueWriter(out, value, label, options).writeAll();
}

/** Writes one value in as many steps as the caller likes. */
export class ValueWriter {
  readonly #out: ByteBuffer;
  readonly #options: WriteOptions;
  // Its marks are sizes in bytes.
  readonly #walk: Walk<number>;
  #long: LongValue | undefined;
  // The value to write before the next child: the root, or the replacement for a part that failed.
  #next: { readonly value: unknown } | undefined;

  constructor(out: ByteBuffer, value: unknown, label: string, options: WriteOptions) {
    this.#out = out;
    this.#walk = new Walk(label);
    this.#options = options;
    this.#next = { value };
  }

  /** The names of the members, if the value is a struct of which at least the start is written; otherwise undefined. */
  get names(): readonly string[] | undefined {
    return this.#walk.root?.names;
  }

  /** Writes everything that is not written. Throws a RelayError for values that cannot be sent. */
  writeAll(): void {
    while (!this.write(MAX_BYTES)) continue;
  }

  /** Continues for about `bytes` bytes; true once everything is written. Throws a RelayError for values that cannot be sent. */
  write(bytes: number): boolean {
    const until = Math.min(this.#out.size + bytes, MAX_BYTES);
    try {
      return this.#run(until);
    } catch (error) {
      const { mark, instead } = this.#walk.rollBack(error);
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

  /** Writes the next children of `level`: scalars, up to the first child that takes several steps. */
  #children(level: WalkLevel, until: number): void {
    const out = this.#out;
    const { container, names, isMap } = level;
    while (level.next < level.length) {
      out.reserve(SCALAR_BYTES);
      const index = level.next++;
      if (names === undefined) {
        this.#value((container as readonly unknown[])[index]);
      } else {
        const name = names[index] ?? '';
        if (!writeName(out, name, index === 0, this.#options)) this.#fail(NAME_PROBLEM);
        this.#value(isMap ? (container as ReadonlyMap<string, unknown>).get(name) : (container as Record<string, unknown>)[name]);
      }
      if (this.#walk.top !== level || this.#long !== undefined || out.size >= until) return;
    }
    out.reserve(SCALAR_BYTES);
    if (names === undefined) out.tag(ARRAY.close);
    else out.tag(level.length > 0 ? LAST_MEMBER_END : STRUCT.close);
    this.#walk.close();
  }

  #value(value: unknown): void {
    this.#out.reserve(SCALAR_BYTES);
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'boolean') this.#out.tag(value ? TRUE : FALSE);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (value === null) this.#nil();
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${describeValue(value)} cannot be sent; omit the member`);
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
    out.reserve(SCALAR_BYTES);
    out.tag(STRING.close);
  }

  /** Writes the next piece of a long text or byte array. */
  #piece(long: LongValue): void {
    const out = this.#out;
    const { rest, length, at } = long;
    if (typeof rest === 'string') {
      long.at = pieceEnd(rest, at, TEXT_PIECE);
      const problem = writeText(out, rest.slice(at, long.at), this.#options);
      if (problem !== undefined) this.#fail(UNSENDABLE[problem]);
    } else {
      // The memory may have been transferred or resized between two steps.
      if (rest.length !== length) this.#fail('the length of the bytes changed while they were written');
      long.at = Math.min(length, at + BASE64_PIECE);
      writeBase64(out, rest, at, long.at);
    }
    if (long.at < length) return;
    this.#long = undefined;
    out.reserve(SCALAR_BYTES);
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

  /** `show` formats the value for an error. */
  #double(value: number, show: (value: number) => string): void {
    const out = this.#out;
    if (Number.isFinite(value)) {
      out.tag(DOUBLE.open);
      writeDouble(out, value, this.#options.doubles === 'exponent');
      out.tag(DOUBLE.close);
      return;
    }
    // At run time, the value of a Double may be anything.
    const isNumber = typeof value === 'number';
    if (!isNumber || this.#options.nonFinite !== true) this.#fail(`${show(value)} cannot be sent: XML-RPC has only finite numbers`);
    this.#scalar(DOUBLE, String(value));
  }

  #nil(): void {
    if (this.#options.nil !== true) this.#unsupported('null', 'nil');
    this.#out.tag(NIL);
  }

  #bigint(value: bigint): void {
    if (value >= INT32_MIN && value <= INT32_MAX) this.#number(Number(value));
    else this.#int64(value);
  }

  #int64(value: unknown): void {
    if (typeof value !== 'bigint' || value < INT64_MIN || value > INT64_MAX) this.#fail('the integer does not fit 64 bits');
    if (this.#options.i8 !== true) this.#unsupported('an integer of 64 bits', 'i8');
    this.#scalar(I8, String(value));
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      this.#open(ARRAY, value);
    } else if (isDict(value)) {
      this.#open(STRUCT, value, Object.keys(value));
    } else if (Object.getPrototypeOf(value) === Date.prototype || types.isDate(value)) {
      // The first check is much faster; an object that only has the prototype fails when its time is read.
      this.#date(value as Date);
    } else if (types.isUint8Array(value)) {
      const rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      this.#out.tag(BASE64.open);
      // One chunk need not be copied at the end. Too many bytes fail later, with their path.
      this.#out.reserve(Math.min(Math.ceil(rest.length / 3) * 4, MAX_BYTES) + SCALAR_BYTES);
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
    else this.#fail(`${describeValue(value)} cannot be sent; send a plain object, an array, a Map, a Date or a Buffer`);
  }

  #try(attempt: Attempt): void {
    this.#walk.begin(attempt, this.#out.size);
    this.#value(attempt.value);
  }

  #open({ open }: Pair, container: object, names?: readonly string[], isMap?: boolean): void {
    this.#walk.open(container, names, isMap);
    this.#out.tag(open);
  }

  /** Fails because `what` requires an extension that the recipient may not read. */
  #unsupported(what: string, extension: 'nil' | 'i8'): never {
    const remedy = this.#options.remedies?.[extension];
    const reason = `${what} cannot be written: ${extension} is an extension, and the recipient has not shown that it reads it`;
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

/** Writes any JavaScript value as JSON: at once or in turns, without recursion. */
import { types } from 'node:util';
import { inSlices, pieceEnd } from '../core/core.ts';
import { Attempt, Double, Int64, Walk, isDict, isoText, describeValue } from '../values/values.ts';
import type { WalkLevel } from '../values/values.ts';
import { looksMarked } from './markers.ts';
import { doubleText, int64Text, isInt32, numberText } from './numbers.ts';
import { hasLoneSurrogate } from './strings.ts';

// 64 MiB: eight bodies of the default size. Protects the heap.
const MAX_BYTES = 64 * 1024 * 1024;
// Five times the default limit for reading. Protects all other callers, who wait meanwhile: a value that repeats shared parts exponentially
// often never ends, and empty arrays take so few bytes that they reach the limit of bytes late.
const MAX_VALUES = 1_000_000;
const TOO_MANY = `more than ${MAX_VALUES} values; send them in parts`;

// A step ends after this many of either, about a millisecond.
const STEP_CHARS = 32 * 1024;
const STEP_VALUES = 4 * 1024;
// UTF-16 units that are escaped at a time, and bytes that are encoded as base64 at a time: a multiple of three.
const TEXT_PIECE = 16 * 1024;
const BASE64_PIECE = 3 * 8 * 1024;
// UTF-16 units that are encoded as UTF-8 at a time, in about 0.1 ms.
const ENCODED_CHARS = 64 * 1024;

// Text that needs no escapes: printable ASCII without quotes and backslashes.
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Writes `value` as JSON. Paths in errors start with `label`: `result.data[3]: …`. Throws a RelayError INTERNAL for values that cannot be
 * written, for more than `maxBytes` bytes of UTF-8 (default 64 MiB), and for more than 1,000,000 values.
 */
export function writeJson(value: unknown, label: string, maxBytes = MAX_BYTES): string {
  const writer = new JsonWriter(value, label, maxBytes);
  while (!writer.write()) continue;
  return Buffer.concat(writer.parts()).toString();
}

/**
 * Like {@link writeJson}, but in turns of a few milliseconds; returns parts in UTF-8. Changes to `value` before the promise settles may
 * appear in the output or cause an error.
 */
export async function writeJsonInTurns(value: unknown, label: string, maxBytes = MAX_BYTES): Promise<readonly Buffer[]> {
  const writer = new JsonWriter(value, label, maxBytes);
  await inSlices(() => writer.write());
  return writer.parts();
}

/** A long text or byte array that is partly written. */
interface LongValue {
  readonly rest: string | Buffer;
  readonly length: number;
  at: number;
}

/** A point in the output to which {@link Output.truncate} can return, and the number of values before it. */
interface Mark {
  readonly parts: number;
  readonly bytes: number;
  readonly values: number;
}

/** Collects text and encodes it as UTF-8 in parts. */
class Output {
  readonly #parts: Buffer[] = [];
  #partBytes = 0;
  #text = '';

  /** The bytes written so far, or fewer: text that is not encoded yet counts as one byte per UTF-16 unit. */
  get minBytes(): number {
    return this.#partBytes + this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= ENCODED_CHARS) this.#encode();
  }

  mark(values: number): Mark {
    this.#encode();
    return { parts: this.#parts.length, bytes: this.#partBytes, values };
  }

  /** Discards everything after `mark`. */
  truncate({ parts, bytes }: Mark): void {
    this.#parts.length = parts;
    this.#partBytes = bytes;
    this.#text = '';
  }

  /** The output in UTF-8. */
  parts(): readonly Buffer[] {
    this.#encode();
    return this.#parts;
  }

  #encode(): void {
    if (this.#text === '') return;
    const part = Buffer.from(this.#text);
    this.#parts.push(part);
    this.#partBytes += part.length;
    this.#text = '';
  }
}

/** Writes one value in as many steps as the caller likes. Paths in errors start with `label`. */
class JsonWriter {
  readonly #out = new Output();
  readonly #walk: Walk<Mark>;
  #long: LongValue | undefined;
  // The value to write before the next child: the root, or the replacement for a part that failed.
  #next: { readonly value: unknown } | undefined;
  #values = 1;

  constructor(
    root: unknown,
    label: string,
    private readonly maxBytes: number,
  ) {
    this.#walk = new Walk(label);
    this.#next = { value: root };
  }

  /** Continues for about {@link STEP_CHARS} or {@link STEP_VALUES}; true once everything is written. */
  write(): boolean {
    try {
      return this.#step();
    } catch (error) {
      const { mark, instead } = this.#walk.rollBack(error);
      this.#out.truncate(mark);
      this.#values = mark.values;
      this.#long = undefined;
      this.#next = { value: instead };
      return false;
    }
  }

  /** The output in UTF-8. */
  parts(): readonly Buffer[] {
    return this.#out.parts();
  }

  #step(): boolean {
    const until = this.#out.minBytes + STEP_CHARS;
    for (let steps = 0; steps < STEP_VALUES && this.#out.minBytes < until; steps++) {
      if (this.#next) {
        const { value } = this.#next;
        this.#next = undefined;
        this.#value(value);
      } else if (this.#long) this.#piece(this.#long);
      else if (this.#walk.top) this.#child(this.#walk.top);
      else return this.#finish();
      if (this.#out.minBytes > this.maxBytes) this.#tooLong();
    }
    return false;
  }

  /** Encodes the rest, after which the number of bytes is exact. */
  #finish(): true {
    this.#out.parts();
    if (this.#out.minBytes > this.maxBytes) this.#tooLong();
    return true;
  }

  /** Writes the next child of `level`, or its end. */
  #child(level: WalkLevel): void {
    const { container, names, isMap } = level;
    if (level.next === level.length) {
      this.#put(names ? '}' : ']');
      this.#walk.close();
      return;
    }
    const index = level.next++;
    if (index > 0) this.#put(',');
    if (names === undefined) {
      this.#value((container as readonly unknown[])[index]);
    } else {
      const name = names[index] ?? '';
      this.#put(`${this.#quoted(level.length === 1 && looksMarked(name) ? `$${name}` : name)}:`);
      this.#value(isMap ? (container as ReadonlyMap<string, unknown>).get(name) : (container as Record<string, unknown>)[name]);
    }
  }

  #value(value: unknown): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#put(numberText(this.#finite(value)));
    else if (typeof value === 'boolean' || value === null) this.#put(String(value));
    else if (typeof value === 'bigint') this.#put(isInt32(Number(value)) ? String(value) : this.#int64(value));
    else if (typeof value === 'object') this.#object(value);
    else this.#fail(`${describeValue(value)} cannot be sent; omit the member`);
  }

  #object(value: object): void {
    if (Array.isArray(value)) {
      this.#open(value);
    } else if (isDict(value)) {
      this.#open(value, Object.keys(value));
    } else if (types.isUint8Array(value)) {
      this.#begin('{"$base64":"', Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    } else if (types.isDate(value)) {
      this.#put(`{"$date":"${isoText(value.getTime()) ?? this.#fail('the date is invalid or outside the years 0 to 9999')}"}`);
    } else if (types.isMap(value)) {
      this.#open(value, this.#walk.namesOf(value, MAX_VALUES, TOO_MANY), true);
    } else if (Double.is(value)) {
      this.#put(doubleText(this.#finite(value.value)));
    } else if (Int64.is(value)) {
      this.#put(this.#int64(value.value));
    } else if (Attempt.is(value)) {
      this.#try(value);
    } else {
      this.#fail(`${describeValue(value)} cannot be sent; send a plain object, an array, a Map, a Date or a Buffer`);
    }
  }

  #text(text: string): void {
    if (text.length > TEXT_PIECE) this.#begin('"', text);
    else this.#put(this.#quoted(text));
  }

  #begin(open: string, rest: string | Buffer): void {
    // Each UTF-16 unit and each byte takes at least one byte.
    if (rest.length > this.maxBytes) this.#tooLong();
    this.#put(open);
    this.#long = { rest, length: rest.length, at: 0 };
  }

  /** Writes the next piece of a long text or byte array. */
  #piece(long: LongValue): void {
    const { rest, length, at } = long;
    if (typeof rest === 'string') {
      long.at = pieceEnd(rest, at, TEXT_PIECE);
      this.#put(this.#quoted(rest.slice(at, long.at)).slice(1, -1));
    } else {
      // The memory may have been transferred or resized between two steps.
      if (rest.length !== length) this.#fail('the length of the bytes changed while they were written');
      long.at = Math.min(length, at + BASE64_PIECE);
      this.#put(rest.toString('base64', at, long.at));
    }
    if (long.at < length) return;
    this.#long = undefined;
    this.#put(typeof rest === 'string' ? '"' : '"}');
  }

  #try(attempt: Attempt): void {
    this.#walk.begin(attempt, this.#out.mark(this.#values));
    this.#value(attempt.value);
  }

  #put(text: string): void {
    this.#out.add(text);
  }

  #quoted(text: string): string {
    if (text.length <= 40 && PLAIN.test(text)) return `"${text}"`;
    const json = JSON.stringify(text);
    if (hasLoneSurrogate(json)) this.#fail('the text contains a lone surrogate; send it as a Buffer');
    return json;
  }

  #finite(value: unknown): number {
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.#fail(`${String(value)} cannot be sent: JSON has only finite numbers`);
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
    return this.#fail(`the value is longer than ${this.maxBytes} bytes of JSON; send it in parts`);
  }

  #fail(reason: string): never {
    return this.#walk.fail(reason);
  }
}

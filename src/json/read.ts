/** Reads JSON: strict, bounded, in one pass over the bytes, without recursion. */
import { isUtf8 } from 'node:buffer';
import { BODY_LIMITS, RelayError, clean, countPosition } from '../core/core.ts';
import type { BodyLimits, ErrorCode } from '../core/core.ts';
import { ExactNumbers } from '../values/values.ts';
import type { Dict, ExactOf, Value } from '../values/values.ts';
import { bytesOf, dateOf, looksMarked } from './markers.ts';
import { int64Of, numberOf, smallInteger } from './numbers.ts';
import type { ReadNumber } from './numbers.ts';
import { CLOSE_LIST, CLOSE_STRUCT, COLON, COMMA, OPEN_LIST, OPEN_STRUCT, QUOTE, isBlank, isNumeric, readString } from './strings.ts';
import type { Fail } from './strings.ts';

/** A JSON text as read. */
export interface JsonDocument {
  /** The value as plugins see it: whole doubles and ints are not distinguished. */
  readonly value: Value;
  readonly exactOf: ExactOf;
  /** The text of the member {@link ReadOptions.keepTextOf} of `dict`, character for character; undefined if `dict` lacks it. */
  textOf(dict: Dict): string | undefined;
}

/** Options and limits for reading. */
export interface ReadOptions extends Partial<Readonly<BodyLimits>> {
  /** The name of a member whose text is kept, in the outermost object or in the objects of the outermost array. Default: none. */
  readonly keepTextOf?: string;
}

type Members = Record<string, Value>;

const SLICE_BYTES = 256 * 1024;

/** An open array or object. */
interface JsonLevel {
  readonly at: number;
  /** The array or the object; the other one is undefined. */
  readonly list: Value[] | undefined;
  readonly dict: Members | undefined;
  /** The name of the member that is being read. */
  name: string;
  /** Where the value of that member starts. */
  valueAt: number;
  members: number;
}

/**
 * Reads one JSON text in UTF-8. Throws a RelayError NOT_WELL_FORMED or LIMIT with line and column. Duplicate names in an object are errors,
 * since readers differ on which one counts.
 */
export function readJson(body: Uint8Array, options: ReadOptions = {}): JsonDocument {
  const reader = readerOf(body, options);
  reader.read(Infinity);
  return reader.document();
}

/** Reads like {@link readJson}, but yields to other work after each `sliceBytes` (default 256 KiB); one string is read without a pause. */
export async function readJsonInSlices(body: Uint8Array, options: ReadOptions = {}, sliceBytes = SLICE_BYTES): Promise<JsonDocument> {
  const reader = readerOf(body, options);
  while (!reader.read(sliceBytes)) await new Promise(setImmediate);
  return reader.document();
}

function readerOf(body: Uint8Array, options: ReadOptions): Reader {
  const complete = { ...BODY_LIMITS, ...options };
  if (body.byteLength > complete.maxBodyBytes)
    throw new RelayError('LIMIT', `the body has ${body.byteLength} bytes; the limit is ${complete.maxBodyBytes}`);
  if (!isUtf8(body)) throw new RelayError('NOT_WELL_FORMED', 'the body is not valid UTF-8');
  return new Reader(Buffer.from(body.buffer, body.byteOffset, body.byteLength), complete);
}

class Reader {
  #at = 0;
  #values = 0;
  readonly #root: JsonLevel = { at: 0, list: [], dict: undefined, name: '', valueAt: 0, members: 0 };
  #inner = this.#root;
  readonly #outer: JsonLevel[] = [];
  readonly #exact = new ExactNumbers();
  readonly #latin1: string;
  readonly #texts = new Map<Dict, readonly [from: number, end: number]>();

  constructor(
    private readonly body: Buffer,
    private readonly limits: Readonly<BodyLimits> & ReadOptions,
  ) {
    this.#latin1 = body.toString('latin1');
  }

  /** Continues for about `maxBytes`; true at the end of the text. */
  read(maxBytes: number): boolean {
    if (this.#at === 0 && this.body[0] === 0xef && this.body[1] === 0xbb && this.body[2] === 0xbf) this.#at = 3;
    const until = this.#at + maxBytes;
    do {
      if (this.#at >= until) return false;
      this.#value();
      this.#afterValue();
    } while (this.#inner !== this.#root || this.#root.list?.length === 0);
    if (this.#at < this.body.length) this.#fail(this.#at, 'text after the value; a body is one JSON value');
    return true;
  }

  /** The result, after the end of the text. */
  document(): JsonDocument {
    const [value = null] = this.#root.list ?? [];
    return { value, exactOf: (part) => this.#exact.of(part), textOf: (dict) => this.#textOf(dict) };
  }

  /** Reads a scalar, or opens an array or object. */
  #value(): void {
    const byte = this.#next();
    if (++this.#values > this.limits.maxValues) this.#limit(this.#at, `more than ${this.limits.maxValues} values`);
    switch (byte) {
      case QUOTE:
        this.#add(this.#string());
        break;
      case OPEN_LIST:
        this.#open({ at: this.#at, list: [], dict: undefined, name: '', valueAt: 0, members: 0 });
        break;
      case OPEN_STRUCT:
        this.#open({ at: this.#at, list: undefined, dict: Object.create(null) as Members, name: '', valueAt: 0, members: 0 });
        break;
      case 0x74:
        this.#add(this.#word('true', true));
        break;
      case 0x66:
        this.#add(this.#word('false', false));
        break;
      case 0x6e:
        this.#add(this.#word('null', null));
        break;
      default:
        this.#number(byte);
    }
  }

  /** Continues to the start of the next value, or to the end of the text. */
  #afterValue(): void {
    for (;;) {
      const level = this.#inner;
      const byte = this.#next();
      if (level === this.#root) return;
      const close = level.list ? CLOSE_LIST : CLOSE_STRUCT;
      // Only a new array or object may close without a value, or continue without a comma.
      const isEmpty = level.list ? level.list.length === 0 : level.members === 0;
      if (byte === close) {
        this.#at++;
        this.#close(level);
        continue;
      }
      if (!isEmpty) this.#expect(COMMA, level.list ? 'a comma or "]"' : 'a comma or "}"');
      if (level.dict) this.#name(level, level.dict);
      return;
    }
  }

  #open(level: JsonLevel): void {
    if (this.#outer.length >= this.limits.maxDepth) this.#limit(this.#at, `arrays and objects deeper than ${this.limits.maxDepth}`);
    this.#outer.push(this.#inner);
    this.#inner = level;
    this.#at++;
  }

  #close(level: JsonLevel): void {
    this.#inner = this.#outer.pop() ?? this.#root;
    if (level.list) this.#add(level.list);
    else if (level.dict && level.members === 1 && looksMarked(level.name)) this.#unmark(level, level.dict);
    else if (level.dict) this.#add(level.dict);
  }

  #name(level: JsonLevel, dict: Members): void {
    if (this.#next() !== QUOTE) this.#unexpected('the name of a member, in double quotes');
    const at = this.#at;
    const name = this.#string();
    if (name.length > this.limits.maxNameLength)
      this.#limit(at, `a member name longer than ${this.limits.maxNameLength} characters (maxNameLength)`);
    if (dict[name] !== undefined) this.#fail(at, `the member "${clean(name, 40)}" is repeated`);
    if (++level.members > this.limits.maxMembers) this.#limit(at, `more than ${this.limits.maxMembers} members`);
    level.name = name;
    this.#next();
    this.#expect(COLON, 'a colon');
    this.#next();
    level.valueAt = this.#at;
  }

  #unmark({ at, name }: JsonLevel, dict: Members): void {
    const content = dict[name];
    const fail = this.#failAt(at);
    if (name === '$date') this.#add(dateOf(content, fail));
    else if (name === '$base64') this.#add(bytesOf(content, fail));
    else if (name === '$i8') this.#addNumber(int64Of(content, fail));
    else {
      const plain = Object.create(null) as Members;
      plain[name.slice(1)] = content ?? null;
      this.#exact.move(dict, plain, name.slice(1));
      this.#add(plain);
    }
  }

  #string(): string {
    const { text, end } = readString(this.body, this.#latin1, this.#at + 1, (at, reason) => this.#fail(at, reason));
    this.#at = end;
    return text;
  }

  #word<T extends boolean | null>(word: string, value: T): T {
    if (!this.#latin1.startsWith(word, this.#at)) this.#unexpected('a value');
    this.#at += word.length;
    return value;
  }

  #number(byte: number | undefined): void {
    const from = this.#at;
    if (byte !== 0x2d && !(byte !== undefined && byte >= 0x30 && byte <= 0x39)) this.#unexpected('a value');
    while (isNumeric(this.body[this.#at])) this.#at++;
    const small = smallInteger(this.body, from, this.#at);
    if (small !== undefined) {
      this.#add(small);
      return;
    }
    if (this.#at - from > this.limits.maxDigits) this.#limit(from, `a number of more than ${this.limits.maxDigits} characters`);
    const fail = this.#failAt(from);
    this.#addNumber(numberOf(this.#latin1.slice(from, this.#at), fail));
  }

  #addNumber({ value, exact }: ReadNumber): void {
    const { list, dict, name } = this.#inner;
    if (exact) this.#exact.note(list ?? dict ?? [], list ? list.length : name, exact);
    this.#add(value);
  }

  #add(value: Value): void {
    const { list, dict, name, valueAt } = this.#inner;
    if (list) list.push(value);
    else if (dict) {
      dict[name] = value;
      if (name === this.limits.keepTextOf && this.#outer.length <= 2) this.#texts.set(dict, [valueAt, this.#at]);
    }
  }

  #textOf(dict: Dict): string | undefined {
    const span = this.#texts.get(dict);
    return span && this.body.toString('utf8', ...span);
  }

  /** Skips white space and returns the next byte; undefined at the end. */
  #next(): number | undefined {
    while (isBlank(this.body[this.#at])) this.#at++;
    return this.body[this.#at];
  }

  #expect(byte: number, what: string): void {
    if (this.body[this.#at] !== byte) this.#unexpected(what);
    this.#at++;
  }

  #unexpected(expected: string): never {
    return this.#fail(this.#at, `expected ${expected}${this.#at >= this.body.length ? ', but the text ends' : ''}`);
  }

  #limit(at: number, reason: string): never {
    return refuse('LIMIT', this.body, at, reason);
  }

  #fail(at: number, reason: string): never {
    return refuse('NOT_WELL_FORMED', this.body, at, reason);
  }

  #failAt(at: number): Fail {
    return (reason) => this.#fail(at, reason);
  }
}

/** Throws `line L, column C: reason` for the byte offset `at` of `body`. */
function refuse(code: ErrorCode, body: Uint8Array, at: number, reason: string): never {
  const position = { line: 1, column: 1 };
  countPosition(body, 0, at, position);
  throw new RelayError(code, `line ${position.line}, column ${position.column}: ${reason}`);
}

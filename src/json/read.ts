/** JSON text to values: strict, bounded, one pass over the bytes, without recursion. */
import { isUtf8 } from 'node:buffer';
import { BODY_LIMITS, RelayError, clean } from '../core/core.ts';
import type { BodyLimits } from '../core/core.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { CLOSE_LIST, CLOSE_STRUCT, COLON, COMMA, OPEN_LIST, OPEN_STRUCT, QUOTE, isBlank, isNumeric, readString } from './bytes.ts';
import { ExactForms } from './exact.ts';
import { bytesOf, dateOf, looksMarked } from './markers.ts';
import { int64Of, numberOf, smallInteger } from './numbers.ts';
import type { ReadNumber } from './numbers.ts';
import { refuse } from './refuse.ts';
import type { Fail } from './refuse.ts';

/** A text that was read. */
export interface JsonDocument {
  /** As plugins see it: a double that is whole and an int look alike. */
  readonly value: Value;
  /** `part`, an array or dict of `value`, with the types that the text gave its numbers; undefined where `part` says them itself. */
  exactOf(part: readonly Value[] | Dict): Sendable | undefined;
  /** The member {@link ReadOptions.keepTextOf} of `dict` as it stands in the text, letter for letter; undefined if it has none. */
  textOf(dict: Dict): string | undefined;
}

/** How a text is read. */
export interface ReadOptions extends Partial<Readonly<BodyLimits>> {
  /** The name of a member whose text is kept, in the outermost object or the objects of the outermost array; none unless told. */
  readonly keepTextOf?: string;
}

type Members = Record<string, Value>;

const SLICE_BYTES = 256 * 1024;

/** An array or object that is open. */
interface Frame {
  readonly at: number;
  /** One of the two. */
  readonly list: Value[] | undefined;
  readonly dict: Members | undefined;
  /** Of the member that is being read. */
  name: string;
  /** Where the value of that member begins. */
  valueAt: number;
  members: number;
}

/**
 * Reads one JSON text in UTF-8. Throws a RelayError NOT_WELL_FORMED that says where, or LIMIT. Names that stand twice in an object are
 * refused: readers
 * differ on which counts.
 */
export function readJson(body: Uint8Array, options: ReadOptions = {}): JsonDocument {
  const reader = readerOf(body, options);
  reader.read(Infinity);
  return reader.document();
}

/** Reads as {@link readJson} does, and lets other work run after each `sliceBytes` (256 KiB unless told); a string is read at once. */
export async function readJsonInSlices(body: Uint8Array, options: ReadOptions = {}, sliceBytes = SLICE_BYTES): Promise<JsonDocument> {
  const reader = readerOf(body, options);
  while (!reader.read(sliceBytes)) await new Promise(setImmediate);
  return reader.document();
}

function readerOf(body: Uint8Array, options: ReadOptions): Reader {
  const complete = { ...BODY_LIMITS, ...options };
  if (body.byteLength > complete.maxBodyBytes)
    throw new RelayError('LIMIT', `the body has ${body.byteLength} bytes; the limit is ${complete.maxBodyBytes}`);
  if (!isUtf8(body)) throw new RelayError('NOT_WELL_FORMED', 'the body is not UTF-8, which JSON has to be');
  return new Reader(Buffer.from(body.buffer, body.byteOffset, body.byteLength), complete);
}

class Reader {
  #at = 0;
  #values = 0;
  readonly #root: Frame = { at: 0, list: [], dict: undefined, name: '', valueAt: 0, members: 0 };
  #inner = this.#root;
  readonly #outer: Frame[] = [];
  readonly #exact = new ExactForms();
  readonly #latin1: string;
  readonly #texts = new Map<Dict, readonly [from: number, end: number]>();

  constructor(
    private readonly body: Buffer,
    private readonly limits: Readonly<BodyLimits> & ReadOptions,
  ) {
    this.#latin1 = body.toString('latin1');
  }

  /** Reads on for `maxBytes` or a little more; true at the end of the text. */
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

  /** What was read, once all is. */
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

  /** Reads on to where the next value begins, or to the end of the text. */
  #afterValue(): void {
    for (;;) {
      const frame = this.#inner;
      const byte = this.#next();
      if (frame === this.#root) return;
      const close = frame.list ? CLOSE_LIST : CLOSE_STRUCT;
      // An array or object that has just been opened is the only one that may close without a value, or go on without a comma.
      const isEmpty = frame.list ? frame.list.length === 0 : frame.members === 0;
      if (byte === close) {
        this.#at++;
        this.#close(frame);
        continue;
      }
      if (!isEmpty) this.#expect(COMMA, frame.list ? 'a comma or "]"' : 'a comma or "}"');
      if (frame.dict) this.#name(frame, frame.dict);
      return;
    }
  }

  #open(frame: Frame): void {
    if (this.#outer.length >= this.limits.maxDepth) this.#limit(this.#at, `arrays and objects deeper than ${this.limits.maxDepth}`);
    this.#outer.push(this.#inner);
    this.#inner = frame;
    this.#at++;
  }

  #close(frame: Frame): void {
    this.#inner = this.#outer.pop() ?? this.#root;
    if (frame.list) this.#add(frame.list);
    else if (frame.dict && frame.members === 1 && looksMarked(frame.name)) this.#unmark(frame, frame.dict);
    else if (frame.dict) this.#add(frame.dict);
  }

  #name(frame: Frame, dict: Members): void {
    if (this.#next() !== QUOTE) this.#unexpected('the name of a member, in double quotes');
    const at = this.#at;
    const name = this.#string();
    if (name.length > this.limits.maxNameLength)
      this.#limit(at, `a member name longer than ${this.limits.maxNameLength} characters (maxNameLength)`);
    if (dict[name] !== undefined) this.#fail(at, `the member "${clean(name, 40)}" stands twice`);
    if (++frame.members > this.limits.maxMembers) this.#limit(at, `more than ${this.limits.maxMembers} members`);
    frame.name = name;
    this.#next();
    this.#expect(COLON, 'a colon');
    this.#next();
    frame.valueAt = this.#at;
  }

  #unmark({ at, name }: Frame, dict: Members): void {
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

  /** The byte after blanks; undefined at the end. */
  #next(): number | undefined {
    while (isBlank(this.body[this.#at])) this.#at++;
    return this.body[this.#at];
  }

  #expect(byte: number, what: string): void {
    if (this.body[this.#at] !== byte) this.#unexpected(what);
    this.#at++;
  }

  #unexpected(expected: string): never {
    return this.#fail(this.#at, `expected ${expected}${this.#at >= this.body.length ? ', and the text ends' : ''}`);
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

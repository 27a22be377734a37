/**
 * Reads a call, or a struct alone, as nearly all programs write it, in one go: the usual spelling of each tag without attributes, white
 * space only where elements are expected, and texts without CDATA sections or comments. This is a shortcut and not a second opinion:
 * whatever it reads, the grammar reads with the same result, and whatever it is not sure of, errors and exceeded limits included, it leaves
 * to the grammar, which starts again at the beginning of the document.
 */
import { Double, ExactNumbers } from '../../values/values.ts';
import type { Dict, Value } from '../../values/values.ts';
import { AMPERSAND, LESS, SLASH, SPACE, skipBlank } from '../chars.ts';
import { Base64Reader } from './base64.ts';
import { readDate } from './dates.ts';
import { declarationEnd } from './declaration.ts';
import { isMethodName } from './grammar.ts';
import { cachedName, findName } from './names.ts';
import type { NameSpan } from './names.ts';
import { firstRun, learnRun, recallRun } from './markup-runs.ts';
import type { Run, Scalar, Step } from './markup-runs.ts';
import { DOUBLE, readShortDecimal } from './numbers.ts';
import type { ShortDecimal } from './numbers.ts';
import { ParseError } from './parse-error.ts';
import type { ScalarRules } from './scalars.ts';
import { Structs } from './structs.ts';
import { TagBytes } from './tag-bytes.ts';
import { AsciiWindow, Content, STOPS, isStop, utf8Text } from './text.ts';

/** What a call consists of. */
export interface PlainCall {
  readonly methodName: string;
  readonly params: readonly Value[];
  readonly usesNil: boolean;
  readonly structs: Structs;
  /** The numbers whose type is lost; undefined if there are none. */
  readonly exact: ExactNumbers | undefined;
}

type Members = Record<string, Value>;

// Longer ones are decoded in pieces.
const MAX_BASE64 = 64 * 1024;
// A limit below that would apply to tags, too.
const LONGEST_TAG = 'dateTime.iso8601'.length;
const ZERO = 48;
const METHOD_CALL = new TagBytes('<methodCall>');
const METHOD_CALL_END = new TagBytes('</methodCall>');
const METHOD_NAME = new TagBytes('<methodName>');
const METHOD_NAME_END = new TagBytes('</methodName>');
const PARAMS = new TagBytes('<params>');
const PARAMS_END = new TagBytes('</params>');
const PARAM = new TagBytes('<param>');
const PARAM_END = new TagBytes('</param>');
const VALUE = new TagBytes('<value>');
const VALUE_END = new TagBytes('</value>');
const ARRAY = new TagBytes('<array>');
const ARRAY_END = new TagBytes('</array>');
const DATA = new TagBytes('<data>');
const DATA_END = new TagBytes('</data>');
const STRUCT = new TagBytes('<struct>');
const STRUCT_END = new TagBytes('</struct>');
const MEMBER = new TagBytes('<member>');
const MEMBER_END = new TagBytes('</member>');
const NAME = new TagBytes('<name>');
const NAME_END = new TagBytes('</name>');

const STRING = scalar('string', 'string');
const SCALARS = [
  STRING,
  scalar('int', 'int'),
  scalar('double', 'double'),
  scalar('boolean', 'boolean'),
  scalar('int', 'i4'),
  scalar('date', 'dateTime.iso8601'),
  scalar('base64', 'base64'),
];
const NIL: Scalar = { type: 'nil', start: new TagBytes('<nil/>'), end: VALUE_END };
const UNTYPED: Scalar = { type: 'string', start: VALUE, end: VALUE_END };
// What is before and after all values.
const START: Scalar = { type: 'start', start: PARAMS, end: PARAMS };
const END: Scalar = { type: 'end', start: METHOD_CALL_END, end: METHOD_CALL_END };
const FIRST_RUN = firstRun(START);
// The same for a struct alone.
const START_OF_STRUCT: Scalar = { type: 'start', start: STRUCT, end: STRUCT };
const END_OF_STRUCT: Scalar = { type: 'end', start: STRUCT_END, end: STRUCT_END };
const FIRST_RUN_OF_STRUCT = firstRun(START_OF_STRUCT);

/** The call in `bytes`, which are valid UTF-8; undefined if the grammar has to read it. */
export function readPlainCall(bytes: Buffer, rules: ScalarRules): PlainCall | undefined {
  if (rules.limits.maxNameLength < LONGEST_TAG) return undefined;
  try {
    const reader = new PlainReader(bytes, rules);
    return reader.call() ? reader : undefined;
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/** The dict in `bytes`, which are valid UTF-8 and one `<struct>…</struct>`; undefined if the grammar has to read it. */
export function readPlainStruct(bytes: Buffer, rules: ScalarRules): Dict | undefined {
  if (rules.limits.maxNameLength < LONGEST_TAG) return undefined;
  try {
    const reader = new PlainReader(bytes, rules);
    return reader.struct() ? (reader.params[0] as Dict) : undefined;
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

function scalar(type: Scalar['type'], name: string): Scalar {
  return { type, start: new TagBytes(`<${name}>`), end: new TagBytes(`</${name}></value>`) };
}

/** An open array or struct, or the parameters, or what is around a struct alone. */
interface Level {
  /** Undefined for the parameters. */
  readonly outer: Level | undefined;
  readonly depth: number;
  /** Undefined for a struct. */
  readonly list: Value[] | undefined;
  readonly dict: Members;
  /** Of a struct: the offset of its start tag, its number of members, and the name of the last one. */
  readonly from: number;
  members: number;
  name: string;
}

const NO_MEMBERS: Members = {};

/** Reads one document. Methods that return undefined or false are not sure, and nothing is read after that. */
class PlainReader implements PlainCall {
  methodName = '';
  readonly params: Value[] = [];
  usesNil = false;
  readonly structs = new Structs();
  exact: ExactNumbers | undefined;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #length: number;
  readonly #rules: ScalarRules;
  readonly #window: AsciiWindow;
  #content: Content | undefined;
  readonly #span: NameSpan = { to: 0, slot: 0, isKnown: false };
  readonly #short: ShortDecimal = { value: 0, isWhole: true, end: 0 };
  #at: number;
  #top: Level = { outer: undefined, depth: 0, list: this.params, dict: NO_MEMBERS, from: 0, members: 0, name: '' };
  #count = 0;
  /** True if the document is one struct. */
  #isAlone = false;

  constructor(bytes: Buffer, rules: ScalarRules) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#length = bytes.length;
    this.#rules = rules;
    this.#window = new AsciiWindow(bytes);
    this.#at = declarationEnd(bytes);
  }

  /** Reads `<methodCall>` and everything in it. */
  call(): boolean {
    if (!this.#takesNext(METHOD_CALL) || !this.#takesNext(METHOD_NAME)) return false;
    const name = this.#shortName();
    if (name === undefined || !isMethodName(name) || !this.#takes(METHOD_NAME_END)) return false;
    this.methodName = name;
    if (this.#takesNext(PARAMS)) return this.#values(FIRST_RUN);
    return this.#takesNext(METHOD_CALL_END) && this.#isAtEnd();
  }

  /** Reads one `<struct>` and everything in it. */
  struct(): boolean {
    this.#at = 0;
    this.#isAlone = true;
    return this.#values(FIRST_RUN_OF_STRUCT);
  }

  /** Reads markup and scalars in turn. */
  #values(first: Run): boolean {
    let run = first;
    for (;;) {
      const known = recallRun(run, this.#view, this.#at, this.#length);
      const next = known && this.#isWhole(known) ? this.#applied(known) : this.#newRun(run);
      if (next === undefined) return false;
      if (next.after.type === 'end') return this.#isAtEnd();
      if (++this.#count > this.#rules.limits.maxValues || !this.#scalar(next.after)) return false;
      run = next;
    }
  }

  #isAtEnd(): boolean {
    return skipBlank(this.#bytes, this.#at, this.#length) === this.#length;
  }

  /** False if a `<value>` without a type was remembered, and this one has one, or if what was remembered ends another kind of document. */
  #isWhole({ after, length }: Run): boolean {
    const end = this.#at + length;
    if (after.type === 'end') return this.#isAlone ? after === END_OF_STRUCT && end === this.#length : after === END;
    return after !== UNTYPED || this.#bytes[end] !== LESS || this.#bytes[end + 1] === SLASH;
  }

  /** Does what the run at the current offset means. */
  #applied(run: Run): Run | undefined {
    const from = this.#at;
    for (const step of run.steps) if (!this.#apply(step, from)) return undefined;
    this.#at = from + run.length;
    return run;
  }

  /** Reads the markup at the current offset tag by tag, up to the next scalar. */
  #newRun(previous: Run): Run | undefined {
    const from = this.#at;
    const steps: Step[] = [];
    const does = (kind: Step['kind'], name = '', offset = 0): boolean => {
      const step = { kind, name, offset: offset - from };
      steps.push(step);
      return this.#apply(step, from);
    };
    const isStart = previous.after.type === 'start';
    if (!isStart && !this.#takes(previous.after.end)) return undefined;
    if (previous === FIRST_RUN_OF_STRUCT && !(this.#takes(STRUCT) && does('openStruct', '', from))) return undefined;
    // True after the start tag of an array or struct, where no value has to be finished.
    let isFirst = isStart;
    for (;;) {
      const found = this.#top.list === undefined ? this.#inStruct(isFirst, does) : this.#inList(isFirst, does);
      if (found === 'end') return learnRun(previous, { after: END, steps }, this.#view, from, this.#at);
      if (found === 'endOfStruct') return learnRun(previous, { after: END_OF_STRUCT, steps }, this.#view, from, this.#at);
      isFirst = found === 'value';
      if (found === 'closed') continue;
      if (found === undefined) return undefined;
      const at = this.#at;
      if (this.#takes(STRUCT)) {
        if (!does('openStruct', '', at)) return undefined;
      } else if (this.#takes(ARRAY)) {
        if (!this.#takesNext(DATA) || !does('openArray')) return undefined;
      } else {
        const after = this.#scalarTag();
        return after && learnRun(previous, { after, steps }, this.#view, from, this.#at);
      }
    }
  }

  /** Continues in a struct: after the start tag of the next value, or after the end of the struct and the value around it, if any. */
  #inStruct(
    isFirst: boolean,
    does: (kind: Step['kind'], name?: string, offset?: number) => boolean,
  ): 'value' | 'closed' | 'endOfStruct' | undefined {
    if (!isFirst && !this.#takesNext(MEMBER_END)) return undefined;
    if (!this.#takesNext(MEMBER)) {
      if (!this.#takes(STRUCT_END) || !does('closeStruct', '', this.#at)) return undefined;
      if (this.#isAlone && this.#top.outer === undefined) return does('end') ? 'endOfStruct' : undefined;
      return this.#takesNext(VALUE_END) ? 'closed' : undefined;
    }
    const name = this.#takesNext(NAME) ? this.#shortName() : undefined;
    return name !== undefined && this.#takes(NAME_END) && this.#takesNext(VALUE) && does('member', name) ? 'value' : undefined;
  }

  /** Continues in an array or in the parameters. */
  #inList(isFirst: boolean, does: (kind: Step['kind']) => boolean): 'value' | 'closed' | 'end' | undefined {
    if (this.#top.outer !== undefined) {
      if (this.#takesNext(VALUE)) return does('item') ? 'value' : undefined;
      return this.#takes(DATA_END) && this.#takesNext(ARRAY_END) && does('closeArray') && this.#takesNext(VALUE_END) ? 'closed' : undefined;
    }
    if (!isFirst && !this.#takesNext(PARAM_END)) return undefined;
    if (this.#takesNext(PARAM)) return this.#takesNext(VALUE) && does('param') ? 'value' : undefined;
    return this.#takes(PARAMS_END) && this.#takesNext(METHOD_CALL_END) && does('end') ? 'end' : undefined;
  }

  #scalarTag(): Scalar | undefined {
    if (this.#bytes[this.#at] !== LESS) return UNTYPED;
    for (const each of SCALARS) if (this.#takes(each.start)) return each;
    if (this.#takes(NIL.start)) return NIL;
    return VALUE_END.isAt(this.#view, this.#at, this.#length) ? UNTYPED : undefined;
  }

  /** Does what a part of the run at `from` means; false if it is not valid in this place, or a limit is exceeded. */
  #apply({ kind, name, offset }: Step, from: number): boolean {
    const top = this.#top;
    switch (kind) {
      case 'member': {
        const { maxMembers, maxNameLength } = this.#rules.limits;
        if (top.list !== undefined || ++top.members > maxMembers || name.length > maxNameLength) return false;
        top.name = name;
        return top.dict[name] === undefined;
      }
      case 'item':
        return top.list !== undefined && top.outer !== undefined;
      case 'param':
        return top.outer === undefined && !this.#isAlone;
      case 'end':
        return top.outer === undefined;
      case 'openStruct':
        // As in ValueBuilder.
        return this.#open(undefined, Object.setPrototypeOf({}, null) as Members, from + offset);
      case 'openArray':
        return this.#open([], NO_MEMBERS, 0);
      case 'closeStruct':
        if (top.list !== undefined) return false;
        this.structs.add(top.dict, top.from, from + offset);
        return this.#close(top, top.dict);
      case 'closeArray':
        return top.list !== undefined && this.#close(top, top.list);
    }
  }

  #open(list: Value[] | undefined, dict: Members, from: number): boolean {
    const { maxDepth, maxValues } = this.#rules.limits;
    const outer = this.#top;
    const depth = outer.depth + 1;
    this.#top = { outer, depth, list, dict, from, members: 0, name: '' };
    return depth <= maxDepth && ++this.#count <= maxValues;
  }

  #close({ outer }: Level, part: Value): boolean {
    if (outer === undefined) return false;
    this.#top = outer;
    return this.#add(part);
  }

  #add(value: Value): true {
    const { list, dict, name } = this.#top;
    if (list === undefined) dict[name] = value;
    else list.push(value);
    return true;
  }

  /** Reads the text of a scalar up to its end tag, which is part of the next markup. */
  #scalar({ type }: Scalar): boolean {
    switch (type) {
      case 'string':
        return this.#add(this.#text());
      case 'int':
        return this.#int();
      case 'double':
        return this.#double();
      case 'boolean':
        return this.#boolean();
      case 'date':
        return this.#date();
      case 'base64':
        return this.#base64();
      case 'nil':
        this.usesNil = true;
        return this.#add(null);
      default:
        return false;
    }
  }

  #int(): boolean {
    const short = this.#short;
    if (!readShortDecimal(this.#bytes, this.#at, this.#length, short) || !short.isWhole) return false;
    const { value } = short;
    return (value | 0) === value && this.#number(value | 0, short.end);
  }

  #double(): boolean {
    const short = this.#short;
    const isShort = readShortDecimal(this.#bytes, this.#at, this.#length, short) && this.#bytes[short.end] === LESS;
    const value = isShort ? short.value : this.#decimal();
    if (value === undefined) return false;
    if (Number.isInteger(value)) {
      this.exact ??= new ExactNumbers();
      const { list, dict, name } = this.#top;
      this.exact.note(list ?? dict, list?.length ?? name, new Double(value));
    }
    return this.#number(value, short.end);
  }

  /** A double with an exponent, or with more digits than arithmetic is sure of; sets the end of `#short`. */
  #decimal(): number | undefined {
    const end = this.#endOfText(this.#rules.limits.maxDigits);
    const text = this.#bytes.toString('latin1', this.#at, end);
    const value = Number(text);
    this.#short.end = end;
    return DOUBLE.test(text) && Number.isFinite(value) ? value : undefined;
  }

  #boolean(): boolean {
    const digit = (this.#bytes[this.#at] ?? 0) - ZERO;
    return (digit === 0 || digit === 1) && this.#number(digit === 1, this.#at + 1);
  }

  #number(value: number | boolean, end: number): boolean {
    if (end - this.#at > this.#rules.limits.maxDigits) return false;
    this.#at = end;
    return this.#add(value);
  }

  #date(): boolean {
    const from = this.#at;
    const to = this.#endOfText(this.#rules.limits.maxDigits);
    this.#at = to;
    return this.#add(readDate({ bytes: this.#bytes, from, to, at: from }, false));
  }

  #base64(): boolean {
    const from = this.#at;
    const to = this.#endOfText(MAX_BASE64);
    const reader = new Base64Reader(this.#bytes, from, to);
    this.#at = reader.feed(this.#bytes, from, to);
    return this.#at === to && this.#add(reader.finish(from));
  }

  /** The offset of the next `<`, if there are no more than `most` bytes before it; otherwise an offset before it. */
  #endOfText(most: number): number {
    const bytes = this.#bytes;
    const limit = Math.min(this.#at + most, this.#length);
    let at = this.#at;
    while (at < limit && bytes[at] !== LESS) at++;
    return at;
  }

  /** Reads characters and references. */
  #text(): string {
    const from = this.#at;
    const isAscii = this.#skipText();
    const to = this.#at;
    if (this.#bytes[to] === AMPERSAND) return this.#textWithReferences(from);
    if (from === to) return '';
    return isAscii ? this.#window.text(from, to) : utf8Text(this.#bytes, from, to);
  }

  #textWithReferences(from: number): string {
    const content = (this.#content ??= new Content(this.#bytes));
    content.start(from);
    this.#at = content.copy(content.scan(from, this.#length), this.#length);
    return content.text();
  }

  /** Moves to the first byte that is not plain text; true if all before it are ASCII. */
  #skipText(): boolean {
    const bytes = this.#bytes;
    const length = this.#length;
    let at = this.#at;
    let bits = 0;
    for (; at < length; at++) {
      const byte = bytes[at] ?? 0;
      if (STOPS[byte] === 1 && isStop(bytes, at)) break;
      bits |= byte;
    }
    this.#at = at;
    return bits < 128;
  }

  /** Reads a name of a few ASCII characters. */
  #shortName(): string | undefined {
    const span = this.#span;
    if (!findName(this.#bytes, this.#at, span)) return undefined;
    const name = cachedName(this.#bytes, this.#at, span);
    this.#at = span.to;
    return name.length <= this.#rules.limits.maxNameLength ? name : undefined;
  }

  /** Skips white space, and `tag` if it is next. */
  #takesNext(tag: TagBytes): boolean {
    if ((this.#bytes[this.#at] ?? 0) <= SPACE) this.#at = skipBlank(this.#bytes, this.#at, this.#length);
    return this.#takes(tag);
  }

  /** Skips `tag` if it is next. */
  #takes(tag: TagBytes): boolean {
    if (!tag.isAt(this.#view, this.#at, this.#length)) return false;
    this.#at += tag.length;
    return true;
  }
}

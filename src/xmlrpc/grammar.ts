/**
 * The grammar machine: takes a document through the grammar's places, by expected bytes where it can and by tokens of the XML layer
 * elsewhere.
 */
import { Base64Element } from './base64-element.ts';
import { LESS, SPACE, isBlank, skipBlank } from './chars.ts';
import { ElementReader } from './element-reader.ts';
import { typedAt, typedNamed } from './elements.ts';
import type { Typed } from './elements.ts';
import {
  ARRAY,
  ARRAY_OR_NOTHING,
  BASE64,
  DOCUMENT_END,
  FAULT,
  MEMBER_END,
  SCALAR,
  STRUCT,
  UNTYPED,
  VALUE_END,
  expectedAt,
} from './grammar-table.ts';
import type { Place, Step } from './grammar-table.ts';
import { FIRST_SLOT, learn, recall, slotAfter } from './member-memo.ts';
import { cachedName, findName } from './name-cache.ts';
import type { NameSpan } from './name-cache.ts';
import { Nesting } from './nesting.ts';
import { readShortDecimal } from './read-number.ts';
import type { ShortDecimal } from './read-number.ts';
import { refuse, tag } from './refuse.ts';
import { readScalar } from './scalars.ts';
import type { ScalarRules, ScalarType } from './scalars.ts';
import type { Sink } from './sink.ts';
import { TagBytes } from './tag-bytes.ts';

// Of one slice: the shortest values take the longest per byte.
const MAX_STEPS = 16 * 1024;
const METHOD_NAME = /^[A-Za-z0-9_.:/]+$/;
const VALUE_TAG_LENGTH = '<value>'.length;
const VALUE_END_LENGTH = '</value>'.length;
const END_OF_VALUE = new TagBytes('</value>');
const END_OF_NAME = new TagBytes('</name>');
const END_OF_METHOD_NAME = new TagBytes('</methodName>');

/** One document's way through the grammar. */
export class Grammar {
  methodName = '';
  isFault = false;
  usesNil = false;
  usesI8 = false;
  readonly #reader: ElementReader;
  readonly #sink: Sink;
  readonly #rules: ScalarRules;
  #place: Place;
  readonly #nesting: Nesting;
  // The typed element that is open, and how it is spelt here.
  #typed: Typed | undefined;
  #spelling = '';
  #base64: Base64Element | undefined;
  readonly #span: NameSpan = { to: 0, slot: 0, isKnown: false };
  // What was recognised last, and the start of what may be kept; -1 if it may not.
  readonly #short: ShortDecimal = { value: 0, isWhole: true, end: 0 };
  #slot = FIRST_SLOT;
  #hash = 0;
  #memoAt = -1;
  #memoPlace = DOCUMENT_END;
  #name = '';
  #isDone = false;

  constructor(start: Place, bytes: Buffer, sink: Sink, rules: ScalarRules) {
    this.#place = start;
    this.#reader = new ElementReader(bytes, rules.limits);
    this.#sink = sink;
    this.#rules = rules;
    this.#nesting = new Nesting(rules.limits);
  }

  /** True if a struct's text may mean something else outside this document. */
  get isEntangled(): boolean {
    return this.#reader.isEntangled;
  }

  /** Reads on for `budget` bytes and what belongs to the last of them, or fewer if much happens in them; true if the document is read. */
  read(budget = Infinity): boolean {
    const reader = this.#reader;
    reader.stop = Math.min(reader.bytes.length, reader.at + budget);
    for (let steps = 0; steps < MAX_STEPS && !this.#isDone && !reader.isPaused; steps++) this.#step(this.#place);
    return this.#isDone;
  }

  #step(place: Place): void {
    switch (place.kind) {
      case 'elements':
        return this.#elements(place);
      case 'name':
        return this.#inName(place);
      case 'value':
        return this.#inValue();
      case 'scalar':
        return this.#inScalar();
      case 'untyped':
        return this.#inUntyped();
      case 'base64':
        return this.#inBase64();
      case 'methodName':
        return this.#inMethodName(place);
      case 'outside':
        return this.#outside(place);
    }
  }

  #elements(place: Place): void {
    const reader = this.#reader;
    if (reader.isInSection) return this.#token(place);
    if ((reader.bytes[reader.at] ?? 0) <= SPACE) reader.at = skipBlank(reader.bytes, reader.at, reader.stop);
    if (place.fused.length > 0 && this.#recalls(place)) return;
    if (!this.#takesExpected(place)) this.#token(place);
  }

  // Where a member may start: the way into its value, if it was seen before.
  #recalls(place: Place): boolean {
    const reader = this.#reader;
    const slot = slotAfter(this.#slot);
    const memo = recall(slot, place, reader.view, reader.at, reader.length);
    this.#memoAt = reader.at;
    this.#memoPlace = place;
    if (!memo || reader.hasNamespaces) return false;
    // Whatever is to be refused is read as usual, which finds its place.
    if (!this.#nesting.hasRoomFor(memo.name) || !this.#sink.member(memo.name)) return false;
    this.#nesting.add(MEMBER_END);
    this.#slot = slot;
    this.#hash = memo.hash;
    reader.at += memo.length;
    this.#enterTyped(memo.typed, memo.typed.name, reader.at - memo.typed.start.length);
    if (this.#place === SCALAR) this.#inScalar();
    return true;
  }

  #takesExpected(place: Place): boolean {
    const reader = this.#reader;
    const { fused, steps, end, opening, closing } = place;
    // A struct that is a document of its own has no value around it.
    if (closing && !this.#nesting.isOutermost && reader.takes(closing)) return this.#endStruct();
    if (opening && reader.takes(opening)) return this.#startStruct(place, reader.at - opening.length);
    for (const step of fused) {
      if (reader.takes(step.bytes)) return this.#enter(step, reader.at - VALUE_TAG_LENGTH);
    }
    for (const step of steps) {
      if (reader.takes(step.bytes)) return this.#enter(step, reader.at - step.bytes.length);
    }
    return end !== undefined && reader.takes(end.bytes) && this.#leave(end);
  }

  // Where elements only may stand, taken apart by the XML layer.
  #token(place: Place): void {
    const reader = this.#reader;
    const { element, end } = place;
    this.#memoAt = -1;
    switch (reader.token(element)) {
      case 'open':
        this.#enter(this.#stepFor(place), reader.tagAt);
        break;
      case 'close':
        if (!end) this.#fail(reader.from, `${tag(element)} ends without ${expectedAt(place)}`);
        this.#leave(end);
        break;
      case 'text': {
        const at = skipBlank(reader.bytes, reader.from, reader.to);
        if (at < reader.to) this.#fail(at, `text in ${tag(element)}, which takes elements only`);
        break;
      }
      case 'reference':
        if (!isBlank(reader.reference.point)) this.#fail(reader.from, `text in ${tag(element)}, which takes elements only`);
        break;
      default:
    }
  }

  #outside(place: Place): void {
    const reader = this.#reader;
    const token = reader.tokenOutside(place === DOCUMENT_END);
    if (token === 'open') this.#enter(this.#stepFor(place), reader.tagAt);
    else if (token === 'end') this.#isDone = true;
  }

  #stepFor(place: Place): Step {
    const { element, name, tagAt } = this.#reader;
    for (const step of place.steps) if (step.name === element) return step;
    return this.#misplaced(place, name, tagAt);
  }

  // After a start tag; `at` is its offset.
  #enter({ to, then }: Step, at: number): true {
    if (!to) return true;
    this.#place = to;
    if (then) this.#nesting.home = then;
    if (to.kind === 'value') {
      this.#nesting.value(at);
    } else if (to.kind !== 'elements') {
      this.#reader.content.start(this.#reader.at);
    } else if (to === STRUCT) {
      this.#open('struct', at);
    } else if (to === FAULT) {
      this.isFault = true;
    }
    return true;
  }

  // After an end tag.
  #leave({ to }: Step): true {
    if (to) this.#place = to;
    else if (this.#place === VALUE_END) this.#place = this.#nesting.home;
    else this.#close(this.#reader.at);
    return true;
  }

  // The value that starts at `at`, and the struct in it.
  #startStruct(home: Place, at: number): true {
    this.#nesting.value(at);
    this.#nesting.home = home;
    this.#place = STRUCT;
    this.#open('struct', at + VALUE_TAG_LENGTH);
    return true;
  }

  // The struct, and the value that it is.
  #endStruct(): true {
    this.#close(this.#reader.at - VALUE_END_LENGTH);
    this.#place = this.#nesting.home;
    return true;
  }

  #open(kind: 'array' | 'struct', at: number): void {
    this.#nesting.open(at);
    this.#sink.open(kind, at);
  }

  #close(end: number): void {
    this.#place = this.#nesting.close() === DOCUMENT_END ? DOCUMENT_END : VALUE_END;
    this.#sink.close(end);
  }

  #inName(place: Place): void {
    const reader = this.#reader;
    const { bytes, at: from, content } = reader;
    const [whole] = place.fused;
    const isFresh = content.isStretch && content.length === 0 && !reader.isEmptyTag;
    if (whole && isFresh && findName(bytes, from, this.#span)) {
      reader.at = this.#span.to;
      if (reader.takes(whole.bytes)) {
        this.#name = cachedName(bytes, from, this.#span);
        this.#member(this.#name, from);
        this.#enter(whole, reader.at - VALUE_TAG_LENGTH);
        return;
      }
      reader.at = from;
    }
    this.#memoAt = -1;
    const ended = reader.text(END_OF_NAME, place.element);
    if (ended === 'open') this.#misplaced(place, reader.name, reader.tagAt);
    if (ended === 'paused') return;
    this.#member(content.boundedText(this.#rules.limits.maxNameLength), content.at);
    if (place.end) this.#leave(place.end);
  }

  #member(name: string, at: number): void {
    this.#nesting.member(name, at);
    if (!this.#sink.member(name)) this.#fail(at, 'this struct has a member of this name already');
  }

  #inMethodName(place: Place): void {
    const reader = this.#reader;
    const { content } = reader;
    const ended = reader.text(END_OF_METHOD_NAME, place.element);
    if (ended === 'open') this.#misplaced(place, reader.name, reader.tagAt);
    if (ended === 'paused') return;
    const limit = this.#rules.limits.maxNameLength;
    const name = content.boundedText(limit);
    if (name.length > limit) refuse('LIMIT', content.at, `the method name is longer than ${limit} characters`);
    if (!isMethodName(name)) this.#fail(content.at, 'a method name is made of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
    this.methodName = name;
    if (place.end) this.#leave(place.end);
  }

  // Right after `<value>`: a typed child is recognised here as everybody writes it, perhaps with white space before it.
  #inValue(): void {
    const reader = this.#reader;
    const { bytes, view } = reader;
    let { at } = reader;
    if (isBlank(bytes[at] ?? 0)) at = skipBlank(bytes, at, reader.stop);
    const typed = bytes[at] === LESS && !reader.hasNamespaces ? typedAt(bytes, view, at) : undefined;
    if (typed) {
      reader.at = at + typed.start.length;
      if (this.#nesting.home === MEMBER_END && this.#memoAt !== -1) this.#learn(typed);
      this.#enterTyped(typed, typed.name, at);
    } else {
      reader.content.start(reader.at);
      this.#place = UNTYPED;
      this.#inUntyped();
    }
  }

  #learn(typed: Typed): void {
    const { at: to, view } = this.#reader;
    const { slot: hash, isKnown: isWorth } = this.#span;
    const [place, name, from] = [this.#memoPlace, this.#name, this.#memoAt];
    this.#slot = learn(view, { place, name, hash, typed, from, to, previous: this.#slot, previousHash: this.#hash, isWorth });
    this.#hash = hash;
  }

  #inUntyped(): void {
    const reader = this.#reader;
    const { content } = reader;
    const ended = reader.text(END_OF_VALUE, 'value');
    if (ended === 'paused') return content.decodePiece();
    if (ended !== 'open') {
      this.#scalar('string');
      this.#place = this.#nesting.home;
      return;
    }
    const typed = typedNamed(reader.element) ?? this.#misplaced(UNTYPED, reader.name, reader.tagAt);
    if (!content.isBlank) this.#fail(content.at, `text beside ${tag(reader.name)}`);
    this.#enterTyped(typed, reader.name, reader.tagAt);
  }

  #enterTyped(typed: Typed, spelling: string, at: number): void {
    const { type } = typed;
    const reader = this.#reader;
    this.#typed = typed;
    this.#spelling = spelling;
    if (type === 'array' || type === 'struct') {
      this.#place = type === 'struct' ? STRUCT : this.#rules.lenientForms ? ARRAY_OR_NOTHING : ARRAY;
      this.#open(type, at);
      return;
    }
    reader.content.start(reader.at);
    this.#place = type === 'base64' ? BASE64 : SCALAR;
  }

  #inScalar(): void {
    const reader = this.#reader;
    const typed = this.#typed;
    if (!typed || typed.type === 'array' || typed.type === 'struct' || typed.type === 'base64') return;
    if (typed.isNumeric && this.#shortNumber(typed)) return;
    const ended = reader.text(typed.end, this.#spelling);
    if (ended === 'open') this.#misplaced(SCALAR, reader.name, reader.tagAt);
    if (ended === 'paused') {
      if (typed.type === 'string') reader.content.decodePiece();
      return;
    }
    this.#scalar(typed.type);
    this.#place = ended === 'expected' ? this.#nesting.home : VALUE_END;
  }

  // Most numbers are short, and read before it is known where they end.
  #shortNumber({ type, end }: Typed): boolean {
    const reader = this.#reader;
    const { at: from, bytes, length } = reader;
    const { content } = reader;
    const short = this.#short;
    if (content.to > content.at || reader.isEmptyTag || !readShortDecimal(bytes, from, length, short)) return false;
    const { value, isWhole } = short;
    if (short.end - from > this.#rules.limits.maxDigits) return false;
    const isOfType = type === 'double' || (isWhole && (value | 0) === value && (type === 'int' || (short.end === from + 1 && value < 2)));
    if (!isOfType) return false;
    reader.at = short.end;
    if (!reader.takes(end)) {
      reader.at = from;
      return false;
    }
    content.to = short.end;
    this.#place = this.#nesting.home;
    if (type === 'double') this.#sink.scalar('double', value, content);
    else if (type === 'int') this.#sink.scalar('int', value | 0, content);
    else this.#sink.scalar('boolean', value === 1, content);
    return true;
  }

  #scalar(type: Exclude<ScalarType, 'base64'>): void {
    const { content } = this.#reader;
    if (type === 'nil') this.usesNil = true;
    else if (type === 'i8' || type === 'biginteger') this.usesI8 = true;
    this.#sink.scalar(type, readScalar(type, content, this.#rules), content);
  }

  #inBase64(): void {
    const reader = this.#reader;
    const typed = this.#typed;
    if (!typed) return;
    const base64 = (this.#base64 ??= new Base64Element(reader));
    const ended = base64.read(typed.end, this.#spelling);
    if (ended === 'open') this.#misplaced(SCALAR, reader.name, reader.tagAt);
    if (ended === 'paused') return;
    this.#base64 = undefined;
    this.#sink.scalar('base64', base64.finish(), reader.content);
    this.#place = ended === 'expected' ? this.#nesting.home : VALUE_END;
  }

  #misplaced(place: Place, name: string, at: number): never {
    if (/^ex:(serializable|dom)$/.test(name)) this.#fail(at, `${tag(name)} is never read: it carries code or markup, not data`);
    const { kind, element } = place;
    const where = kind === 'outside' ? 'the document' : tag(kind === 'scalar' ? this.#spelling : element);
    return this.#fail(at, `${tag(name)} has no place here: ${where} takes ${expectedAt(place)}`);
  }

  #fail(at: number, reason: string): never {
    return refuse('INVALID_REQUEST', at, reason);
  }
}

/** True for a name that may stand in `<methodName>`. */
export function isMethodName(name: string): boolean {
  return METHOD_NAME.test(name);
}

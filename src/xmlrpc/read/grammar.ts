/** The parser: runs a document through the state machine of the grammar, by expected bytes where possible and by XML tokens otherwise. */
import type { Value } from '../../values/values.ts';
import { LESS, SPACE, isBlank, skipBlank } from '../chars.ts';
import { Base64Element } from './base64.ts';
import { ElementReader } from './element-reader.ts';
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
  expectedIn,
  typedAt,
  typedNamed,
} from './grammar-table.ts';
import type { GrammarState, Transition, Typed } from './grammar-table.ts';
import { FIRST_SLOT, cachedName, findName, learn, recall, slotAfter } from './names.ts';
import type { NameSpan } from './names.ts';
import { Nesting } from './nesting.ts';
import { readShortDecimal } from './numbers.ts';
import type { ShortDecimal } from './numbers.ts';
import { refuse, tag } from './parse-error.ts';
import { readScalar } from './scalars.ts';
import type { ScalarRules, ScalarType } from './scalars.ts';
import { TagBytes } from './tag-bytes.ts';
import type { Content } from './text.ts';

// Per slice, in addition to the byte budget: short values take the longest per byte.
const MAX_STEPS = 16 * 1024;
const METHOD_NAME = /^[A-Za-z0-9_.:/]+$/;
const VALUE_TAG_LENGTH = '<value>'.length;
const VALUE_END_LENGTH = '</value>'.length;
const END_OF_VALUE = new TagBytes('</value>');
const END_OF_NAME = new TagBytes('</name>');
const END_OF_METHOD_NAME = new TagBytes('</methodName>');

/** Receives the values in document order. One implementation builds them, another writes them in canonical form. */
export interface Sink {
  /** A scalar; `content` holds its text until the next call. */
  scalar(type: ScalarType, value: Value, content: Content): void;
  /** An array or struct starts; `at` is the offset of its start tag. */
  open(kind: 'array' | 'struct', at: number): void;
  /** The name of the next member; false if this struct already has it. */
  member(name: string): boolean;
  /** The innermost array or struct ends; `end` is the offset after its end tag. */
  close(end: number): void;
}

/** The state of one parse. */
export class Grammar {
  methodName = '';
  isFault = false;
  usesNil = false;
  usesI8 = false;
  readonly #reader: ElementReader;
  readonly #sink: Sink;
  readonly #rules: ScalarRules;
  #state: GrammarState;
  readonly #nesting: Nesting;
  // The typed element that is open, and its name in this document.
  #typed: Typed | undefined;
  #spelling = '';
  #base64: Base64Element | undefined;
  readonly #span: NameSpan = { to: 0, slot: 0, isKnown: false };
  readonly #short: ShortDecimal = { value: 0, isWhole: true, end: 0 };
  // The last memo, and where the bytes for the next one start; -1 if they cannot be kept.
  #slot = FIRST_SLOT;
  #hash = 0;
  #memoAt = -1;
  #memoState = DOCUMENT_END;
  #name = '';
  #isDone = false;

  constructor(start: GrammarState, bytes: Buffer, sink: Sink, rules: ScalarRules) {
    this.#state = start;
    this.#reader = new ElementReader(bytes, rules.limits);
    this.#sink = sink;
    this.#rules = rules;
    this.#nesting = new Nesting(rules.limits);
  }

  /**
   * True if the document binds a prefix other than `ex` to the extensions, so that the text of a struct may lose its meaning outside the
   * document.
   */
  get usesForeignPrefix(): boolean {
    return this.#reader.usesForeignPrefix;
  }

  /** Continues for about `budget` bytes, or fewer if they hold many values; true once the document is complete. */
  read(budget = Infinity): boolean {
    const reader = this.#reader;
    reader.stop = Math.min(reader.bytes.length, reader.at + budget);
    for (let steps = 0; steps < MAX_STEPS && !this.#isDone && !reader.isPaused; steps++) this.#step(this.#state);
    return this.#isDone;
  }

  #step(state: GrammarState): void {
    switch (state.kind) {
      case 'elements':
        return this.#elements(state);
      case 'name':
        return this.#inName(state);
      case 'value':
        return this.#inValue();
      case 'scalar':
        return this.#inScalar();
      case 'untyped':
        return this.#inUntyped();
      case 'base64':
        return this.#inBase64();
      case 'methodName':
        return this.#inMethodName(state);
      case 'outside':
        return this.#outside(state);
    }
  }

  #elements(state: GrammarState): void {
    const reader = this.#reader;
    if (reader.isInSection) return this.#token(state);
    if ((reader.bytes[reader.at] ?? 0) <= SPACE) reader.at = skipBlank(reader.bytes, reader.at, reader.stop);
    if (state.fused.length > 0 && this.#recalls(state)) return;
    if (!this.#takesExpected(state)) this.#token(state);
  }

  // Where a member may start, skips to the content of its value if these bytes were seen before.
  #recalls(state: GrammarState): boolean {
    const reader = this.#reader;
    const slot = slotAfter(this.#slot);
    const memo = recall(slot, state, reader.view, reader.at, reader.length);
    this.#memoAt = reader.at;
    this.#memoState = state;
    if (!memo || reader.hasNamespaces) return false;
    // A member that has to be refused is read the slow way, which finds its position.
    if (!this.#nesting.canAdd(memo.name) || !this.#sink.member(memo.name)) return false;
    this.#nesting.add(MEMBER_END);
    this.#slot = slot;
    this.#hash = memo.hash;
    reader.at += memo.length;
    this.#enterTyped(memo.typed, memo.typed.name, reader.at - memo.typed.start.length);
    if (this.#state === SCALAR) this.#inScalar();
    return true;
  }

  #takesExpected(state: GrammarState): boolean {
    const reader = this.#reader;
    const { fused, transitions, end, opening, closing } = state;
    // A struct that is the whole document has no value around it.
    if (closing && !this.#nesting.isOutermost && reader.takes(closing)) return this.#endStruct();
    if (opening && reader.takes(opening)) return this.#startStruct(state, reader.at - opening.length);
    for (const transition of fused) {
      if (reader.takes(transition.bytes)) return this.#enter(transition, reader.at - VALUE_TAG_LENGTH);
    }
    for (const transition of transitions) {
      if (reader.takes(transition.bytes)) return this.#enter(transition, reader.at - transition.bytes.length);
    }
    return end !== undefined && reader.takes(end.bytes) && this.#leave(end);
  }

  // Where only elements may occur, by the tokens of the XML layer.
  #token(state: GrammarState): void {
    const reader = this.#reader;
    const { element, end } = state;
    this.#memoAt = -1;
    switch (reader.token(element)) {
      case 'open':
        this.#enter(this.#transitionFor(state), reader.tagAt);
        break;
      case 'close':
        if (!end) this.#fail(reader.from, `${tag(element)} ends without ${expectedIn(state)}`);
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

  #outside(state: GrammarState): void {
    const reader = this.#reader;
    const token = reader.tokenOutside(state === DOCUMENT_END);
    if (token === 'open') this.#enter(this.#transitionFor(state), reader.tagAt);
    else if (token === 'end') this.#isDone = true;
  }

  #transitionFor(state: GrammarState): Transition {
    const { element, name, tagAt } = this.#reader;
    for (const transition of state.transitions) if (transition.name === element) return transition;
    return this.#misplaced(state, name, tagAt);
  }

  // After a start tag; `at` is its offset.
  #enter({ to, afterValue }: Transition, at: number): true {
    if (!to) return true;
    this.#state = to;
    if (afterValue) this.#nesting.afterValue = afterValue;
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
  #leave({ to }: Transition): true {
    if (to) this.#state = to;
    else if (this.#state === VALUE_END) this.#state = this.#nesting.afterValue;
    else this.#close(this.#reader.at);
    return true;
  }

  // The value that starts at `at`, and the struct in it.
  #startStruct(afterValue: GrammarState, at: number): true {
    this.#nesting.value(at);
    this.#nesting.afterValue = afterValue;
    this.#state = STRUCT;
    this.#open('struct', at + VALUE_TAG_LENGTH);
    return true;
  }

  // The struct, and the value around it.
  #endStruct(): true {
    this.#close(this.#reader.at - VALUE_END_LENGTH);
    this.#state = this.#nesting.afterValue;
    return true;
  }

  #open(kind: 'array' | 'struct', at: number): void {
    this.#nesting.open(at);
    this.#sink.open(kind, at);
  }

  #close(end: number): void {
    this.#state = this.#nesting.close() === DOCUMENT_END ? DOCUMENT_END : VALUE_END;
    this.#sink.close(end);
  }

  #inName(state: GrammarState): void {
    const reader = this.#reader;
    const { bytes, at: from, content } = reader;
    const [whole] = state.fused;
    const isFresh = content.isContiguous && content.length === 0 && !reader.isEmptyTag;
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
    const ended = reader.text(END_OF_NAME, state.element);
    if (ended === 'open') this.#misplaced(state, reader.name, reader.tagAt);
    if (ended === 'paused') return;
    this.#member(content.boundedText(this.#rules.limits.maxNameLength), content.at);
    if (state.end) this.#leave(state.end);
  }

  #member(name: string, at: number): void {
    this.#nesting.member(name, at);
    if (!this.#sink.member(name)) this.#fail(at, 'this struct already has a member with this name');
  }

  #inMethodName(state: GrammarState): void {
    const reader = this.#reader;
    const { content } = reader;
    const ended = reader.text(END_OF_METHOD_NAME, state.element);
    if (ended === 'open') this.#misplaced(state, reader.name, reader.tagAt);
    if (ended === 'paused') return;
    const limit = this.#rules.limits.maxNameLength;
    const name = content.boundedText(limit);
    if (name.length > limit) refuse('LIMIT', content.at, `the method name is longer than ${limit} characters`);
    if (!isMethodName(name)) this.#fail(content.at, 'a method name consists of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
    this.methodName = name;
    if (state.end) this.#leave(state.end);
  }

  // Right after `<value>`: recognises a typed child in its usual spelling, also after white space.
  #inValue(): void {
    const reader = this.#reader;
    const { bytes, view } = reader;
    let { at } = reader;
    if (isBlank(bytes[at] ?? 0)) at = skipBlank(bytes, at, reader.stop);
    const typed = bytes[at] === LESS && !reader.hasNamespaces ? typedAt(bytes, view, at) : undefined;
    if (typed) {
      reader.at = at + typed.start.length;
      if (this.#nesting.afterValue === MEMBER_END && this.#memoAt !== -1) this.#learn(typed);
      this.#enterTyped(typed, typed.name, at);
    } else {
      reader.content.start(reader.at);
      this.#state = UNTYPED;
      this.#inUntyped();
    }
  }

  #learn(typed: Typed): void {
    const { at: to, view } = this.#reader;
    const { slot: hash, isKnown: isWorthKeeping } = this.#span;
    const [state, name, from] = [this.#memoState, this.#name, this.#memoAt];
    this.#slot = learn(view, { state, name, hash, typed, from, to, previous: this.#slot, previousHash: this.#hash, isWorthKeeping });
    this.#hash = hash;
  }

  #inUntyped(): void {
    const reader = this.#reader;
    const { content } = reader;
    const ended = reader.text(END_OF_VALUE, 'value');
    if (ended === 'paused') return content.decodePiece();
    if (ended !== 'open') {
      this.#scalar('string');
      this.#state = this.#nesting.afterValue;
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
      this.#state = type === 'struct' ? STRUCT : this.#rules.leniency === 'none' ? ARRAY : ARRAY_OR_NOTHING;
      this.#open(type, at);
      return;
    }
    reader.content.start(reader.at);
    this.#state = type === 'base64' ? BASE64 : SCALAR;
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
    this.#state = ended === 'expected' ? this.#nesting.afterValue : VALUE_END;
  }

  // Most numbers are short, and are read without a search for their end first.
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
    this.#state = this.#nesting.afterValue;
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
    this.#state = ended === 'expected' ? this.#nesting.afterValue : VALUE_END;
  }

  #misplaced(state: GrammarState, name: string, at: number): never {
    if (/^ex:(serializable|dom)$/.test(name)) this.#fail(at, `${tag(name)} is not supported: it carries code or markup, not data`);
    const { kind, element } = state;
    const where = kind === 'outside' ? 'the document' : tag(kind === 'scalar' ? this.#spelling : element);
    return this.#fail(at, `${tag(name)} is not allowed here: ${where} takes ${expectedIn(state)}`);
  }

  #fail(at: number, reason: string): never {
    return refuse('INVALID_REQUEST', at, reason);
  }
}

/** True for a name that may occur in `<methodName>`. */
export function isMethodName(name: string): boolean {
  return METHOD_NAME.test(name);
}

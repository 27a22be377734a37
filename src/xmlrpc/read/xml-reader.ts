/** The XML layer: splits a document into tokens and refuses what is not well-formed. It does not know what the elements mean. */
import {
  AMPERSAND,
  APOSTROPHE,
  BANG,
  BRACKET,
  EQUALS,
  GREATER,
  LESS,
  NONCHARACTER,
  QUESTION,
  QUOTE,
  SLASH,
  SPACE,
  illegalAt,
  isBlank,
  isIllegalAt,
  nameEnd,
  skipBlank,
} from '../chars.ts';
import { declarationEnd } from './declaration.ts';
import type { XmlRpcLimits } from '../options.ts';
import { readReference } from './reference.ts';
import { refuse, tag } from './parse-error.ts';

/** The kinds of tokens, each with the fields of the reader that describe it. */
export type Token =
  /** A start tag: `name`, `attributes`, `tagAt`. */
  | 'open'
  /** An end tag at `from`, or the end of an empty-element tag that starts at `from`. */
  | 'close'
  /** Character data `from..to`, with line ends as received. */
  | 'text'
  /** A reference at `from` to the code point `reference.point`. */
  | 'reference'
  /** A comment, a processing instruction, or white space outside the root element. */
  | 'nothing'
  /** The document ends, after its root element. */
  | 'end';

const NO_ATTRIBUTES: readonly string[] = [];
// UTF-8 takes three bytes for a UTF-16 unit at most.
const UNIT_BYTES = 3;
// Bytes of a tag with its white space and attributes, which is read without a pause: hundreds of times what namespaces need.
const MAX_TAG_BYTES = 64 * 1024;

// One entry per byte value: 1 for bytes of text that need no further check.
const PLAIN = new Uint8Array(256).fill(1, SPACE);
for (const byte of [LESS, AMPERSAND, BRACKET, NONCHARACTER]) PLAIN[byte] = 0;

// An open comment, CDATA section or processing instruction.
interface Section {
  readonly at: number;
  readonly terminator: '--' | ']]>' | '?>';
  readonly what: string;
}

/** Reads one document of valid UTF-8 from left to right. End tags are compared with the open element that the caller names. */
export class XmlReader {
  /** The current offset. In an empty-element tag it stays at the slash. */
  at: number;
  from = 0;
  to = 0;
  tagAt = 0;
  name = '';
  /** Alternating names and raw values. */
  attributes = NO_ATTRIBUTES;
  /** True between the two tokens of an empty-element tag. */
  isEmptyTag = false;
  readonly reference = { point: 0, end: 0 };
  /** Texts and comments are split at this offset, so that long ones can be read in slices. */
  stop: number;
  #section: Section | undefined;

  constructor(
    readonly bytes: Buffer,
    private readonly limits: Pick<XmlRpcLimits, 'maxAttributes' | 'maxNameLength'>,
  ) {
    this.at = declarationEnd(bytes);
    this.stop = bytes.length;
  }

  /** True if the slice ended inside a comment, CDATA section or processing instruction, where nothing is a tag. */
  get isInSection(): boolean {
    return this.#section !== undefined;
  }

  /** The next token inside the element `open`. */
  next(open: string): Token {
    if (this.isEmptyTag) return this.#emptyEnd();
    if (this.#section) return this.#inSection(this.#section);
    const { bytes, at } = this;
    if (at >= bytes.length) return refuse('NOT_WELL_FORMED', at, `the document ends inside ${tag(open)}`);
    const byte = bytes[at];
    if (byte === AMPERSAND) return this.#reference();
    if (byte !== LESS) return this.#text();
    if (bytes[at + 1] === SLASH) return this.#close(open);
    return this.#markup();
  }

  /** The next token outside the root element: 'open', 'nothing' or 'end'. */
  nextOutside(isRootSeen: boolean): Token {
    if (this.#section) return this.#inSection(this.#section);
    const { bytes } = this;
    const at = skipBlank(bytes, this.at, this.stop);
    this.at = at;
    if (at === this.stop && at < bytes.length) return 'nothing';
    if (at === bytes.length) {
      return isRootSeen ? 'end' : refuse('NOT_WELL_FORMED', at, 'the document has no element');
    }
    if (bytes[at] !== LESS) refuse('NOT_WELL_FORMED', at, `text ${isRootSeen ? 'after' : 'before'} the root element`);
    if (bytes[at + 1] === SLASH) refuse('NOT_WELL_FORMED', at, 'an end tag without a start tag');
    if (this.#isAt('<![CDATA[', at)) refuse('NOT_WELL_FORMED', at, 'a CDATA section outside the root element');
    const token = this.#markup();
    if (token === 'open' && isRootSeen) refuse('NOT_WELL_FORMED', at, `a second root element, ${tag(this.name)}`);
    return token;
  }

  #markup(): Token {
    const next = this.bytes[this.at + 1];
    if (next === BANG) return this.#declared();
    return next === QUESTION ? this.#instruction() : this.#open();
  }

  #open(): Token {
    const { bytes, at } = this;
    this.tagAt = at;
    this.name = this.#name(at + 1, 'an element');
    this.attributes = bytes[this.at] === GREATER ? NO_ATTRIBUTES : this.#attributes(this.name);
    if (bytes[this.at] === GREATER) this.at++;
    else this.isEmptyTag = true;
    return 'open';
  }

  #emptyEnd(): Token {
    this.isEmptyTag = false;
    this.at += 2;
    this.from = this.tagAt;
    return 'close';
  }

  // Ends at `>` or `/>`.
  #attributes(element: string): readonly string[] {
    const { bytes, limits } = this;
    const found: string[] = [];
    for (;;) {
      const from = this.#skipInTag(this.tagAt, this.at);
      const byte = bytes[from];
      const isEnd = byte === GREATER || (byte === SLASH && bytes[from + 1] === GREATER);
      if (!isEnd && from === this.at) refuse('NOT_WELL_FORMED', from, `the tag ${tag(element)} is malformed`);
      this.at = from;
      if (isEnd) return found;
      if (found.length >= 2 * limits.maxAttributes) refuse('LIMIT', from, `more than ${limits.maxAttributes} attributes`);
      const name = this.#name(from, 'an attribute');
      for (let i = 0; i < found.length; i += 2) {
        if (found[i] === name) refuse('NOT_WELL_FORMED', from, `the attribute ${tag(name)} is repeated`);
      }
      found.push(name, this.#attributeValue());
    }
  }

  // ` = "…"`. The value is returned raw, since only the URIs of namespaces are ever used.
  #attributeValue(): string {
    const { bytes } = this;
    const equals = this.#skipInTag(this.tagAt, this.at);
    const from = this.#skipInTag(this.tagAt, equals + 1);
    const quote = bytes[from] ?? 0;
    if (bytes[equals] !== EQUALS || (quote !== QUOTE && quote !== APOSTROPHE)) {
      refuse('NOT_WELL_FORMED', equals, 'an attribute needs a quoted value');
    }
    const end = bytes.indexOf(quote, from + 1);
    if (end === -1) refuse('NOT_WELL_FORMED', from, 'an attribute value is not closed');
    this.#boundTag(this.tagAt, end);
    for (let at = from + 1; at < end; at++) {
      const byte = bytes[at];
      if (byte === LESS || isIllegalAt(bytes, at)) {
        refuse('NOT_WELL_FORMED', at, 'a character that is not allowed in an attribute value');
      }
      if (byte === AMPERSAND) {
        readReference(bytes, at, this.reference);
        at = this.reference.end - 1;
      }
    }
    this.at = end + 1;
    return bytes.toString('utf8', from + 1, end);
  }

  #close(open: string): Token {
    const { bytes, at } = this;
    this.from = at;
    const end = nameEnd(bytes, at + 2, Math.min(bytes.length, at + 2 + this.limits.maxNameLength * UNIT_BYTES));
    const after = this.#skipInTag(at, end);
    if (bytes[after] !== GREATER || bytes.toString('utf8', at + 2, end) !== open) {
      refuse('NOT_WELL_FORMED', at, `${tag(`/${open}`)} is missing here`);
    }
    this.at = after + 1;
    return 'close';
  }

  // The offset after the white space at `from` in the tag at `tagAt`.
  #skipInTag(tagAt: number, from: number): number {
    const { bytes } = this;
    if (!isBlank(bytes[from] ?? 0)) return from;
    const after = skipBlank(bytes, from, Math.min(bytes.length, tagAt + MAX_TAG_BYTES));
    this.#boundTag(tagAt, after);
    return after;
  }

  #boundTag(tagAt: number, at: number): void {
    if (at - tagAt >= MAX_TAG_BYTES) refuse('LIMIT', tagAt, `a tag is longer than ${MAX_TAG_BYTES} bytes`);
  }

  // `<!--…-->`, `<![CDATA[…]]>`, or `<!DOCTYPE …>`, which is refused.
  #declared(): Token {
    const { at } = this;
    if (this.#isAt('<!--', at)) return this.#enterSection(at + 4, '--', 'a comment');
    if (this.#isAt('<![CDATA[', at)) return this.#enterSection(at + 9, ']]>', 'a CDATA section');
    const isDoctype = this.#isAt('<!DOCTYPE', at);
    return refuse('NOT_WELL_FORMED', at, isDoctype ? 'document type declarations are not supported' : 'unknown markup');
  }

  // `<?target …?>`; the target `xml` is reserved in any spelling.
  #instruction(): Token {
    const { bytes, at } = this;
    const target = this.#name(at + 2, 'a processing instruction');
    if (target.length === 3 && target.toLowerCase() === 'xml') {
      refuse('NOT_WELL_FORMED', at, 'an XML declaration is only allowed at the very start of the document');
    }
    const after = this.at;
    this.at = at;
    const isSeparated = isBlank(bytes[after] ?? 0) || this.#isAt('?>', after) || after === bytes.length;
    if (!isSeparated) refuse('NOT_WELL_FORMED', after, 'a malformed processing instruction');
    return this.#enterSection(after, '?>', 'a processing instruction');
  }

  #enterSection(from: number, terminator: Section['terminator'], what: string): Token {
    this.#section = { at: this.at, terminator, what };
    this.at = from;
    return this.#inSection(this.#section);
  }

  // Continues to the end of the section or of the slice. The content of a CDATA section is text.
  #inSection({ at, terminator, what }: Section): Token {
    const { bytes, at: from } = this;
    const limit = Math.min(bytes.length, this.stop + terminator.length);
    const found = limit > from ? bytes.subarray(from, limit).indexOf(terminator, 0, 'latin1') : -1;
    const to = found === -1 ? Math.max(from, Math.min(bytes.length, this.stop)) : from + found;
    const illegal = illegalAt(bytes, from, to);
    if (illegal !== -1) refuse('NOT_WELL_FORMED', illegal, 'a character that XML does not allow');
    if (found === -1 && to === bytes.length) refuse('NOT_WELL_FORMED', at, `${what} is not closed`);
    this.from = from;
    this.to = to;
    this.at = to;
    if (found !== -1) this.#endSection(terminator);
    return terminator === ']]>' && to > from ? 'text' : 'nothing';
  }

  #endSection(terminator: Section['terminator']): void {
    this.#section = undefined;
    this.at += terminator.length;
    if (terminator !== '--') return;
    if (this.bytes[this.at] !== GREATER) refuse('NOT_WELL_FORMED', this.at - 2, '"--" inside a comment');
    this.at++;
  }

  #text(): Token {
    const { bytes, stop } = this;
    this.from = this.at;
    let at = this.at;
    for (; at < stop; at++) {
      const byte = bytes[at] ?? 0;
      if (PLAIN[byte] === 1) continue;
      if (byte === LESS || byte === AMPERSAND) break;
      if (byte === BRACKET && this.#isAt(']]>', at)) refuse('NOT_WELL_FORMED', at, '"]]>" in text');
      if (isIllegalAt(bytes, at)) refuse('NOT_WELL_FORMED', at, 'a character that XML does not allow');
    }
    this.to = at;
    this.at = at;
    return 'text';
  }

  #reference(): Token {
    this.from = this.at;
    readReference(this.bytes, this.at, this.reference);
    this.at = this.reference.end;
    return 'reference';
  }

  #name(from: number, what: string): string {
    const { bytes, limits } = this;
    const end = nameEnd(bytes, from, Math.min(bytes.length, from + (limits.maxNameLength + 1) * UNIT_BYTES));
    if (end === from) refuse('NOT_WELL_FORMED', from, `the name of ${what} is missing or malformed`);
    const name = bytes.toString('utf8', from, end);
    if (name.length > limits.maxNameLength) refuse('LIMIT', from, `a name is longer than ${limits.maxNameLength} characters`);
    this.at = end;
    return name;
  }

  #isAt(text: string, at: number): boolean {
    for (let i = 0; i < text.length; i++) if (this.bytes[at + i] !== text.charCodeAt(i)) return false;
    return true;
  }
}

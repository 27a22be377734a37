/** The XML layer: reads a document once from left to right, refuses what is not well-formed, and tells a handler what it saw. */
import {
  AMPERSAND,
  BANG,
  BRACKET,
  CR,
  EQUALS,
  GREATER,
  LESS,
  APOSTROPHE,
  QUESTION,
  QUOTE,
  SLASH,
  charLength,
  illegalAt,
  isBlankUnit,
  nameEnd,
  skipBlank,
} from './chars.ts';
import { declarationEnd } from './declaration.ts';
import { elementName } from './element-names.ts';
import type { XmlRpcLimits } from './limits.ts';
import { readReference } from './reference.ts';
import { refuse, tag } from './refuse.ts';

/** What a scan tells; offsets are UTF-16 units of the source. What throws here ends the scan. */
export interface Handler {
  /** A start tag at `at`; `attributes` are names and raw values by turns. */
  open(name: string, attributes: readonly string[], at: number): void;
  /** Character data from..to, as it stands in the source; with `hasCr`, its line ends are still to be normalised. */
  run(from: number, to: number, hasCr: boolean): void;
  /** What a reference at `at` stands for. */
  text(piece: string, at: number): void;
  /** An end tag from..to, or the end of an empty-element tag. */
  close(from: number, to: number): void;
}

/** Scans one whole document. */
export function scan(source: string, handler: Handler, limits: Readonly<XmlRpcLimits>): void {
  new Scanner(source, handler, limits).document();
}

const NO_ATTRIBUTES: readonly string[] = [];
const MARKS = stopsAt('<&]\r');

class Scanner {
  readonly #source: string;
  readonly #handler: Handler;
  readonly #limits: Readonly<XmlRpcLimits>;
  readonly #open: string[] = [];
  #at = 0;
  #isRootSeen = false;

  constructor(source: string, handler: Handler, limits: Readonly<XmlRpcLimits>) {
    this.#source = source;
    this.#handler = handler;
    this.#limits = limits;
  }

  document(): void {
    const source = this.#source;
    this.#at = declarationEnd(source);
    while (this.#at < source.length) {
      if (source.charCodeAt(this.#at) === LESS) this.#markup();
      else if (this.#open.length > 0) this.#characters();
      else this.#outside();
    }
    const unclosed = this.#open.at(-1);
    if (unclosed !== undefined) this.#fail(this.#at, `the document ends inside ${tag(unclosed)}`);
    if (!this.#isRootSeen) this.#fail(this.#at, 'the document has no element');
  }

  #markup(): void {
    const next = this.#source.charCodeAt(this.#at + 1);
    if (next === SLASH) this.#endTag();
    else if (next === BANG) this.#declared();
    else if (next === QUESTION) this.#instruction();
    else this.#startTag();
  }

  #startTag(): void {
    const source = this.#source;
    const from = this.#at;
    const name = this.#name(from + 1, 'an element');
    if (this.#isRootSeen && this.#open.length === 0) this.#fail(from, `a second root element, ${tag(name)}`);
    this.#isRootSeen = true;
    const attributes = source.charCodeAt(this.#at) === GREATER ? NO_ATTRIBUTES : this.#attributes(name);
    this.#handler.open(name, attributes, from);
    if (source.charCodeAt(this.#at) === GREATER) {
      this.#at++;
      this.#open.push(name);
    } else {
      this.#at += 2;
      this.#handler.close(from, this.#at);
    }
  }

  // Ends at `>` or `/>`.
  #attributes(element: string): readonly string[] {
    const source = this.#source;
    const found: string[] = [];
    for (;;) {
      const from = skipBlank(source, this.#at, source.length);
      const unit = source.charCodeAt(from);
      const isEnd = unit === GREATER || (unit === SLASH && source.charCodeAt(from + 1) === GREATER);
      if (!isEnd && from === this.#at) this.#fail(from, `the tag ${tag(element)} is malformed`);
      this.#at = from;
      if (isEnd) return found;
      if (found.length >= 2 * this.#limits.maxAttributes) this.#exceed(from, `more than ${this.#limits.maxAttributes} attributes`);
      const name = this.#name(from, 'an attribute');
      for (let i = 0; i < found.length; i += 2) if (found[i] === name) this.#fail(from, `the attribute ${tag(name)} is repeated`);
      found.push(name, this.#attributeValue());
    }
  }

  // ` = "…"`; the value comes back raw, for only a namespace's name is ever looked at.
  #attributeValue(): string {
    const source = this.#source;
    const equals = skipBlank(source, this.#at, source.length);
    const from = skipBlank(source, equals + 1, source.length);
    const quote = source.charCodeAt(from);
    if (source.charCodeAt(equals) !== EQUALS || (quote !== QUOTE && quote !== APOSTROPHE)) {
      this.#fail(equals, 'an attribute needs a quoted value');
    }
    const end = source.indexOf(quote === QUOTE ? '"' : "'", from + 1);
    if (end === -1) this.#fail(from, 'an attribute value is not closed');
    for (let at = from + 1; at < end;) {
      const unit = source.charCodeAt(at);
      const length = charLength(source, at);
      if (unit === LESS || length === 0) this.#fail(at, 'a character that may not stand in an attribute value');
      at = unit === AMPERSAND ? readReference(source, at).end : at + length;
    }
    this.#at = end + 1;
    return source.slice(from + 1, end);
  }

  #endTag(): void {
    const source = this.#source;
    const from = this.#at;
    const name = this.#open.pop();
    if (name === undefined) this.#fail(from, 'an end tag that closes nothing');
    let end = from + 2 + name.length;
    if (source.charCodeAt(end) !== GREATER) end = skipBlank(source, end, source.length);
    if (source.charCodeAt(end) !== GREATER || !source.startsWith(name, from + 2)) {
      this.#fail(from, `${tag(`/${name}`)} is missing here`);
    }
    this.#at = end + 1;
    this.#handler.close(from, this.#at);
  }

  // `<!--…-->`, `<![CDATA[…]]>`, and what is refused: `<!DOCTYPE …>`.
  #declared(): void {
    const source = this.#source;
    const from = this.#at;
    if (source.startsWith('<!--', from)) {
      const end = this.#section(from + 4, '--', 'a comment');
      if (source.charCodeAt(end) !== GREATER) this.#fail(end - 2, '"--" inside a comment');
      this.#at = end + 1;
    } else if (source.startsWith('<![CDATA[', from)) {
      if (this.#open.length === 0) this.#fail(from, 'a CDATA section outside the root element');
      this.#at = this.#section(from + 9, ']]>', 'a CDATA section');
      const isEmpty = this.#at === from + 12;
      if (!isEmpty) this.#handler.run(from + 9, this.#at - 3, true);
    } else if (source.startsWith('<!DOCTYPE', from)) {
      this.#fail(from, 'a document type declaration is never read');
    } else {
      this.#fail(from, 'unknown markup');
    }
  }

  // `<?target …?>`; any spelling of the target `xml` is reserved.
  #instruction(): void {
    const source = this.#source;
    const from = this.#at;
    const target = this.#name(from + 2, 'a processing instruction');
    if (target.length === 3 && target.toLowerCase() === 'xml') {
      this.#fail(from, 'an XML declaration may only stand at the very start of the document');
    }
    const after = this.#at;
    this.#at = from;
    const end = this.#section(after, '?>', 'a processing instruction');
    if (end > after + 2 && !isBlankUnit(source.charCodeAt(after))) this.#fail(after, 'a malformed processing instruction');
    this.#at = end;
  }

  // The offset after `terminator`, for markup that starts where the scan is; everything before it may stand in XML.
  #section(from: number, terminator: string, what: string): number {
    const end = this.#source.indexOf(terminator, from);
    if (end === -1) this.#fail(this.#at, `${what} is not closed`);
    const illegal = illegalAt(this.#source, from, end);
    if (illegal !== -1) this.#fail(illegal, 'a character that XML does not allow');
    return end + terminator.length;
  }

  // The hot path: as far as the next `<` or `&`, in one run.
  #characters(): void {
    const source = this.#source;
    const length = source.length;
    const from = this.#at;
    let hasCr = false;
    let at = from;
    for (; at < length; at++) {
      const unit = source.charCodeAt(at);
      if (unit < 128) {
        if (MARKS[unit] === 0) continue;
        if (unit === LESS || unit === AMPERSAND) break;
        if (unit === CR) hasCr = true;
        else if (unit !== BRACKET) this.#fail(at, 'a character that XML does not allow');
        else if (source.startsWith(']]>', at)) this.#fail(at, '"]]>" in text');
      } else if (unit >= 0xd800) {
        const units = charLength(source, at);
        if (units === 0) this.#fail(at, 'a character that XML does not allow');
        at += units - 1;
      }
    }
    if (at > from) this.#handler.run(from, at, hasCr);
    this.#at = at;
    if (source.charCodeAt(at) === AMPERSAND) this.#reference();
  }

  #reference(): void {
    const { text, end } = readReference(this.#source, this.#at);
    this.#handler.text(text, this.#at);
    this.#at = end;
  }

  #outside(): void {
    this.#at = skipBlank(this.#source, this.#at, this.#source.length);
    if (this.#at < this.#source.length && this.#source.charCodeAt(this.#at) !== LESS) {
      this.#fail(this.#at, `text ${this.#isRootSeen ? 'after' : 'before'} the root element`);
    }
  }

  #name(from: number, what: string): string {
    const limit = this.#limits.maxNameLength;
    const end = nameEnd(this.#source, from, Math.min(this.#source.length, from + limit + 1));
    if (end === from) this.#fail(from, `the name of ${what} is missing or malformed`);
    if (end - from > limit) this.#exceed(from, `a name is longer than ${limit} characters`);
    this.#at = end;
    return elementName(this.#source, from, end);
  }

  #fail(at: number, reason: string): never {
    return refuse('NOT_WELL_FORMED', this.#source, at, reason);
  }

  #exceed(at: number, reason: string): never {
    return refuse('LIMIT', this.#source, at, reason);
  }
}

// 1 for every ASCII character at which the hot path has to look twice.
function stopsAt(marks: string): Uint8Array {
  const table = new Uint8Array(128);
  for (let unit = 0; unit < 128; unit++) {
    const isIllegal = charLength(String.fromCharCode(unit), 0) === 0;
    if (isIllegal || marks.includes(String.fromCharCode(unit))) table[unit] = 1;
  }
  return table;
}

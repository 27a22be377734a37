/** The grammar machine: holds what a scan sees against the grammar's table and tells a sink which values stand there. */
import { skipBlank } from './chars.ts';
import type { Action, Rule } from './grammar-table.ts';
import type { XmlRpcLimits } from './limits.ts';
import { Namespaces } from './namespaces.ts';
import { refuse, tag } from './refuse.ts';
import type { Fail } from './refuse.ts';
import type { Handler } from './scan.ts';
import type { ScalarType } from './scalars.ts';

/** What becomes of the values; one sink builds them, one writes them canonically. */
export interface Sink {
  /** A scalar; the sink reads its text and calls `fail` if it is none of its type. */
  scalar(type: ScalarType, text: string, fail: Fail): void;
  /** An array or struct starts; `at` is the offset of its start tag. */
  open(kind: 'array' | 'struct', at: number): void;
  /** The name of the member that comes; false if this struct has it already. */
  member(name: string): boolean;
  /** The innermost array or struct ends; `end` is the offset after its end tag. */
  close(end: number): void;
}

const METHOD_NAME = /^[A-Za-z0-9_.:/]+$/;

/** One document's way through the grammar. */
export class Grammar implements Handler {
  methodName = '';
  isFault = false;
  usesNil = false;
  usesI8 = false;
  readonly #source: string;
  readonly #sink: Sink;
  readonly #limits: Readonly<XmlRpcLimits>;
  #rule: Rule;
  readonly #after: Rule[] = [];
  #namespaces: Namespaces | undefined;
  // The text of the open element so far, and where it starts.
  #text = '';
  #textAt = -1;
  #depth = 0;
  #values = 0;
  // Members so far, one number per open struct.
  readonly #members: number[] = [];
  readonly #failScalar: Fail;

  constructor(start: Rule, source: string, sink: Sink, limits: Readonly<XmlRpcLimits>) {
    this.#rule = start;
    this.#source = source;
    this.#sink = sink;
    this.#limits = limits;
    this.#failScalar = (reason, code = 'INVALID_REQUEST') => refuse(code, source, this.#textAt, reason);
  }

  /** True if a struct's text may mean something else outside this document. */
  get isEntangled(): boolean {
    return this.#namespaces?.hasForeignPrefix === true;
  }

  open(name: string, attributes: readonly string[], at: number): void {
    const rule = this.#rule;
    const known = attributes.length > 0 || this.#namespaces ? this.#resolve(name, attributes) : name;
    const step = rule.steps.get(known);
    if (step === undefined) this.#misplaced(name, at);
    if (rule.hasText && skipBlank(this.#text, 0, this.#text.length) < this.#text.length) {
      this.#fail(this.#textAt, `text beside ${tag(name)}`);
    }
    this.#after.push(step.then);
    this.#rule = step.inside;
    this.#text = '';
    this.#textAt = -1;
    if (step.inside.onOpen !== 'nothing') this.#enter(step.inside.onOpen, at);
  }

  run(from: number, to: number, hasCr: boolean): void {
    if (!this.#rule.hasText) {
      const at = skipBlank(this.#source, from, to);
      if (at < to) this.#fail(at, `text in ${tag(this.#rule.element)}, which takes elements only`);
      return;
    }
    const piece = this.#source.slice(from, to);
    // 2.11 End-of-Line Handling; `&#13;` comes by text() and stays
    this.text(hasCr ? piece.replace(/\r\n?/g, '\n') : piece, from);
  }

  text(piece: string, at: number): void {
    if (this.#rule.hasText) {
      if (this.#textAt === -1) this.#textAt = at;
      this.#text = this.#text === '' ? piece : this.#text + piece;
    } else if (skipBlank(piece, 0, piece.length) < piece.length) {
      this.#fail(at, `text in ${tag(this.#rule.element)}, which takes elements only`);
    }
  }

  close(from: number, to: number): void {
    const rule = this.#rule;
    if (!rule.mayEnd) this.#fail(from, `${tag(rule.element)} ends without ${expected(rule)}`);
    if (rule.onClose !== 'nothing') {
      if (this.#textAt === -1) this.#textAt = from;
      this.#leave(rule, from, to);
    }
    this.#namespaces?.leave();
    this.#text = '';
    this.#textAt = -1;
    const after = this.#after.pop();
    if (after) this.#rule = after;
  }

  #enter(action: Action, at: number): void {
    if (action === 'value') {
      if (++this.#values > this.#limits.maxValues) this.#exceed(at, `more than ${this.#limits.maxValues} values`);
    } else if (action === 'fault') {
      this.isFault = true;
    } else if (action === 'array' || action === 'struct') {
      if (++this.#depth > this.#limits.maxDepth) this.#exceed(at, `arrays and structs deeper than ${this.#limits.maxDepth}`);
      if (action === 'struct') this.#members.push(0);
      this.#sink.open(action, at);
    }
  }

  #leave(rule: Rule, from: number, to: number): void {
    const action = rule.onClose;
    if (action === 'scalar') this.#scalar(rule);
    else if (action === 'name') this.#member(from);
    else if (action === 'methodName') this.#method();
    else if (action === 'array' || action === 'struct') {
      this.#depth--;
      if (action === 'struct') this.#members.pop();
      this.#sink.close(to);
    }
  }

  #scalar(rule: Rule): void {
    const type = rule.scalar;
    if (type === 'nil') this.usesNil = true;
    else if (type === 'i8' || type === 'biginteger') this.usesI8 = true;
    this.#sink.scalar(type, this.#text, this.#failScalar);
  }

  #member(from: number): void {
    const name = this.#text;
    const { maxMembers, maxNameLength } = this.#limits;
    const count = (this.#members.pop() ?? 0) + 1;
    this.#members.push(count);
    if (count > maxMembers) this.#exceed(from, `more than ${maxMembers} members in one struct`);
    if (name.length > maxNameLength) this.#exceed(this.#textAt, `a member name is longer than ${maxNameLength} characters`);
    if (!this.#sink.member(name)) this.#fail(this.#textAt, 'this struct has a member of this name already');
  }

  #method(): void {
    const limit = this.#limits.maxNameLength;
    if (this.#text.length > limit) this.#exceed(this.#textAt, `the method name is longer than ${limit} characters`);
    if (!isMethodName(this.#text)) this.#fail(this.#textAt, 'a method name is made of A-Z, a-z, 0-9, "_", ".", ":" and "/"');
    this.methodName = this.#text;
  }

  #resolve(name: string, attributes: readonly string[]): string {
    if (!this.#namespaces) {
      this.#namespaces = new Namespaces();
      // The elements that are open already declared nothing.
      for (const _ of this.#after) this.#namespaces.enter([]);
    }
    this.#namespaces.enter(attributes);
    return this.#namespaces.resolve(name);
  }

  #misplaced(name: string, at: number): never {
    const { element } = this.#rule;
    if (/^ex:(serializable|dom)$/.test(name)) this.#fail(at, `${tag(name)} is never read: it carries code or markup, not data`);
    this.#fail(
      at,
      `${tag(name)} has no place here: ${element === 'document' ? 'the document' : tag(element)} takes ${expected(this.#rule)}`,
    );
  }

  #fail(at: number, reason: string): never {
    return refuse('INVALID_REQUEST', this.#source, at, reason);
  }

  #exceed(at: number, reason: string): never {
    return refuse('LIMIT', this.#source, at, reason);
  }
}

/** True for a name that may stand in `<methodName>`. */
export function isMethodName(name: string): boolean {
  return METHOD_NAME.test(name);
}

function expected(rule: Rule): string {
  const names = [...rule.steps.keys()];
  if (rule.onOpen === 'value') return 'one typed element or text';
  if (names.length === 0) return rule.hasText ? 'text only' : 'nothing more';
  return names.map(tag).join(' or ');
}

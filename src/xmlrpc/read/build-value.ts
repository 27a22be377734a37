/** The sink that builds plain JavaScript values, and records where each struct is in the source and which types its numbers lose. */
import { Double, ExactNumbers, Int64, isDict } from '../../values/values.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import type { Sink } from './grammar.ts';
import type { ScalarType } from './scalars.ts';
import { Structs } from './structs.ts';
import type { Span } from './structs.ts';

type Members = Record<string, Value>;

// An array or struct around the innermost one.
interface OuterLevel {
  readonly list: Value[] | undefined;
  readonly dict: Members;
  readonly name: string;
  readonly at: number;
}

/** Collects the values of one document; `roots` are the outermost ones. */
export class ValueBuilder implements Sink {
  readonly roots: Value[] = [];
  readonly #outer: OuterLevel[] = [];
  // The innermost array or struct, the member name that awaits its value, and the offset of the start tag.
  #list: Value[] | undefined = this.roots;
  #dict: Members = {};
  #name = '';
  #at = 0;
  readonly #structs = new Structs();
  // Most messages have no number whose type is lost.
  #exact: ExactNumbers | undefined;

  scalar(type: ScalarType, value: Value): void {
    // An int, by far the most frequent number, keeps its type.
    if (typeof value === 'number' && type !== 'int') this.#noteNumber(type, value);
    this.#add(value);
  }

  #noteNumber(type: ScalarType, value: number): void {
    if (!Number.isInteger(value)) return;
    const isDouble = type === 'double' || type === 'bigdecimal';
    if (!isDouble && type !== 'i8' && type !== 'biginteger') return;
    this.#exact ??= new ExactNumbers();
    this.#exact.note(this.#list ?? this.#dict, this.#list?.length ?? this.#name, isDouble ? new Double(value) : new Int64(BigInt(value)));
  }

  /** A copy of `part` that keeps the types of its numbers; undefined if `part` itself does. */
  exactOf(part: readonly Value[] | Dict): Sendable | undefined {
    return this.#exact?.of(part);
  }

  #add(value: Value): void {
    if (this.#list) this.#list.push(value);
    else this.#dict[this.#name] = value;
  }

  open(kind: 'array' | 'struct', at: number): void {
    this.#outer.push({ list: this.#list, dict: this.#dict, name: this.#name, at: this.#at });
    this.#at = at;
    if (kind === 'array') {
      this.#list = [];
    } else {
      this.#list = undefined;
      // Object.create(null) would make a hash table, which is larger and several times slower to fill than an object with a shape.
      this.#dict = Object.setPrototypeOf({}, null) as Members;
    }
  }

  member(name: string): boolean {
    if (this.#dict[name] !== undefined) return false;
    this.#name = name;
    return true;
  }

  close(end: number): void {
    const value = this.#list ?? this.#dict;
    if (!this.#list) this.#structs.add(this.#dict, this.#at, end);
    const outer = this.#outer.pop();
    if (!outer) return;
    this.#list = outer.list;
    this.#dict = outer.dict;
    this.#name = outer.name;
    this.#at = outer.at;
    this.#add(value);
  }

  /** The struct that ended last. */
  protected get lastDict(): Dict | undefined {
    return this.#structs.last;
  }

  /** Where a struct of this document is in the source. */
  spanOf(dict: Dict): Span | undefined {
    return this.#structs.spanOf(dict);
  }
}

/** The contents of a fault. */
export interface FaultParts {
  readonly code: number;
  readonly text: string;
  /** The faultCode as received if it is not `code` itself; null if there is none. */
  readonly faultCode?: Value | undefined;
}

// The types that a faultCode may have.
const INTS: readonly ScalarType[] = ['int', 'i1', 'i2'];

/** Builds a response and records which structs have an int as faultCode: the value alone does not distinguish 6 from 6.0 or from an i8. */
export class ResponseBuilder extends ValueBuilder {
  readonly #coded = new WeakSet<Dict>();
  // Whether the next scalar is a faultCode, and whether the faultCode of the innermost struct was an int.
  #isCode = false;
  #isInt = false;

  /** With `isLenient`, any struct with a faultCode or a faultString is a fault. */
  constructor(private readonly isLenient = false) {
    super();
  }

  /** Reads any value as a fault, where the grammar requires one; undefined unless the reading is lenient. */
  lenientFault(part: Value): FaultParts | undefined {
    if (!this.isLenient) return undefined;
    const strict = this.#strictFault(part);
    if (strict) return strict;
    const { faultCode = null, faultString = null } = isDict(part) ? part : { faultString: part };
    return { code: codeOf(faultCode), text: textOf(faultString), faultCode };
  }

  /**
   * Reads a struct of this document as a fault; undefined unless it has exactly the members faultCode, an int, and faultString, a string.
   */
  faultIn(part: Value): FaultParts | undefined {
    const isFault = isDict(part) && (part.faultCode !== undefined || part.faultString !== undefined);
    return isFault && this.isLenient ? this.lenientFault(part) : this.#strictFault(part);
  }

  #strictFault(part: Value): FaultParts | undefined {
    if (!this.#coded.has(part as Dict)) return undefined;
    const { faultCode: code, faultString: text, ...more } = part as Dict;
    return typeof code === 'number' && typeof text === 'string' && Object.keys(more).length === 0 ? { code, text } : undefined;
  }

  override scalar(type: ScalarType, value: Value): void {
    if (this.#isCode) this.#isInt = INTS.includes(type);
    super.scalar(type, value);
  }

  override member(name: string): boolean {
    this.#isCode = name === 'faultCode';
    return super.member(name);
  }

  // A fault contains only scalars.
  override open(kind: 'array' | 'struct', at: number): void {
    this.#isCode = this.#isInt = false;
    super.open(kind, at);
  }

  override close(end: number): void {
    super.close(end);
    if (this.#isInt && this.lastDict) this.#coded.add(this.lastDict);
    this.#isCode = this.#isInt = false;
  }
}

// Up to 15 digits are exact as a number.
const CODE_TEXT = /^\s*[+-]?\d{1,15}\s*$/;

/** The faultCode as a number, also from its text; 0 if it is neither. */
function codeOf(code: Value): number {
  if (typeof code === 'bigint') return Number(code);
  const value = typeof code === 'string' && CODE_TEXT.test(code) ? Number(code) : code;
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** The faultString as text; empty for arrays, structs and nil. */
function textOf(text: Value): string {
  if (typeof text === 'string') return text;
  if (Buffer.isBuffer(text)) return text.toString('utf8');
  if (text instanceof Date) return Number.isNaN(text.getTime()) ? '' : text.toISOString();
  return text === null || typeof text === 'object' ? '' : String(text);
}

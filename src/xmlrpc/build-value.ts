/** The sink that builds plain JavaScript values, and remembers where each struct stands in the source. */
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import type { Sink } from './sink.ts';
import type { ScalarType } from './scalars.ts';

type Members = Record<string, Value>;

// What is open around the innermost array or struct.
interface Frame {
  readonly list: Value[] | undefined;
  readonly dict: Members;
  readonly name: string;
  readonly at: number;
}

/** Where a struct stands: offsets of `<struct>` and after `</struct>`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Collects the values of one document; `roots` are those that stand in no other. */
export class ValueBuilder implements Sink {
  readonly roots: Value[] = [];
  readonly #outer: Frame[] = [];
  // The innermost array, or else struct, with the name that waits for its value, and the offset of its start tag.
  #list: Value[] | undefined = this.roots;
  #dict: Members = {};
  #name = '';
  #at = 0;
  // Side by side: a map is made only if somebody asks.
  readonly #dicts: Dict[] = [];
  readonly #spans: number[] = [];
  #places: Map<Dict, number> | undefined;

  scalar(_type: ScalarType, value: Value): void {
    this.#add(value);
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
      // Not Object.create(null), which makes a hash table: several times slower to fill and larger than an object with a shape.
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
    if (!this.#list) {
      this.#dicts.push(this.#dict);
      this.#spans.push(this.#at, end);
    }
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
    return this.#dicts.at(-1);
  }

  /** Where a struct of this document stands. */
  spanOf(dict: Dict): Span | undefined {
    const place = this.#placeOf(dict);
    if (place === undefined) return undefined;
    return { from: this.#spans[place] ?? 0, to: this.#spans[place + 1] ?? 0 };
  }

  #placeOf(dict: Dict): number | undefined {
    // The dict of a message is mostly all there is, and so ends last.
    const last = this.#dicts.length - 1;
    if (this.#dicts[last] === dict) return 2 * last;
    this.#places ??= new Map(this.#dicts.map((each, index) => [each, 2 * index]));
    return this.#places.get(dict);
  }
}

/** What a fault says. */
export interface FaultParts {
  readonly code: number;
  readonly text: string;
  /** The faultCode as it came, where that is not `code` itself; null if there is none. */
  readonly faultCode?: Value | undefined;
}

// Those that fit a faultCode, also under the prefix that the document gives the extensions.
const INTS: readonly ScalarType[] = ['int', 'i1', 'i2'];

/**
 * Builds a response, and remembers which structs have a faultCode that is an int: the value alone does not tell 6 from 6.0 or from an i8.
 */
export class ResponseBuilder extends ValueBuilder {
  readonly #coded = new WeakSet<Dict>();
  // Whether the next scalar is a faultCode, and whether that of the innermost struct was an int.
  #isCode = false;
  #isInt = false;

  /** `isLenient`: a struct with a faultCode or a faultString is a fault, whatever they are. */
  constructor(private readonly isLenient = false) {
    super();
  }

  /** The fault that `part` is by lenient reading: of any value where a fault has to be. Undefined by strict reading. */
  lenientFault(part: Value): FaultParts | undefined {
    if (!this.isLenient) return undefined;
    const strict = this.#strictFault(part);
    if (strict) return strict;
    const { faultCode = null, faultString = null } = isDict(part) ? part : { faultString: part };
    return { code: codeOf(faultCode), text: textOf(faultString), faultCode };
  }

  /** The fault that a struct of this document is: with exactly the members faultCode, an int, and faultString, a string. */
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

  // A fault has scalars alone, so whatever opens inside makes it none.
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

// As many digits as a number is exact for.
const CODE_TEXT = /^\s*[+-]?\d{1,15}\s*$/;

/** The number that a faultCode is, or is the text of; 0 if it is none. */
function codeOf(code: Value): number {
  if (typeof code === 'bigint') return Number(code);
  const value = typeof code === 'string' && CODE_TEXT.test(code) ? Number(code) : code;
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** What a faultString says; what is neither text nor number says nothing. */
function textOf(text: Value): string {
  if (typeof text === 'string') return text;
  if (Buffer.isBuffer(text)) return text.toString('utf8');
  if (text instanceof Date) return Number.isNaN(text.getTime()) ? '' : text.toISOString();
  return text === null || typeof text === 'object' ? '' : String(text);
}

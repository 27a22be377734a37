/** The sink that builds plain JavaScript values, and remembers where each struct stands in the source. */
import type { Dict, Value } from '../message/message.ts';
import { detached } from './detach.ts';
import type { Sink } from './grammar.ts';
import type { XmlRpcLimits } from './limits.ts';
import type { Fail } from './refuse.ts';
import { readScalar } from './scalars.ts';
import type { ScalarType } from './scalars.ts';

type Members = Record<string, Value>;

// An open array or struct; a struct has the name of the member that is being read.
type Frame = { readonly list: Value[] } | { readonly dict: Members; readonly at: number; name: string };

/** Where a struct stands: offsets of `<struct>` and after `</struct>`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Collects the values of one document; `roots` are those that stand in no other. */
export class ValueBuilder implements Sink {
  readonly roots: Value[] = [];
  readonly spans = new Map<Dict, Span>();
  readonly #limits: Readonly<XmlRpcLimits>;
  readonly #outer: Frame[] = [];
  #inner: Frame = { list: this.roots };

  /** `length`: characters of the document. */
  constructor(
    limits: Readonly<XmlRpcLimits>,
    private readonly length: number,
  ) {
    this.#limits = limits;
  }

  scalar(type: ScalarType, text: string, fail: Fail): void {
    const value = readScalar(type, text, this.#limits, fail);
    this.#add(typeof value === 'string' ? detached(value, this.length) : value);
  }

  open(kind: 'array' | 'struct', at: number): void {
    this.#outer.push(this.#inner);
    this.#inner = kind === 'array' ? { list: [] } : { dict: Object.create(null) as Members, at, name: '' };
  }

  member(name: string): boolean {
    const frame = this.#inner;
    if ('list' in frame || name in frame.dict) return false;
    frame.name = name;
    return true;
  }

  close(end: number): void {
    const frame = this.#inner;
    const outer = this.#outer.pop();
    if (outer) this.#inner = outer;
    if ('list' in frame) {
      this.#add(frame.list);
    } else {
      this.spans.set(frame.dict, { from: frame.at, to: end });
      this.#add(frame.dict);
    }
  }

  #add(value: Value): void {
    const frame = this.#inner;
    if ('list' in frame) frame.list.push(value);
    else frame.dict[frame.name] = value;
  }
}

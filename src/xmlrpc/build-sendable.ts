/**
 * The sink that builds values to be written anew: what a plain value does not tell, a double that is whole or a 64-bit integer that is
 * small, is kept.
 */
import { Double, Int64 } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Sink } from './sink.ts';
import type { ScalarType } from './scalars.ts';

/** An array or struct that is open; one of the two. */
interface Frame {
  readonly list: Sendable[] | undefined;
  readonly members: Map<string, Sendable>;
  name: string;
}

/** Collects the members of the outermost struct, in member order. */
export class SendableBuilder implements Sink {
  readonly members = new Map<string, Sendable>();
  /** The outermost value. */
  root: Sendable = null;
  readonly #open: Frame[] = [];

  /** Without `i8`, integers that fit 32 bits are plain ones, whatever they came as. */
  constructor(private readonly i8: boolean) {}

  scalar(type: ScalarType, value: Value): void {
    this.#add(this.#typed(type, value));
  }

  open(kind: 'array' | 'struct'): void {
    const members = this.#open.length === 0 ? this.members : new Map<string, Sendable>();
    this.#open.push({ list: kind === 'array' ? [] : undefined, members, name: '' });
  }

  member(name: string): boolean {
    const frame = this.#open.at(-1);
    if (!frame || frame.members.has(name)) return false;
    frame.name = name;
    return true;
  }

  close(): void {
    const frame = this.#open.pop();
    if (frame) this.#add(frame.list ?? frame.members);
  }

  #typed(type: ScalarType, value: Value): Sendable {
    if (typeof value === 'bigint') return new Int64(value);
    if (typeof value !== 'number') return value;
    if (type === 'double' || type === 'bigdecimal') return new Double(value);
    const isLong = type === 'i8' || type === 'biginteger';
    return isLong && (this.i8 || (value | 0) !== value) ? new Int64(BigInt(value)) : value;
  }

  #add(value: Sendable): void {
    const frame = this.#open.at(-1);
    if (!frame) this.root = value;
    else if (frame.list) frame.list.push(value);
    else frame.members.set(frame.name, value);
  }
}

/**
 * The sink that builds values for writing again: it keeps types that a plain value loses, those of whole doubles and small 64-bit integers.
 */
import { Double, Int64 } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { Sink } from './grammar.ts';
import type { ScalarType } from './scalars.ts';

/** An open array or struct. */
interface SendableLevel {
  readonly list: Sendable[] | undefined;
  readonly members: Map<string, Sendable>;
  name: string;
}

/** Collects the members of the outermost struct, in member order. */
export class SendableBuilder implements Sink {
  readonly members = new Map<string, Sendable>();
  readonly #open: SendableLevel[] = [];

  /** Without `i8`, integers that fit 32 bits become ints whatever their type was. */
  constructor(private readonly i8: boolean) {}

  scalar(type: ScalarType, value: Value): void {
    this.#add(this.#typed(type, value));
  }

  open(kind: 'array' | 'struct'): void {
    const members = this.#open.length === 0 ? this.members : new Map<string, Sendable>();
    this.#open.push({ list: kind === 'array' ? [] : undefined, members, name: '' });
  }

  member(name: string): boolean {
    const level = this.#open.at(-1);
    if (!level || level.members.has(name)) return false;
    level.name = name;
    return true;
  }

  close(): void {
    const level = this.#open.pop();
    if (level) this.#add(level.list ?? level.members);
  }

  #typed(type: ScalarType, value: Value): Sendable {
    if (typeof value === 'bigint') return new Int64(value);
    if (typeof value !== 'number') return value;
    if (type === 'double' || type === 'bigdecimal') return new Double(value);
    const isLong = type === 'i8' || type === 'biginteger';
    return isLong && (this.i8 || (value | 0) !== value) ? new Int64(BigInt(value)) : value;
  }

  #add(value: Sendable): void {
    const level = this.#open.at(-1);
    if (!level) return;
    if (level.list) level.list.push(value);
    else level.members.set(level.name, value);
  }
}

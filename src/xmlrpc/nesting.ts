/** The arrays and structs that are open around a place of a document, and how much is in them; held against the limits. */
import { DOCUMENT_END } from './grammar-table.ts';
import type { Place } from './grammar-table.ts';
import type { XmlRpcLimits } from './limits.ts';
import { refuse } from './refuse.ts';

/** Of one document. Each offset is where a refusal shows what is too much. */
export class Nesting {
  /** The place after the value that is being read. */
  home = DOCUMENT_END;
  readonly #limits: Readonly<XmlRpcLimits>;
  // The places after the open arrays and structs.
  readonly #homes: Place[] = [];
  #values = 0;
  // Members so far of the innermost struct, and of those around it.
  #members = 0;
  readonly #outerMembers: number[] = [];

  constructor(limits: Readonly<XmlRpcLimits>) {
    this.#limits = limits;
  }

  /** True if the innermost array or struct is a document of its own, without a value around it. */
  get isOutermost(): boolean {
    return this.#homes.at(-1) === DOCUMENT_END;
  }

  /** Counts a value. */
  value(at: number): void {
    const { maxValues } = this.#limits;
    if (++this.#values > maxValues) exceed(at, `more than ${maxValues} values`);
  }

  /** Counts a member of the innermost struct. */
  member(name: string, at: number): void {
    const { maxMembers, maxNameLength } = this.#limits;
    if (++this.#members > maxMembers) exceed(at, `more than ${maxMembers} members in one struct`);
    if (name.length > maxNameLength) exceed(at, `a member name is longer than ${maxNameLength} characters`);
  }

  /** True if a member of this name and its value are within the limits. */
  hasRoomFor(name: string): boolean {
    const { maxMembers, maxNameLength, maxValues } = this.#limits;
    return this.#members < maxMembers && this.#values < maxValues && name.length <= maxNameLength;
  }

  /** Counts a member that there is room for, and its value; `home` is the place after it. */
  add(home: Place): void {
    this.#members++;
    this.#values++;
    this.home = home;
  }

  /** An array or struct starts. */
  open(at: number): void {
    const { maxDepth } = this.#limits;
    if (this.#homes.push(this.home) > maxDepth) exceed(at, `arrays and structs deeper than ${maxDepth}`);
    this.#outerMembers.push(this.#members);
    this.#members = 0;
  }

  /** The innermost one ends; gives the place after it. */
  close(): Place {
    this.#members = this.#outerMembers.pop() ?? 0;
    this.home = this.#homes.pop() ?? DOCUMENT_END;
    return this.home;
  }
}

function exceed(at: number, reason: string): never {
  return refuse('LIMIT', at, reason);
}

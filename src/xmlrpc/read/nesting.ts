/** The stack of open arrays and structs, with the limits on depth, values and members. */
import { DOCUMENT_END } from './grammar-table.ts';
import type { GrammarState } from './grammar-table.ts';
import type { XmlRpcLimits } from '../options.ts';
import { refuse } from './parse-error.ts';

/** The stack of one document. Each offset is the position that a refusal reports. */
export class Nesting {
  /** The state after the value that is being read. */
  afterValue = DOCUMENT_END;
  readonly #limits: Readonly<XmlRpcLimits>;
  // The states after the open arrays and structs.
  readonly #afterOuter: GrammarState[] = [];
  #values = 0;
  // Members so far of the innermost struct, and of the structs around it.
  #members = 0;
  readonly #outerMembers: number[] = [];

  constructor(limits: Readonly<XmlRpcLimits>) {
    this.#limits = limits;
  }

  /** True if the innermost array or struct is the whole document, without a value around it. */
  get isOutermost(): boolean {
    return this.#afterOuter.at(-1) === DOCUMENT_END;
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

  /** True if a member with this name and its value are within the limits. */
  canAdd(name: string): boolean {
    const { maxMembers, maxNameLength, maxValues } = this.#limits;
    return this.#members < maxMembers && this.#values < maxValues && name.length <= maxNameLength;
  }

  /** Counts a member that {@link canAdd} allows, and its value; `afterValue` is the state after it. */
  add(afterValue: GrammarState): void {
    this.#members++;
    this.#values++;
    this.afterValue = afterValue;
  }

  /** An array or struct starts. */
  open(at: number): void {
    const { maxDepth } = this.#limits;
    if (this.#afterOuter.push(this.afterValue) > maxDepth) exceed(at, `arrays and structs deeper than ${maxDepth}`);
    this.#outerMembers.push(this.#members);
    this.#members = 0;
  }

  /** The innermost array or struct ends; returns the state after it. */
  close(): GrammarState {
    this.#members = this.#outerMembers.pop() ?? 0;
    this.afterValue = this.#afterOuter.pop() ?? DOCUMENT_END;
    return this.afterValue;
  }
}

function exceed(at: number, reason: string): never {
  return refuse('LIMIT', at, reason);
}

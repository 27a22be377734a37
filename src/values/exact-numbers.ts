/**
 * Records numbers whose type their plain value does not tell: doubles that are whole, and integers that would be written as another type.
 */
import { isDict } from './value.ts';
import type { Dict, Double, Int64, Sendable, Value } from './value.ts';

type Container = readonly Value[] | Dict;

/**
 * A copy of `part`, an array or dict of a message, that keeps the types of its numbers when it is written again; undefined if `part` itself
 * does.
 */
export type ExactOf = (part: Container) => Sendable | undefined;

type Key = string | number;
type Copy = Record<Key, Sendable>;

interface Note {
  readonly container: Container;
  readonly key: Key;
  readonly exact: Double | Int64;
}

/** The exact numbers of one message. */
export class ExactNumbers {
  // The map is only built on demand, which is rare.
  readonly #notes: Note[] = [];
  #forms: Map<Container, Map<Key, Double | Int64>> | undefined;

  /** Records that the number under `key` of `container` is `exact`. */
  note(container: Container, key: Key, exact: Double | Int64): void {
    this.#notes.push({ container, key, exact });
  }

  /** The only member of `from` moved to `key` of `to`. Its record, if any, is the last one. */
  move(from: Container, to: Container, key: Key): void {
    const last = this.#notes.at(-1);
    if (last?.container === from) this.note(to, key, last.exact);
  }

  /** A copy of `part` with the recorded numbers; undefined if the whole message has none. */
  of(part: Container): Sendable | undefined {
    if (this.#notes.length === 0) return undefined;
    this.#forms ??= byContainer(this.#notes);
    const whole = this.#copy(part);
    const pending = [whole];
    for (let copy = pending.pop(); copy; copy = pending.pop()) {
      for (const [key, value] of Object.entries(copy)) {
        if (!Array.isArray(value) && !isDict(value)) continue;
        const inner = this.#copy(value as Container);
        copy[key] = inner;
        pending.push(inner);
      }
    }
    return whole;
  }

  #copy(part: Container): Copy {
    const copy = (Array.isArray(part) ? [...(part as readonly Value[])] : Object.assign(Object.create(null), part)) as unknown as Copy;
    for (const [key, exact] of this.#forms?.get(part) ?? []) copy[key] = exact;
    return copy;
  }
}

function byContainer(notes: readonly Note[]): Map<Container, Map<Key, Double | Int64>> {
  const forms = new Map<Container, Map<Key, Double | Int64>>();
  for (const { container, key, exact } of notes) {
    const known = forms.get(container);
    if (known) known.set(key, exact);
    else forms.set(container, new Map([[key, exact]]));
  }
  return forms;
}

/** The numbers of a text whose plain value does not say their type: whole doubles, and integers that would be written as another type. */
import { isDict } from '../message/message.ts';
import type { Dict, Double, Int64, Sendable, Value } from '../message/message.ts';

type Container = readonly Value[] | Dict;
type Key = string | number;
type Copy = Record<Key, Sendable>;

export class ExactForms {
  /** Array or dict -> index or name -> the number with its type. */
  readonly #forms = new Map<object, Map<Key, Double | Int64>>();

  /** The number under `key` of `container` is `exact`. */
  note(container: Container, key: Key, exact: Double | Int64): void {
    const forms = this.#forms.get(container);
    if (forms) forms.set(key, exact);
    else this.#forms.set(container, new Map([[key, exact]]));
  }

  /** What was noted under `oldKey` of `from` is now under `newKey` of `to`. */
  move(from: Container, to: Container, oldKey: Key, newKey: Key): void {
    const exact = this.#forms.get(from)?.get(oldKey);
    if (exact) this.note(to, newKey, exact);
  }

  /** A copy of `part` with the numbers as they were noted; undefined if none was in the whole text. */
  of(part: Container): Sendable | undefined {
    if (this.#forms.size === 0) return undefined;
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
    for (const [key, exact] of this.#forms.get(part) ?? []) copy[key] = exact;
    return copy;
  }
}

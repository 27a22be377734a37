/** Records where each struct of a document is, so that its text can be found for its dict. */
import type { Dict } from '../../values/values.ts';

/** The offsets of `<struct>` and after `</struct>`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The structs of one document, in the order in which they end. */
export class Structs {
  // Parallel arrays; the map is built only on demand.
  readonly #dicts: Dict[] = [];
  readonly #spans: number[] = [];
  #indexes: Map<Dict, number> | undefined;

  /** The struct that ended last. */
  get last(): Dict | undefined {
    return this.#dicts.at(-1);
  }

  add(dict: Dict, from: number, to: number): void {
    this.#dicts.push(dict);
    this.#spans.push(from, to);
  }

  /** Where a struct of this document is in the source; undefined for any other dict. */
  spanOf(dict: Dict): Span | undefined {
    const index = this.#indexOf(dict);
    if (index === undefined) return undefined;
    return { from: this.#spans[2 * index] ?? 0, to: this.#spans[2 * index + 1] ?? 0 };
  }

  #indexOf(dict: Dict): number | undefined {
    // Usually the dict is the whole message, so it ends last.
    const last = this.#dicts.length - 1;
    if (this.#dicts[last] === dict) return last;
    this.#indexes ??= new Map(this.#dicts.map((each, index) => [each, index]));
    return this.#indexes.get(dict);
  }
}

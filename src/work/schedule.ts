/** Decides which pending units run next: in order for each type, and fairly between types; pure. */

/** Limits on units that run at once. */
export interface Concurrency {
  readonly total: number;
  /** Of a type; undefined: no limit of its own. */
  readonly of: (type: string) => number | undefined;
}

/**
 * The queue of pending units. Types take turns, so that a thousand units of one type do not delay the first of another; units of a type
 * run in the order of their submission.
 */
export class Schedule {
  /** In the order in which they take turns. */
  readonly #waiting = new Map<string, Set<string>>();
  readonly #running = new Map<string, number>();
  #runningTotal = 0;
  #pending = 0;

  get pending(): number {
    return this.#pending;
  }

  get running(): number {
    return this.#runningTotal;
  }

  add(type: string, unit: string): void {
    const units = this.#waiting.get(type) ?? new Set();
    if (units.has(unit)) return;
    this.#waiting.set(type, units.add(unit));
    this.#pending++;
  }

  /** Removes a unit that waits. Returns false if it does not. */
  remove(type: string, unit: string): boolean {
    const units = this.#waiting.get(type);
    if (!units?.delete(unit)) return false;
    if (units.size === 0) this.#waiting.delete(type);
    this.#pending--;
    return true;
  }

  /**
   * Takes the next unit that may run, which then counts as running until {@link ended}; undefined if none may. `canRun` tells whether a
   * plugin that offers the type is there.
   */
  take({ total, of }: Concurrency, canRun: (type: string) => boolean): { readonly type: string; readonly unit: string } | undefined {
    if (this.#runningTotal >= total) return undefined;
    for (const [type, units] of this.#waiting) {
      const running = this.#running.get(type) ?? 0;
      if (running >= (of(type) ?? Infinity) || !canRun(type)) continue;
      const [unit] = units;
      if (unit === undefined) continue;
      this.remove(type, unit);
      // Its turn is over: the other types come first now.
      if (units.size > 0) {
        this.#waiting.delete(type);
        this.#waiting.set(type, units);
      }
      this.#begin(type, running);
      return { type, unit };
    }
    return undefined;
  }

  /** Counts a new unit as running if it may run at once, and no unit of its type waits. Returns false if it has to wait itself. */
  takeNew(type: string, { total, of }: Concurrency): boolean {
    const running = this.#running.get(type) ?? 0;
    if (this.#runningTotal >= total || running >= (of(type) ?? Infinity) || this.#waiting.has(type)) return false;
    this.#begin(type, running);
    return true;
  }

  #begin(type: string, running: number): void {
    this.#running.set(type, running + 1);
    this.#runningTotal++;
  }

  /** A unit that was taken has ended. */
  ended(type: string): void {
    const running = (this.#running.get(type) ?? 1) - 1;
    if (running > 0) this.#running.set(type, running);
    else this.#running.delete(type);
    this.#runningTotal--;
  }

  /** How many units start before this one, if only units of its type were there: 0 for the next. Undefined if it does not wait. */
  positionOf(type: string, unit: string): number | undefined {
    const units = this.#waiting.get(type);
    if (!units?.has(unit)) return undefined;
    let position = 0;
    for (const one of units) {
      if (one === unit) break;
      position++;
    }
    return position;
  }
}

/** Awaits events instead of sleeping: what is pushed on one side is awaited on the other. */

export class Gate<T> {
  readonly all: T[] = [];
  readonly #waiting: { count: number; resolve: (items: readonly T[]) => void }[] = [];

  /** Notes an event. */
  push(item: T): void {
    this.all.push(item);
    for (const waiter of [...this.#waiting]) {
      if (this.all.length < waiter.count) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.resolve(this.all.slice(0, waiter.count));
    }
  }

  /** The first `count` events, once there are that many; the test's own time limit ends a wait for what never comes. */
  first(count: number): Promise<readonly T[]> {
    if (this.all.length >= count) return Promise.resolve(this.all.slice(0, count));
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
    });
  }
}

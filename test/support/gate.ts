/**
 * Awaits events instead of sleeping: what is pushed on one side is awaited on the other. The test's own time limit ends a wait for what
 * never comes.
 */

export class Gate<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<(item: T) => void>();

  /** Notes an event. */
  push(item: T): void {
    this.all.push(item);
    for (const look of [...this.#waiting]) look(item);
  }

  /** The first `count` events, once there are that many. */
  async first(count: number): Promise<readonly T[]> {
    return (await this.until(() => true, count)).slice(0, count);
  }

  /** The events that `is` likes, past or to come, once there are `count` of them. */
  until(is: (event: T) => boolean, count = 1): Promise<[T, ...T[]]> {
    const found = this.all.filter(is);
    return new Promise((resolve) => {
      const end = (): void => {
        resolve(found as [T, ...T[]]);
      };
      const look = (item: T): void => {
        if (!is(item) || found.push(item) < count) return;
        this.#waiting.delete(look);
        end();
      };
      if (found.length >= count) end();
      else this.#waiting.add(look);
    });
  }
}

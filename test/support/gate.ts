/** Collects events, so that a test can wait for them instead of sleeping. Waits have no limit of their own: ava's time limit ends them. */

export class Gate<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<(item: T) => void>();

  /** Records an event. */
  push(item: T): void {
    this.all.push(item);
    for (const look of [...this.#waiting]) look(item);
  }

  /** Resolves with the first `count` events once they have arrived. */
  async first(count: number): Promise<readonly T[]> {
    return (await this.until(() => true, count)).slice(0, count);
  }

  /** Resolves with the events that match `is`, past or future, once there are `count` of them. */
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

/** Shortest paths over a graph of nodes, after Dijkstra. */

/** The neighbours of a node with the costs of the links to them. */
export type Edges = (id: string) => Iterable<readonly [id: string, cost: number]>;

/** How to get to a node. */
export interface Path {
  /** The neighbour to which the path leads first. */
  readonly hop: string;
  readonly cost: number;
  readonly links: number;
}

/** The shortest paths from `self` to every node that can be reached. Of equal ones the one with the smaller first hop, so all agree. */
export function shortestPaths(self: string, edges: Edges): ReadonlyMap<string, Path> {
  const done = new Map<string, Path>();
  const heap = new Heap<readonly [id: string, path: Path]>(([, one], [, other]) => one.cost - other.cost || (one.hop < other.hop ? -1 : 1));
  for (const [id, cost] of edges(self)) if (id !== self) heap.push([id, { hop: id, cost, links: 1 }]);
  for (let next = heap.pop(); next; next = heap.pop()) {
    const [id, path] = next;
    if (done.has(id)) continue;
    done.set(id, path);
    for (const [beyond, cost] of edges(id)) {
      if (beyond !== self && !done.has(beyond)) heap.push([beyond, { hop: path.hop, cost: path.cost + cost, links: path.links + 1 }]);
    }
  }
  return done;
}

/** A heap: the least item is popped first. */
export class Heap<T> {
  readonly #items: T[] = [];

  constructor(private readonly compare: (one: T, other: T) => number) {}

  get least(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent];
      if (above === undefined || this.compare(item, above) >= 0) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const least = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return least;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [items[child], items[child + 1]];
      if (left === undefined) break;
      let smaller = left;
      if (right !== undefined && this.compare(right, left) < 0) {
        smaller = right;
        child++;
      }
      if (this.compare(last, smaller) <= 0) break;
      items[at] = smaller;
      at = child;
    }
    items[at] = last;
    return least;
  }
}

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

/** The paths from a node, and the nodes to which there are only paths with too many links. */
export interface Reach {
  readonly paths: ReadonlyMap<string, Path>;
  readonly tooFar: ReadonlySet<string>;
}

/** The cheapest paths from `self` that have at most `maxLinks` links. */
export function pathsWithin(self: string, edges: Edges, maxLinks: number): Reach {
  const cheapest = shortestPaths(self, edges);
  const isLong = [...cheapest.values()].some(({ links }) => links > maxLinks);
  if (!isLong) return { paths: cheapest, tooFar: new Set() };
  const paths = limitedPaths(self, edges, maxLinks);
  return { paths, tooFar: new Set([...cheapest.keys()].filter((id) => !paths.has(id))) };
}

/**
 * Of equally cheap paths the one with fewer links is taken, and of these the one with the smaller first hop, so that the nodes on a path
 * agree on the rest of it.
 */
function comparePaths([, one]: readonly [id: string, path: Path], [, other]: readonly [id: string, path: Path]): number {
  return one.cost - other.cost || one.links - other.links || (one.hop < other.hop ? -1 : 1);
}

/** The shortest paths from `self` to every node that can be reached. */
function shortestPaths(self: string, edges: Edges): ReadonlyMap<string, Path> {
  const done = new Map<string, Path>();
  const heap = new Heap(comparePaths);
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

/**
 * As {@link shortestPaths}, but a node is visited again by a dearer path that has fewer links: from there on it leads farther. It takes up
 * to `maxLinks` times as long, and is needed only in very wide meshes.
 */
function limitedPaths(self: string, edges: Edges, maxLinks: number): ReadonlyMap<string, Path> {
  const cheapest = new Map<string, Path>();
  const fewest = new Map<string, number>();
  const isWorse = (id: string, links: number): boolean => links > maxLinks || links >= (fewest.get(id) ?? Infinity);
  const heap = new Heap(comparePaths);
  for (const [id, cost] of edges(self)) if (id !== self && maxLinks > 0) heap.push([id, { hop: id, cost, links: 1 }]);
  for (let next = heap.pop(); next; next = heap.pop()) {
    const [id, path] = next;
    if (isWorse(id, path.links)) continue;
    fewest.set(id, path.links);
    if (!cheapest.has(id)) cheapest.set(id, path);
    const links = path.links + 1;
    for (const [beyond, cost] of edges(id)) {
      if (beyond !== self && !isWorse(beyond, links)) heap.push([beyond, { hop: path.hop, cost: path.cost + cost, links }]);
    }
  }
  return cheapest;
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

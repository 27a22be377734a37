/**
 * What happens to reports between watchers and reactors: the book-keeper turns them into minimal changes, and a feed keeps the changes that
 * one reactor has not yet received. Pure: nothing here waits or knows the time.
 */
import { Fifo, RelayError } from '../core/core.ts';
import type { ServiceEvent, ServiceNode } from '../plugin/plugin.ts';
import type { CheckedNode, Report } from './report.ts';

type Nodes = Record<string, ServiceNode>;

/** What a report changes. */
export interface Change {
  /** The nodes that have changed. */
  readonly nodes: ServiceEvent;
  /** Their number. */
  readonly size: number;
  /** Names that the service no longer knows. They are down, in `nodes` if they were up before. Default none. */
  readonly gone?: readonly string[] | undefined;
}

/** A node of a service. */
interface Entry {
  /** As the reactors know it. */
  shown: ServiceNode;
  /** The last report of each watcher that knows the node, the latest last. */
  readonly reports: Map<string, ServiceNode>;
}

/**
 * Knows the nodes of one service. A node is as the latest report says, from whichever watcher; when that watcher no longer lists it, the
 * latest report of another watcher counts.
 */
export class BookKeeper {
  readonly #entries = new Map<string, Entry>();
  /** The names that each watcher knows. */
  readonly #names = new Map<string, Set<string>>();
  #up = 0;

  /** `maxNodes`: more nodes are refused, which protects the memory of the relay from a watcher that makes up names. */
  constructor(readonly maxNodes: number) {}

  /** The number of nodes. */
  get size(): number {
    return this.#entries.size;
  }

  /** The number of nodes that are up. */
  get up(): number {
    return this.#up;
  }

  /** All nodes, whether they are up or down. */
  all(): ServiceEvent {
    const nodes = none();
    for (const [name, { shown }] of this.#entries) nodes[name] = shown;
    return nodes;
  }

  /**
   * Takes a report of a watcher. Returns what it changes; undefined if that is nothing. Throws a RelayError LIMIT if there were too many
   * nodes; nothing has changed then. Before that, nodes that are down are forgotten.
   */
  take(watcher: string, { isFull, nodes }: Report): Change | undefined {
    const forgotten = this.#makeRoom(nodes);
    const known = this.#namesOf(watcher);
    const changed = none();
    let size = 0;
    for (const node of nodes) {
      known.add(node.name);
      const shown = this.#put(watcher, node);
      if (!shown) continue;
      changed[node.name] = shown;
      size++;
    }
    const gone = forgotten;
    if (isFull && known.size > nodes.length) {
      const listed = new Set(nodes.map(({ name }) => name));
      for (const name of known) {
        if (listed.has(name)) continue;
        known.delete(name);
        const shown = this.#drop(watcher, name);
        if (!this.#entries.has(name)) gone.push(name);
        if (!shown) continue;
        changed[name] = shown;
        size++;
      }
    }
    if (size === 0 && gone.length === 0) return undefined;
    return { nodes: changed, size, gone: gone.length === 0 ? undefined : gone };
  }

  #namesOf(watcher: string): Set<string> {
    let names = this.#names.get(watcher);
    if (!names) this.#names.set(watcher, (names = new Set()));
    return names;
  }

  /** Returns the node if the reactors know it otherwise. */
  #put(watcher: string, { name, status, host, port }: CheckedNode): ServiceNode | undefined {
    const entry = this.#entries.get(name);
    const before = entry?.reports.get(watcher) ?? entry?.shown;
    const node = Object.freeze({ name, status, host: host ?? before?.host ?? '', port: port ?? before?.port ?? 0 });
    if (!entry) {
      this.#entries.set(name, { shown: node, reports: new Map([[watcher, node]]) });
      this.#up += Number(status === 'up');
      return node;
    }
    // Deleted first, so that it becomes the latest.
    if (entry.reports.size > 1) entry.reports.delete(watcher);
    entry.reports.set(watcher, node);
    return this.#show(entry, node);
  }

  /** A watcher no longer knows a node. Returns it if the reactors know it otherwise. */
  #drop(watcher: string, name: string): ServiceNode | undefined {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    entry.reports.delete(watcher);
    const latest = [...entry.reports.values()].at(-1);
    if (latest) return this.#show(entry, latest);
    this.#entries.delete(name);
    return this.#show(entry, Object.freeze({ ...entry.shown, status: 'down' }));
  }

  #show(entry: Entry, node: ServiceNode): ServiceNode | undefined {
    const { shown } = entry;
    if (shown.status === node.status && shown.host === node.host && shown.port === node.port) return undefined;
    this.#up += Number(node.status === 'up') - Number(shown.status === 'up');
    entry.shown = node;
    return node;
  }

  /** Forgets nodes that are down if otherwise there were too many. Returns their names. */
  #makeRoom(nodes: readonly CheckedNode[]): string[] {
    if (this.#entries.size + nodes.length <= this.maxNodes) return [];
    const needed = nodes.filter(({ name }) => !this.#entries.has(name)).length;
    const excess = this.#entries.size + needed - this.maxNodes;
    if (excess <= 0) return [];
    const reported = new Set(nodes.map(({ name }) => name));
    const forgotten: string[] = [];
    for (const [name, { shown }] of this.#entries) if (shown.status === 'down' && !reported.has(name)) forgotten.push(name);
    if (forgotten.length < excess) throw new RelayError('LIMIT', `more than ${this.maxNodes} nodes were reported (serviceLimits.maxNodes)`);
    for (const name of forgotten) this.#entries.delete(name);
    for (const names of this.#names.values()) for (const name of forgotten) names.delete(name);
    return forgotten;
  }
}

/**
 * The changes that one reactor has not yet received. They wait one by one, in order. When too many wait, they are merged into one change
 * with the last state of each node, and so are those that follow until the reactor takes it.
 */
export class Feed {
  readonly #queue = new Fifo<Change>();
  /** Node states in the queue. */
  #queued = 0;
  /** The last state of each node; undefined unless changes were merged. */
  #merged: Map<string, ServiceNode> | undefined;
  /** What the reactor is processing. */
  #taken: readonly ServiceEvent[] = [];
  /** The nodes that are up as far as the reactor knows. */
  readonly #up = new Set<string>();
  /** Changes that were merged into others so far. */
  merges = 0;

  /** `maxQueued`: node states that may wait one by one, since what waits for long is no longer true. */
  constructor(readonly maxQueued: number) {}

  /** The number of node states that wait. */
  get length(): number {
    return this.#queued + (this.#merged?.size ?? 0);
  }

  put(change: Change): void {
    if (!this.#merged && this.#queued + change.size > this.maxQueued) this.#merge();
    if (this.#merged) this.#mergeIn(change);
    else if (change.size > 0) {
      this.#queue.push(change);
      this.#queued += change.size;
    }
  }

  /** The next changes, at most `max`, each a copy; empty if there are none. {@link done} must be called once they are processed. */
  take(max: number): readonly ServiceEvent[] {
    const taken: ServiceEvent[] = [];
    if (this.#merged && this.#merged.size > 0) taken.push(nodesOf(this.#merged));
    this.#merged = undefined;
    for (let change; taken.length < max && (change = this.#queue.shift());) {
      this.#queued -= change.size;
      taken.push(change.nodes);
    }
    // The reactor may know them from now on, whether it succeeds or not.
    for (const change of taken) for (const name in change) if (change[name]?.status === 'up') this.#up.add(name);
    this.#taken = taken;
    return taken.map((change) => Object.assign(none(), change));
  }

  /** The reactor has processed what was taken last. */
  done(): void {
    for (const change of this.#taken) for (const name in change) if (change[name]?.status === 'down') this.#up.delete(name);
    this.#taken = [];
  }

  /**
   * The reactor starts afresh: the next change has all nodes, and what the reactor may not have processed, such as the end of a node that
   * is no longer known.
   */
  restart(all: ServiceEvent): void {
    const earlier = this.#taken;
    this.#taken = [];
    this.#merge(earlier);
    for (const name in all) {
      const node = all[name];
      if (node) this.#merged?.set(name, node);
    }
  }

  /** Replaces the changes that wait, and those before them, by one. */
  #merge(earlier: readonly ServiceEvent[] = []): void {
    const later = this.#merged ?? new Map<string, ServiceNode>();
    this.#merged = new Map<string, ServiceNode>();
    for (const nodes of earlier) this.#mergeIn({ nodes });
    for (let change; (change = this.#queue.shift());) this.#mergeIn(change);
    this.#queued = 0;
    for (const [name, node] of later) this.#merged.set(name, node);
  }

  #mergeIn({ nodes, gone = [] }: Pick<Change, 'nodes' | 'gone'>): void {
    this.merges++;
    for (const name in nodes) {
      const node = nodes[name];
      if (node) this.#merged?.set(name, node);
    }
    // What came and went before the reactor knew it is forgotten, or the merged change would grow without limit.
    for (const name of gone) if (!this.#up.has(name)) this.#merged?.delete(name);
  }
}

function nodesOf(nodes: Iterable<readonly [string, ServiceNode]>): ServiceEvent {
  const event = none();
  for (const [name, node] of nodes) event[name] = node;
  return event;
}

/** Without a prototype, so that no name has a special meaning. */
function none(): Nodes {
  // Not Object.create(null), which V8 makes a hash table, slow to copy.
  return Object.setPrototypeOf({}, null) as Nodes;
}

/** The pipeline of a service as properties: whatever watchers report, and however reactors lag, each reactor ends with the last states. */
import test from 'ava';
import fc from 'fast-check';
import type { ServiceEvent, ServiceNode } from '../../src/plugin/plugin.ts';
import { BookKeeper, Feed } from '../../src/services/pipeline.ts';
import { readReport } from '../../src/services/report.ts';

const NAMES = ['a', 'b', 'c', 'd', '__proto__', 'constructor'];

/** What the watchers of a service report: some nodes, or all of them. */
const report = fc.record({
  watcher: fc.constantFrom('w1', 'w2'),
  isFull: fc.boolean(),
  nodes: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...NAMES),
      status: fc.constantFrom('up' as const, 'down' as const),
      host: fc.constantFrom('10.0.0.1', '10.0.0.2'),
      port: fc.constantFrom(80, 81),
    }),
    { selector: ({ name }) => name },
  ),
});
type Reported = typeof report extends fc.Arbitrary<infer T> ? T : never;

/** What happens to a feed: a report, the reactor takes and processes changes, or fails and starts again. */
const step = fc.oneof(
  { weight: 5, arbitrary: report.map((reported) => ({ type: 'report' as const, reported })) },
  { weight: 3, arbitrary: fc.nat({ max: 3 }).map((max) => ({ type: 'take' as const, max: max + 1 })) },
  { weight: 3, arbitrary: fc.constant({ type: 'done' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'fail' as const }) },
);

function read({ isFull, nodes }: Reported): ReturnType<typeof readReport> {
  if (isFull) return readReport(nodes);
  const named: Record<string, object> = Object.create(null) as Record<string, object>;
  for (const node of nodes) named[node.name] = node;
  return readReport(named);
}

/** The nodes that are up, for comparisons: a node that is down and one that is unknown are the same to a reactor. */
function up(nodes: Iterable<ServiceNode>): readonly ServiceNode[] {
  return [...nodes].filter(({ status }) => status === 'up').sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** As a list, since the library that compares would take a node of the name constructor for that of the object. */
function nodesIn(event: ServiceEvent): readonly ServiceNode[] {
  return Object.values(event);
}

/** The service as its reports define it, written as simply as possible. */
class Model {
  readonly #reports = new Map<string, { readonly watcher: string; readonly node: ServiceNode }[]>();

  take({ watcher, isFull, nodes }: Reported): void {
    if (isFull) {
      for (const [name, reports] of this.#reports) {
        if (nodes.some((node) => node.name === name)) continue;
        this.#reports.set(
          name,
          reports.filter((one) => one.watcher !== watcher),
        );
      }
    }
    for (const node of nodes) {
      const others = (this.#reports.get(node.name) ?? []).filter((one) => one.watcher !== watcher);
      this.#reports.set(node.name, [...others, { watcher, node }]);
    }
  }

  get up(): readonly ServiceNode[] {
    return up([...this.#reports.values()].flatMap((reports) => reports.at(-1)?.node ?? []));
  }
}

test('the last state of every node always arrives, whatever the reactor misses', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (steps, maxQueued) => {
      const book = new BookKeeper(1_000);
      const feed = new Feed(maxQueued);
      const model = new Model();
      let known = new Map<string, ServiceNode>();
      let taken: readonly ServiceEvent[] = [];
      const process = (): void => {
        for (const change of taken) for (const node of Object.values(change)) known.set(node.name, node);
        feed.done();
        taken = [];
      };
      for (const one of steps) {
        if (one.type === 'report') {
          model.take(one.reported);
          const change = book.take(one.reported.watcher, read(one.reported));
          if (change) feed.put(change);
        } else if (one.type === 'done') process();
        else if (one.type === 'fail') {
          // It may have processed a part of what it took. A new reactor knows nothing, or what is in a file.
          feed.restart(book.all());
          taken = [];
        } else if (taken.length === 0) taken = feed.take(one.max);
        // Merged or not, what waits is bounded.
        t.true(feed.length <= Math.max(maxQueued, 2 * NAMES.length));
      }
      process();
      for (taken = feed.take(1); taken.length > 0; taken = feed.take(1)) process();
      t.deepEqual(up(known.values()), model.up);
      t.deepEqual(up(Object.values(book.all())), model.up);
      t.is(book.up, model.up.length);

      // A new reactor learns the same from its first change alone.
      known = new Map();
      feed.restart(book.all());
      taken = feed.take(1);
      process();
      t.deepEqual(up(known.values()), model.up);
      t.deepEqual(feed.take(1), []);
    }),
    { numRuns: 500 },
  );
});

test('without congestion every change arrives by itself, in order', (t) => {
  fc.assert(
    fc.property(fc.array(report, { maxLength: 40 }), (reports) => {
      const book = new BookKeeper(1_000);
      const [prompt, late] = [new Feed(1_000), new Feed(1_000)];
      const changes: ServiceEvent[] = [];
      const seen: ServiceEvent[] = [];
      for (const reported of reports) {
        const change = book.take(reported.watcher, read(reported));
        if (!change) continue;
        // A name that is no longer known and was down before changes nothing for a reactor.
        if (change.size > 0) changes.push(change.nodes);
        for (const feed of [prompt, late]) feed.put(change);
        seen.push(...prompt.take(1));
        prompt.done();
      }
      t.deepEqual(seen.map(nodesIn), changes.map(nodesIn));
      t.deepEqual(late.take(1_000).map(nodesIn), changes.map(nodesIn));
      t.is(late.merges, 0);
    }),
  );
});

test('a change has exactly the nodes that differ from what was known', (t) => {
  fc.assert(
    fc.property(fc.array(report, { maxLength: 40 }), (reports) => {
      const book = new BookKeeper(1_000);
      for (const reported of reports) {
        const before = book.all();
        const change = book.take(reported.watcher, read(reported));
        const after = book.all();
        const changed = Object.values(change?.nodes ?? {});
        t.is(change?.size ?? 0, changed.length);
        for (const node of changed) t.notDeepEqual(before[node.name], node);
        for (const name of Object.keys(before))
          if (change?.nodes[name] === undefined) t.deepEqual(after[name] ?? down(before[name]), before[name]);
        // The same list again changes nothing.
        t.is(book.take(reported.watcher, read(reported))?.size, undefined);
      }
    }),
  );
});

function down(node: ServiceNode | undefined): unknown {
  return node && { ...node, status: 'down' };
}

test('a full list becomes minimal changes, and takes down only nodes of its own watcher', (t) => {
  const book = new BookKeeper(1_000);
  const node = (name: string, status = 'up'): object => ({ name, status, host: `${name}.example.org`, port: 80 });
  t.deepEqual(Object.keys(book.take('w1', readReport([node('a'), node('b')]))?.nodes ?? {}), ['a', 'b']);
  book.take('w2', readReport({ c: node('c'), b: node('b') }));
  t.is(book.take('w1', readReport([node('b'), node('a')])), undefined);
  const change = book.take('w1', readReport([node('d')]));
  // b is still known to w2.
  t.deepEqual(
    { ...change?.nodes },
    {
      a: { name: 'a', status: 'down', host: 'a.example.org', port: 80 },
      d: { name: 'd', status: 'up', host: 'd.example.org', port: 80 },
    },
  );
  t.deepEqual(change?.gone, ['a']);
  t.deepEqual(Object.keys(book.all()).sort(), ['b', 'c', 'd']);
  // The end of a node needs no address.
  t.deepEqual(book.take('w2', readReport({ c: { status: 'down' } }))?.nodes.c, {
    name: 'c',
    status: 'down',
    host: 'c.example.org',
    port: 80,
  });
});

test('nodes that are down are forgotten when there would be too many; too many that are up are refused', (t) => {
  const book = new BookKeeper(3);
  const report = (status: string, ...names: string[]): ReturnType<typeof readReport> =>
    readReport(Object.fromEntries(names.map((name) => [name, { status }])));
  book.take('w', report('up', 'a', 'b', 'c'));
  t.throws(() => book.take('w', report('up', 'd')), { message: /more than 3 nodes/ });
  t.is(book.size, 3);
  book.take('w', report('down', 'b'));
  t.deepEqual(book.take('w', report('up', 'd'))?.gone, ['b']);
  t.deepEqual(Object.keys(book.all()), ['a', 'c', 'd']);
});

test('a reactor that never runs again holds a bounded number of nodes, however many come and go', (t) => {
  const book = new BookKeeper(100);
  const feed = new Feed(10);
  for (let round = 0; round < 5_000; round++) {
    const change = book.take('w', readReport([{ name: `n${round}`, status: 'up', host: '10.0.0.1', port: 80 }]));
    if (change) feed.put(change);
  }
  t.true(feed.length <= 20, `${feed.length}`);
  const [last] = feed.take(1);
  t.is(last?.n4999?.status, 'up');
});

test('each reactor gets a map of its own, with frozen nodes', (t) => {
  const book = new BookKeeper(10);
  const feeds = [new Feed(10), new Feed(10)];
  const change = book.take('w', readReport({ a: { status: 'up' } }));
  for (const feed of feeds) if (change) feed.put(change);
  const [one, other] = feeds.map((feed) => feed.take(1)[0] as Record<string, ServiceNode>);
  delete one?.a;
  t.is(other?.a?.status, 'up');
  t.throws(() => {
    (other?.a as { status: string }).status = 'down';
  });
  t.is(book.all().a?.status, 'up');
});

for (const [title, value, expected] of [
  ['a text', 'up', /found a string/],
  ['nothing', undefined, /found undefined/],
  ['a status that is unknown', { a: { status: 'sick' } }, /the status of a is 'sick', expected up or down/],
  ['a name with a newline', { 'a\nb': { status: 'up' } }, /the name of a node/],
  ['an empty name', { '': { status: 'up' } }, /the name of a node/],
  ['a name of 256 characters', { ['a'.repeat(256)]: { status: 'up' } }, /the name of a node/],
  ['a host that breaks a configuration file', { a: { status: 'up', host: '10.0.0.1; evil' } }, /the host of a/],
  ['a port beyond the last', { a: { status: 'up', port: 65_536 } }, /the port of a is 65536/],
  ['a port that is a text', { a: { status: 'up', port: '80' } }, /the port of a/],
  ['two names for one node', { a: { name: 'b', status: 'up' } }, /another name inside/],
  [
    'a list with a node twice',
    [
      { name: 'a', status: 'up' },
      { name: 'a', status: 'down' },
    ],
    /two nodes a/,
  ],
  ['a list with a node without a name', [{ status: 'up' }], /the name of a node/],
] as const) {
  test(`a report is refused: ${title}`, (t) => {
    t.throws(() => readReport(value), { message: expected });
  });
}

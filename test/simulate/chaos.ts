/** One run of the simulator: a mesh is built, disturbed in every way, and healed; the oracle watches. */
import { Random } from '../fuzz/random.ts';
import { Oracle, Violation } from './oracle.ts';
import { World } from './world.ts';
import type { Overrides } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly overrides?: Overrides | undefined;
}

export interface RunResult {
  readonly seed: number;
  /** What was not kept; undefined if everything was. */
  readonly violation: string | undefined;
  readonly logHash: string;
  /** Virtual ms from the end of the disturbances until everything was delivered or reported. */
  readonly healedMs: number;
  readonly events: number;
  readonly counts: Oracle['counts'];
}

const CALM_MS = 5000;
const CHAOS_MS = 30_000;
// Connecting is tried every minute at the latest, and receipts are waited for up to 160 s.
const HEAL_MS = 300_000;

/** A connected graph: a ring, and as many chords at random as half of the nodes. */
export function randomEdges(nodes: number, random: Random): readonly (readonly [number, number])[] {
  const edges = Array.from({ length: nodes }, (_, index): [number, number] => [index, (index + 1) % nodes]);
  for (let count = 0; count < nodes / 2; count++) {
    const [one, other] = [random.below(nodes), random.below(nodes)];
    if (one !== other && !edges.some(([from, to]) => (from === one && to === other) || (from === other && to === one)))
      edges.push([one, other]);
  }
  // Some pairs connect to each other from both sides.
  return edges.flatMap(([from, to]): [number, number][] =>
    random.once(6)
      ? [
          [from, to],
          [to, from],
        ]
      : [[from, to]],
  );
}

/** See the head of this file. Never throws for a violation. */
export function run({ seed, nodes, overrides }: RunOptions): RunResult {
  const random = new Random(seed);
  const edges = randomEdges(nodes, random);
  const world: World = new World({
    ...{ random, nodes, edges, overrides },
    // Small enough that messages are read back from the disk, and moved on it, in some runs.
    limits: { cacheBytes: random.pick([300, 2000, 2 ** 20]), shortLog: random.pick([16, 256]) },
    capabilities: (index) => (index % 3 === 0 ? ['work:render'] : []),
    onEffect: (index, effect) => {
      oracle.effect(index, effect);
      if (effect.type !== 'deliver') return;
      const { life } = world.places[index]!;
      // The satellites take their time, and their node may crash meanwhile.
      world.after(random.below(50), () => {
        if (world.places[index]!.life !== life) return;
        oracle.processed(index, effect);
        world.event(index, { type: 'processed', delivery: effect.delivery, outcome: { type: 'done' } });
      });
    },
  });
  const oracle = new Oracle({
    now: () => world.now,
    ids: world.places.map(({ id }) => id),
    crashesOf: (index) => world.places[index]!.crashes,
    crashedAtOf: (index) => world.places[index]!.crashedAt,
  });
  const mesh = new Disturbed(world, oracle, random, edges);
  let violation: string | undefined;
  try {
    mesh.calm();
    mesh.chaos();
    mesh.heal();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error.message;
  }
  return { seed, violation, logHash: world.logHash(), healedMs: mesh.healedMs, events: world.events, counts: oracle.counts };
}

class Disturbed {
  healedMs = 0;
  readonly #undo: (() => void)[] = [];
  readonly #dead = new Set<number>();
  #sent = 0;

  constructor(
    private readonly world: World,
    private readonly oracle: Oracle,
    private readonly random: Random,
    private readonly edges: readonly (readonly [number, number])[],
  ) {}

  /** All nodes start, and get to know their neighbours: what is sent before that need not reach everybody. */
  calm(): void {
    if (this.random.once(4)) this.world.boaster = this.random.below(this.world.places.length);
    for (const index of this.world.places.keys()) this.world.start(index);
    this.world.runUntil(this.world.now + CALM_MS);
  }

  /** Messages are sent while the network, the nodes and the disks fail. */
  chaos(): void {
    const { world, random } = this;
    const { faults } = world;
    [faults.loss, faults.duplicates, faults.reorder] = [random.below(10) / 100, random.below(10) / 100, random.below(10) / 100];
    if (random.once(8)) [world.liar, faults.lies] = [random.below(world.places.length), 0.2];
    const end = world.now + CHAOS_MS;
    while (world.now < end) {
      for (let count = random.below(4); count > 0; count--) this.#send();
      if (random.once(6)) this.#disturb();
      world.runUntil(world.now + random.below(500));
    }
  }

  /** Everything works again, but for a node that never comes back. All durable messages must arrive now. */
  heal(): void {
    const { world, random } = this;
    Object.assign(world.faults, { loss: 0, duplicates: 0, reorder: 0, lies: 0 });
    for (const undo of this.#undo) undo();
    if (random.once(2)) {
      const index = random.below(world.places.length);
      this.#dead.add(index);
      world.crash(index, random.once(2));
    }
    const running = (index: number): boolean => !this.#dead.has(index);
    for (const index of world.places.keys()) if (running(index)) world.start(index);
    const begin = world.now;
    for (;;) {
      world.runUntil(world.now + 1000);
      // What a liar changed was refused, and its neighbours may be the only ones that a broadcast could come from.
      const problem = this.oracle.missing(running, world.liar === undefined)[0] ?? this.#wrongPath(running);
      if (problem === undefined) break;
      if (world.now - begin > HEAL_MS) throw new Violation(`after ${HEAL_MS} ms without disturbances: ${problem}`);
    }
    this.healedMs = world.now - begin;
    // Nothing is delivered again later on.
    world.runUntil(world.now + 5000);
  }

  #send(): void {
    const { world, random } = this;
    const from = random.below(world.places.length);
    if (!world.places[from]!.node || world.places[from]!.pausedUntil > world.now) return;
    const target = random.pick([
      { type: 'all' },
      { type: 'all' },
      { type: 'node', id: random.pick(world.places).id },
      { type: 'node', id: random.pick(world.places).id },
      { type: 'any', capability: 'work:render', key: String(random.below(5)) },
    ] as const);
    const token = `m${++this.#sent}`;
    const submission = {
      ...{ token, target, payload: Buffer.from(`${token} ${'x'.repeat(random.below(300))}`), isDurable: !random.once(4) },
      ...{ isOrdered: random.once(2), ttlMs: random.pick([3000, 600_000, 600_000, 600_000]), hostId: `h${from}`, generation: 0 },
      contentType: 'dict',
    };
    this.oracle.submitted(from, submission);
    // The wall clock of a node may jump by days; nothing may depend on it.
    const wallMs = world.now + random.pick([0, 0, -200_000_000, 200_000_000]);
    world.event(from, { type: 'submit', submission, wallMs });
  }

  #disturb(): void {
    const { world, random } = this;
    const index = random.below(world.places.length);
    const ms = random.below(12_000);
    switch (random.below(6)) {
      case 0:
        world.crash(index, random.once(2));
        this.#later(ms, () => {
          world.start(index);
        });
        return;
      case 1:
        world.pause(index, ms);
        return;
      case 2: {
        const [one, other] = random.pick(this.edges);
        this.#cut(ms, random.once(2) ? [[one, other]] : [[other, one]]);
        return;
      }
      case 3: {
        const [one, other] = random.pick(this.edges);
        this.#cut(ms, [
          [one, other],
          [other, one],
        ]);
        return;
      }
      case 4: {
        const side = new Set([...world.places.keys()].filter(() => random.once(2)));
        this.#cut(
          ms,
          this.edges
            .filter(([one, other]) => side.has(one) !== side.has(other))
            .flatMap(([one, other]) => [
              [one, other],
              [other, one],
            ]),
        );
        return;
      }
      default: {
        const [one, other] = random.pick(this.edges);
        world.reset(one, other);
      }
    }
  }

  #cut(ms: number, pairs: readonly (readonly [number, number])[]): void {
    for (const [from, to] of pairs) this.world.cut(from, to);
    this.#later(ms, () => {
      for (const [from, to] of pairs) this.world.restore(from, to);
    });
  }

  /** Ends a disturbance after some time, or when the mesh is healed. */
  #later(ms: number, end: () => void): void {
    let isOver = false;
    const once = (): void => {
      if (isOver) return;
      isOver = true;
      end();
    };
    this.#undo.push(once);
    this.world.after(ms, once);
  }

  /** The paths of all nodes lead to all others, over links that are up, and not in circles. */
  #wrongPath(running: (index: number) => boolean): string | undefined {
    const { places } = this.world;
    const indexes = new Map(places.map(({ id }, index) => [id, index]));
    for (const [from, start] of places.entries()) {
      for (const [to, { id }] of places.entries()) {
        if (from === to || !running(from) || !running(to)) continue;
        let at = start;
        for (let links = 0; at.id !== id; links++) {
          const hop = at.node?.path(id)?.hop;
          if (hop === undefined || at.node?.links().has(hop) !== true || links > places.length)
            return `no path leads from ${from} to ${to}`;
          at = places[indexes.get(hop)!]!;
        }
      }
    }
    return undefined;
  }
}

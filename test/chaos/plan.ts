/** What happens in a run: how the relays are linked, and which of them fail when. It follows from the seed alone. */
import { Random } from '../fuzz/random.ts';

export interface Plan {
  readonly shape: 'line' | 'ring' | 'random';
  /** How relays trust each other. */
  readonly trust: 'pin' | 'clusterSecret';
  /** Who lists whom: both, or only one of the two, which is enough where relays know a secret. */
  readonly edges: readonly (readonly [number, number])[];
  readonly faults: readonly Fault[];
}

export interface Fault {
  /** ms after the begin. */
  readonly at: number;
  /** `kill` is kill -9, `stop` asks it to end, `suspend` stops its process for a while. */
  readonly type: 'kill' | 'stop' | 'suspend';
  /** Undefined: all at once. */
  readonly node: number | undefined;
  /** How long it is away, in ms. */
  readonly forMs: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How long relays fail, in ms. */
  readonly chaosMs: number;
  /** Default: one of the three. */
  readonly shape?: Plan['shape'] | undefined;
  /** Default: at random. */
  readonly faults?: readonly Fault[] | undefined;
}

// A relay needs some seconds to be back on a machine with two cores.
const PAUSE_MS = 700;
const MORE_PAUSE_MS = 1800;

/** The plan of a seed. */
export function planOf({ seed, nodes, chaosMs, ...wanted }: PlanOptions): Plan {
  const random = new Random(seed);
  const any = random.pick(['line', 'ring', 'random'] as const);
  const shape = wanted.shape ?? any;
  const trust = random.pick(['pin', 'clusterSecret'] as const);
  const edges = linked(shape, nodes, random).flatMap(([one, other]): [number, number][] => {
    const both: [number, number][] = [
      [one, other],
      [other, one],
    ];
    return trust === 'clusterSecret' && random.once(2) ? [random.pick(both)] : both;
  });
  return { shape, trust, edges, faults: wanted.faults ?? faultsOf(nodes, chaosMs, random) };
}

function faultsOf(nodes: number, chaosMs: number, random: Random): readonly Fault[] {
  const faults: Fault[] = [];
  for (let at = PAUSE_MS + random.below(MORE_PAUSE_MS); at < chaosMs; at += PAUSE_MS + random.below(MORE_PAUSE_MS)) {
    const isAll = random.once(8);
    const type = isAll || !random.once(3) ? 'kill' : random.pick(['stop', 'suspend'] as const);
    const node = isAll ? undefined : random.below(nodes);
    faults.push({ at, type, node, forMs: type === 'suspend' ? 1000 + random.below(5000) : random.below(2500) });
  }
  return faults;
}

/** Pairs of neighbours. */
function linked(shape: Plan['shape'], nodes: number, random: Random): readonly (readonly [number, number])[] {
  const pairs = Array.from({ length: nodes - 1 }, (_, index): [number, number] => [index, index + 1]);
  if (shape === 'ring') pairs.push([nodes - 1, 0]);
  if (shape === 'random') {
    // A tree, and half as many links more.
    for (const pair of pairs) pair[0] = random.below(pair[1]);
    for (let count = 0; count < nodes / 2; count++) pairs.push([random.below(nodes), random.below(nodes)]);
  }
  const isSame = ([one, other]: readonly [number, number], [from, to]: readonly [number, number]): boolean =>
    (from === one && to === other) || (from === other && to === one);
  return pairs.filter((pair, index) => pair[0] !== pair[1] && pairs.findIndex((first) => isSame(pair, first)) === index);
}

/** What happens in a run: how the relays are linked, and which of them fail when. It follows from the seed alone. */
import { Random } from '../fuzz/random.ts';

export interface Plan {
  readonly shape: 'line' | 'ring' | 'random';
  /** Who lists whom; each pair is listed by one of the two or by both. */
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
}

// A relay needs some seconds to be back on a machine with two cores.
const PAUSE_MS = 700;
const MORE_PAUSE_MS = 1800;

/** The plan of a seed. */
export function planOf({ seed, nodes, chaosMs, shape: wanted }: PlanOptions): Plan {
  const random = new Random(seed);
  const any = random.pick(['line', 'ring', 'random'] as const);
  const shape = wanted ?? any;
  const edges = linked(shape, nodes, random);
  const faults: Fault[] = [];
  for (let at = PAUSE_MS + random.below(MORE_PAUSE_MS); at < chaosMs; at += PAUSE_MS + random.below(MORE_PAUSE_MS)) {
    const isAll = random.once(8);
    const type = isAll || !random.once(3) ? 'kill' : random.pick(['stop', 'suspend'] as const);
    const node = isAll ? undefined : random.below(nodes);
    faults.push({ at, type, node, forMs: type === 'suspend' ? 1000 + random.below(5000) : random.below(2500) });
  }
  return { shape, edges, faults };
}

function linked(shape: Plan['shape'], nodes: number, random: Random): Plan['edges'] {
  const line = Array.from({ length: nodes - 1 }, (_, index): [number, number] => [index, index + 1]);
  if (shape === 'ring') line.push([nodes - 1, 0]);
  if (shape === 'random') {
    // A tree, and half as many links more.
    for (const edge of line) edge[0] = random.below(edge[1]);
    for (let count = 0; count < nodes / 2; count++) line.push([random.below(nodes), random.below(nodes)]);
  }
  const isNew = ([one, other]: readonly [number, number], index: number): boolean =>
    one !== other && line.findIndex(([from, to]) => (from === one && to === other) || (from === other && to === one)) === index;
  // Both list each other, as users do it; a relay behind a NAT is listed by nobody.
  return line.filter(isNew).flatMap(([from, to]): [number, number][] =>
    random.once(4)
      ? [[from, to]]
      : [
          [from, to],
          [to, from],
        ],
  );
}

/** `npm run simulate -- --converge N`: how long a mesh of N relays that start together takes until each has a path to each other one. */
import { Topology } from '../../src/mesh-core/mesh-core.ts';
import { Random } from '../fuzz/random.ts';
import { randomEdges } from './chaos.ts';
import { World } from './world.ts';
import type { Overrides } from './world.ts';

export interface Convergence {
  /** Virtual seconds until all have paths to all; undefined if that took more than the limit. */
  readonly seconds: number | undefined;
  readonly frames: number;
  readonly cpuSeconds: number;
}

type SignedState = ReturnType<Topology['read']>;

/** Nodes of one process share what they read: a real node has its own, and only once. */
class SharingTopology extends Topology {
  static readonly #shared = new WeakMap<Buffer, SignedState>();

  override read(bytes: Buffer): SignedState {
    let state = SharingTopology.#shared.get(bytes);
    if (!state) SharingTopology.#shared.set(bytes, (state = super.read(bytes)));
    return state;
  }
}

const LIMIT_MS = 120_000;
const STEP_MS = 100;

/** See the head of this file. */
export function converge(nodes: number, seed: number): Convergence {
  const random = new Random(seed);
  const start = process.cpuUsage();
  const overrides: Overrides = { topology: (parts, now) => new SharingTopology(parts, now) };
  const world = new World({ random, nodes, edges: randomEdges(nodes, random), overrides, isLogged: false, onEffect: () => undefined });
  for (const index of world.places.keys()) world.start(index);
  const begin = world.now;
  const isConverged = (): boolean => world.places.every(({ node }) => node?.reachable() === nodes - 1);
  while (!isConverged() && world.now - begin < LIMIT_MS) world.runUntil(world.now + STEP_MS);
  const { user, system } = process.cpuUsage(start);
  const seconds = isConverged() ? (world.now - begin) / 1000 : undefined;
  return { seconds, frames: world.frames, cpuSeconds: (user + system) / 1e6 };
}

/**
 * `npm run simulate -- --backlog N`: N messages for all wait for a relay that is away. When it is back, how long do they take, and how long
 * do fresh messages take meanwhile?
 */
import { Random } from '../fuzz/random.ts';
import { World } from './world.ts';

export interface Drain {
  /** Virtual seconds until the relay that was away has all of them. */
  readonly seconds: number;
  /** Virtual ms from a fresh message to its arrival, sorted. */
  readonly freshMs: readonly number[];
  /** The same without a backlog. */
  readonly usualMs: readonly number[];
}

const PAYLOAD = Buffer.alloc(256, 'x');
const GROUP = 1000;
const FRESH = 100;
const EVERY_MS = 20;
const LIMIT_MS = 600_000;

/** See the head of this file. */
export function drainBacklog(messages: number, seed: number): Drain {
  const random = new Random(seed);
  const sentAt = new Map<string, number>();
  const freshMs: number[] = [];
  let arrived = 0;
  const world: World = new World({
    ...{ random, nodes: 2, edges: [[0, 1]], isLogged: false },
    onEffect: (index, effect) => {
      if (effect.type !== 'deliver') return;
      world.event(index, { type: 'processed', delivery: effect.delivery, outcome: { type: 'done' } });
      const at = sentAt.get(effect.head.ref);
      if (at === undefined) arrived++;
      else freshMs.push(world.now - at);
    },
  });
  const send = (ref: string): void => {
    const common = { target: { type: 'all' } as const, payload: PAYLOAD, isDurable: true, isOrdered: false, hostId: '', generation: 0 };
    world.event(0, { type: 'submit', submission: { ...common, token: 't', ref, contentType: 'test' }, wallMs: 0 });
  };
  const sendFresh = (name: string): readonly number[] => {
    freshMs.length = 0;
    for (let number = 1; number <= FRESH; number++) {
      sentAt.set(`${name} ${number}`, world.now);
      send(`${name} ${number}`);
      world.runUntil(world.now + EVERY_MS);
    }
    while (freshMs.length < FRESH && world.now - begin < LIMIT_MS) world.runUntil(world.now + EVERY_MS);
    return [...freshMs].sort((one, other) => one - other);
  };
  let begin = world.now;
  for (const index of [0, 1]) world.start(index);
  world.runUntil(world.now + 10_000);
  const usualMs = sendFresh('usual');
  world.crash(1, true);
  for (let sent = 0; sent < messages; sent += GROUP) {
    for (let one = 0; one < GROUP; one++) send('');
    world.runUntil(world.now + 100);
  }
  // Until the link is there, in virtual time.
  world.start(1);
  const hasArrived = (count: number): boolean => arrived >= count;
  while (!hasArrived(1)) world.runUntil(world.now + 1);
  begin = world.now;
  const during = sendFresh('fresh');
  while (!hasArrived(messages) && world.now - begin < LIMIT_MS) world.runUntil(world.now + EVERY_MS);
  if (!hasArrived(messages)) throw new Error(`${arrived} of ${messages} messages arrived within ${LIMIT_MS / 1000} s`);
  return { seconds: (world.now - begin) / 1000, freshMs: during, usualMs };
}

/** The value that this share of the sorted values does not exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

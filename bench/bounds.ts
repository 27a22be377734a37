/** What must stay small or linear: how long documents block the event loop, and how time and memory grow when the size doubles. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseCall, parseCallInSlices } from '../src/xmlrpc/xmlrpc.ts';
import { arrayOfStructs } from './documents.ts';
import { hostileDocuments } from './hostile.ts';
import { median } from './statistics.ts';
import type { Figure } from './table.ts';

const MIB = 1024 * 1024;

/** Milliseconds for which the worst documents of 1 MiB block the event loop, parsed in slices as the endpoint does, and as a whole. */
export async function holds(rounds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, bytes] of hostileDocuments()) {
    const [sliced, whole]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      sliced.push(await longestHold(bytes));
      whole.push(await holdOf(() => parseCall(bytes)));
    }
    figures.push({
      group: 'Documents of 1 MiB made to hurt: longest hold of the loop',
      what: name,
      value: median(sliced),
      unit: `ms in slices; ${median(whole).toFixed(1)} ms whole`,
      aim: { most: 50 },
    });
  }
  return figures;
}

async function longestHold(bytes: Buffer): Promise<number> {
  let longest = 0;
  let isOver = false;
  let last = performance.now();
  const watch = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(watch);
  };
  setImmediate(watch);
  await parseCallInSlices(bytes).catch(() => undefined);
  isOver = true;
  await new Promise(setImmediate);
  return longest;
}

async function holdOf(work: () => unknown): Promise<number> {
  // Garbage of earlier work must not count here.
  await new Promise(setImmediate);
  const start = performance.now();
  try {
    work();
  } catch {
    // Most of them are rejected sooner or later.
  }
  return performance.now() - start;
}

/** Time and memory for arrays of structs of one size and of twice that size. */
export function growth(rounds: number): Figure[] {
  const collect = collector();
  const figures: Figure[] = [];
  let before: Cost | undefined;
  for (const mib of [1, 2, 4, 8, 16]) {
    const { bytes } = arrayOfStructs(mib * MIB);
    // The first one includes what happens only once, such as compilation.
    const [, ...costs] = Array.from({ length: rounds + 1 }, () => costOf(bytes, collect));
    const now = { ms: median(costs.map(({ ms }) => ms)), held: median(costs.map(({ held }) => held)) };
    const ratios = before && [
      { to: 'x the time of half the size', ratio: now.ms / before.ms },
      { to: 'x the memory of half the size', ratio: now.held / before.held },
    ];
    figures.push({
      group: 'Twice the size',
      what: `${mib} MiB of structs`,
      value: now.held / bytes.length,
      unit: `bytes held per byte; ${now.ms.toFixed(1)} ms`,
      aim: { most: 4 },
      ratios: ratios ?? [],
    });
    before = now;
  }
  return figures;
}

interface Cost {
  readonly ms: number;
  /** Bytes of the values, without the document. */
  readonly held: number;
}

function costOf(bytes: Buffer, collect: () => void): Cost {
  collect();
  const heap = process.memoryUsage().heapUsed;
  const start = performance.now();
  const call = parseCall(bytes, { limits: { maxBodyBytes: bytes.length, maxValues: Infinity } });
  const ms = performance.now() - start;
  collect();
  const held = process.memoryUsage().heapUsed - heap;
  if (call.params.length !== 1) throw new Error('the array was not parsed');
  return { ms, held };
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

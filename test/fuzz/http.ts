/**
 * Sends random HTTP requests to every listener of running relays: no process may end or log an internal error, and the next ping is
 * answered.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { httpCase } from './http-case.ts';
import type { HttpCase } from './http-case.ts';
import { HttpRelays } from './http-relays.ts';
import type { Target } from './http-relays.ts';
import { Random } from './random.ts';

export interface HttpRun {
  /** How many are sent at least. */
  readonly requests: number;
  readonly seed: number;
  /** The number of the first connection; a finding names it, so that it can be repeated alone. */
  readonly first?: number;
}

export interface HttpOutcome {
  readonly requests: number;
  readonly connections: number;
  /** What went wrong, and how to repeat it; undefined if nothing did. */
  readonly finding: string | undefined;
  /** The exit codes of the relays after SIGTERM. */
  readonly exitCodes: readonly (number | null)[];
}

// Connections between two looks at the relays, and at once.
const BATCH = 200;
const AT_ONCE = 20;
// A client that waits for the end gives up then.
const PATIENCE_MS = 4000;

/** Runs until enough requests were sent, or something went wrong. */
export async function fuzzHttp({ requests, seed, first = 0 }: HttpRun): Promise<HttpOutcome> {
  const relays = new HttpRelays();
  let sent = 0;
  let next = first;
  let finding: string | undefined;
  let exitCodes: readonly (number | null)[] = [];
  try {
    await relays.start();
    while (sent < requests && finding === undefined) {
      const from = next;
      const end = from + Math.min(BATCH, requests - sent);
      const worker = async (): Promise<void> => {
        while (next < end && relays.trouble() === undefined) {
          const { target, what } = caseOf(seed, next++, relays.targets);
          sent += what.requests;
          await play(target, what);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      finding = await check(relays);
      if (finding !== undefined) finding = `connections ${from} to ${next - 1} of seed ${seed}: ${finding}`;
    }
  } finally {
    exitCodes = await relays.stop();
  }
  return { requests: sent, connections: next - first, finding, exitCodes };
}

async function check(relays: HttpRelays): Promise<string | undefined> {
  for (const target of relays.targets) {
    if (!(await target.answers())) return relays.trouble() ?? `no answer to a ping at ${target.name}`;
  }
  return relays.trouble();
}

function caseOf(seed: number, index: number, targets: readonly Target[]): { target: Target; what: HttpCase } {
  const random = new Random((seed + Math.imul(index, 0x85ebca6b)) >>> 0);
  const chosen = random.pick(targets.flatMap((target) => Array.from({ length: target.weight }, () => target)));
  return { target: chosen, what: httpCase(seed, index, chosen) };
}

async function play(target: Target, { pieces, ending }: HttpCase): Promise<void> {
  const socket = target.connect();
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve();
    });
  });
  const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
  socket.on('error', () => undefined);
  if (ending !== 'deaf') socket.resume();
  for (const piece of pieces) {
    await Promise.race([closed, new Promise((resolve) => socket.write(piece, resolve))]);
    await nextTurn();
  }
  if (ending === 'half-close') socket.end();
  else if (ending === 'reset' && target.isTcp) socket.resetAndDestroy();
  else if (ending === 'reset' || ending === 'close' || ending === 'deaf') socket.destroy();
  await closed;
  clearTimeout(timer);
}

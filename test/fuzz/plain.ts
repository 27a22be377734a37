/**
 * Compares the fast path for plain calls with the general path: the same bytes in the same pieces to two relays get the same answers and
 * endings, the same lines in the access log, the same dicts delivered with the same caller, and the same counters.
 */
import { isDeepStrictEqual } from 'node:util';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MemorySocket } from './memory-socket.ts';
import { plainCase } from './plain-case.ts';
import type { PlainCase } from './plain-case.ts';
import { startPair } from './plain-relays.ts';
import type { ComparedRelay, Pair } from './plain-relays.ts';
import { Random } from './random.ts';

export interface PlainRun {
  /** How many are sent at least. */
  readonly requests: number;
  readonly seed: number;
  /** The number of the first connection; a finding names it. */
  readonly first?: number;
  /** Connections at once. With one, rate limits and lockouts are compared as well. Default 40. */
  readonly atOnce?: number;
}

export interface PlainOutcome {
  readonly requests: number;
  readonly connections: number;
  /** What differed, and how to repeat it; undefined if nothing did. */
  readonly finding: string | undefined;
}

// Turns without a byte or an event after which nothing more is expected; the slowest method takes three.
const QUIET_TURNS = 5;
const MAX_TURNS = 2000;
// Few enough calls per second that the limit is reached, and the lockout.
const LIMITED = {
  limits: {
    anonymous: { perSecond: 2, burst: 5 },
    local: { perSecond: 2, burst: 5 },
    peer: { perSecond: 2, burst: 5 },
    satellite: { perSecond: 2, burst: 5 },
    token: { perSecond: 2, burst: 5 },
  },
  maxWrongCredentials: 2,
};

export async function fuzzPlain({ requests, seed, first = 0, atOnce = 40 }: PlainRun): Promise<PlainOutcome> {
  const pair = await startPair(atOnce === 1 ? LIMITED : {});
  let [sent, next] = [0, first];
  let finding: string | undefined;
  try {
    while (sent < requests && finding === undefined) {
      const cases = Array.from({ length: atOnce }, (_, at) =>
        plainCase(new Random((seed + Math.imul(next + at, 0x85ebca6b)) >>> 0), next + at),
      );
      const runs = cases.map((what, at) => new Comparison(pair, what, next + at));
      await Promise.all(runs.map((run) => run.play(atOnce === 1)));
      finding = runs.map((run) => run.difference()).find((text) => text !== undefined) ?? differentEvents(pair) ?? differentCounters(pair);
      for (const run of runs) run.close();
      // Ends what a closed connection leaves behind, and refills some of the limits.
      await nextTurn();
      pair.clock.advance(100);
      if (finding !== undefined) finding = `connections ${next} to ${next + atOnce - 1} of seed ${seed}: ${finding}`;
      sent += cases.reduce((sum, what) => sum + what.requests, 0);
      next += atOnce;
    }
  } finally {
    await pair.stop();
  }
  return { requests: sent, connections: next - first, finding };
}

/** Undefined if both relays logged and delivered the same, in any order. */
function differentEvents({ fast, general }: Pair): string | undefined {
  const [ours, theirs] = [fast, general].map((relay) => relay.take().toSorted()) as [string[], string[]];
  if (isDeepStrictEqual(ours, theirs)) return undefined;
  const only = (list: readonly string[], other: readonly string[]): string =>
    JSON.stringify(list.filter((line) => !other.includes(line)).slice(0, 5));
  return `${ours.length} and ${theirs.length} events; only with the fast path: ${only(ours, theirs)}; only without: ${only(theirs, ours)}`;
}

function differentCounters({ fast, general }: Pair): string | undefined {
  const [ours, theirs] = [fast.counters(), general.counters()];
  return isDeepStrictEqual(ours, theirs)
    ? undefined
    : `counters: ${JSON.stringify(ours)} with the fast path, ${JSON.stringify(theirs)} without`;
}

/** One connection to both relays. */
class Comparison {
  readonly #sides: readonly (readonly [ComparedRelay, MemorySocket])[];

  constructor(
    pair: Pair,
    private readonly what: PlainCase,
    private readonly index: number,
  ) {
    const { remoteAddress, isSlow } = what;
    this.#sides = [pair.fast, pair.general].map((relay) => [relay, relay.connect(remoteAddress, isSlow)] as const);
  }

  /** Sends everything. `inOrder`: every client waits after every piece, since limits depend on what has been counted. */
  async play(inOrder: boolean): Promise<void> {
    const { pieces, isHasty, isSlow, ending } = this.what;
    // What comes after a request that ends the connection may be carried out or not, if the client does not read first.
    const isPatient = inOrder || isSlow;
    for (const piece of pieces) {
      // One path may notice a turn earlier than the other that a request ends the connection; neither gets what comes after it.
      if (this.#sides.some(([, socket]) => socket.destroyed || socket.readableEnded)) break;
      for (const [, socket] of this.#sides) socket.push(piece);
      if (isPatient) await this.#settle();
      else if (!isHasty) await nextTurn();
    }
    await this.#settle();
    for (const [, socket] of this.#sides) {
      if (socket.destroyed) continue;
      if (ending === 'half-close') socket.push(null);
      else if (ending === 'close') socket.destroy();
    }
    await this.#settle();
  }

  difference(): string | undefined {
    // Nearly always, and quicker than the comparison below.
    if (this.#sides[0]?.[1].text === this.#sides[1]?.[1].text && this.#isEndedAlike()) return undefined;
    const [fast = '', general = ''] = this.#sides.map(
      ([relay, socket]) => `${relay.textOf(socket)}${socket.hasEnded || socket.destroyed ? '(ended)' : '(open)'}`,
    );
    if (fast === general) return undefined;
    let at = 0;
    while (fast[at] === general[at]) at++;
    const show = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 200), at + 200));
    const pieces = JSON.stringify(this.what.pieces.map((piece) => piece.toString('latin1').slice(0, 1500)));
    return `connection ${this.index}: with the fast path ${show(fast)}, without ${show(general)}; sent, then ${this.what.ending}: ${pieces}`;
  }

  #isEndedAlike(): boolean {
    const [one, other] = this.#sides.map(([, socket]) => socket.hasEnded || socket.destroyed);
    return one === other;
  }

  close(): void {
    for (const [, socket] of this.#sides) socket.destroy();
  }

  async #settle(): Promise<void> {
    let last = '';
    for (let [quiet, turns] = [0, 0]; quiet < QUIET_TURNS && turns < MAX_TURNS; turns++) {
      await nextTurn();
      const state = this.#sides.map(([, socket]) => `${socket.written.length} ${socket.hasEnded} ${socket.destroyed}`).join();
      quiet = state === last ? quiet + 1 : 0;
      last = state;
    }
  }
}

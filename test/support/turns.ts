/** Counts turns of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MaybePromise } from '../../src/core/core.ts';

/** Runs `work`; returns its result and the number of turns of the event loop meanwhile. */
export async function turnsDuring<T>(work: () => MaybePromise<T>): Promise<{ turns: number; result: T }> {
  let turns = 0;
  const done = new AbortController();
  const counting = (async () => {
    for (; !done.signal.aborted; turns++) await nextTurn();
  })();
  try {
    const result = await work();
    return { result, turns };
  } finally {
    done.abort();
    await counting;
  }
}

/** Lets this many turns of the event loop pass. */
export async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn();
}

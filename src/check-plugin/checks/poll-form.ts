/** What only a program that fetches its calls can be seen to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Check } from '../exam.ts';
import { failed, ok } from '../outcome.ts';

const LOOK_MS = 20;

const FETCHES: Check = {
  name: 'it fetches its calls',
  section: 'Without a server',
  expected: 'a call of plugin.next within 5 s, always',
  advice: 'call plugin.next again after each answer, at once: that it fetches is its sign of life',
  needsMain: true,
  look: async ({ main, parts: { limits } }) => {
    await main.ping(limits.pingMs);
    return ok();
  },
};

const EMPTY: Check = {
  name: 'that there is no call is no call',
  section: 'Without a server',
  expected: 'plugin.next again, after an empty struct was its answer',
  advice: 'an answer of plugin.next without the member id is no call: ask again',
  needsMain: true,
  look: async ({ main, parts: { clock, limits, standIn } }) => {
    const seen = standIn.seen(main.id);
    const until = clock.now() + limits.pingMs;
    while (seen.empties === 0 && !main.end && clock.now() < until) await sleep(LOOK_MS);
    const before = seen.fetches;
    while (seen.fetches === before && !main.end && clock.now() < until) await sleep(LOOK_MS);
    return seen.fetches > before ? ok() : failed(main.end?.reason ?? `it did not ask again in ${limits.pingMs} ms`);
  },
};

export const POLL_FORM: readonly Check[] = [FETCHES, EMPTY].map((check) => ({ ...check, when: ({ isPoll }) => isPoll }));

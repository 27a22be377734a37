/** The machine of a link: each state with each event, and what no order of events can bring about. */
import test from 'ava';
import fc from 'fast-check';
import { step } from '../../src/links/link-state.ts';
import type { LinkEffect, LinkInput, LinkState } from '../../src/links/link-state.ts';

const backoff = { minMs: 100, maxMs: 1000, random: () => 0.5 };
const idle: LinkState = { kind: 'idle' };
const closed: LinkState = { kind: 'closed' };
const sending = (failures = 0, draining = false): LinkState => ({ kind: 'sending', failures, draining });
const waiting = (failures: number): LinkState => ({ kind: 'waiting', failures });
const post: LinkEffect = { type: 'post' };
const close: LinkEffect = { type: 'close' };
const wait = (ms: number, failures: number): LinkEffect => ({ type: 'wait', ms, failures });
const recovered = (failures: number): LinkEffect => ({ type: 'recovered', failures });
const answered = (left: number): LinkInput => ({ type: 'answered', left });
const drain: LinkInput = { type: 'drain' };
const ping: LinkInput = { type: 'ping' };
const [queued, failed, due, end]: LinkInput[] = [{ type: 'queued' }, { type: 'failed' }, { type: 'due' }, { type: 'close' }];

type Row = readonly [before: LinkState, event: LinkInput | undefined, after: LinkState, effects: readonly LinkEffect[]];

const TABLE: readonly Row[] = [
  [idle, queued, sending(), [post]],
  [idle, ping, sending(), [post]],
  [idle, answered(0), idle, []],
  [idle, failed, idle, []],
  [idle, due, idle, []],
  [idle, drain, closed, [close]],
  [idle, end, closed, [close]],

  [sending(), queued, sending(), []],
  [sending(), ping, sending(), []],
  [sending(), answered(0), idle, []],
  [sending(), answered(2), sending(), [post]],
  [sending(), failed, waiting(1), [wait(50, 1)]],
  [sending(), due, sending(), []],
  [sending(), drain, sending(0, true), []],
  [sending(), end, closed, [close]],
  [sending(2), answered(0), idle, [recovered(2)]],
  [sending(2), answered(1), sending(), [recovered(2), post]],
  [sending(2), failed, waiting(3), [wait(200, 3)]],
  [sending(2), { type: 'failed', atLeastMs: 5_000 }, waiting(3), [wait(5_000, 3)]],
  [sending(2), { type: 'failed', atLeastMs: 10 }, waiting(3), [wait(200, 3)]],
  [sending(2), { type: 'failed', progressed: true }, waiting(0), [recovered(2), wait(50, 0)]],
  [sending(), { type: 'failed', progressed: true }, waiting(0), [wait(50, 0)]],
  [sending(2), drain, sending(2, true), []],

  [sending(0, true), queued, sending(0, true), []],
  [sending(0, true), answered(1), sending(0, true), [post]],
  [sending(0, true), answered(0), closed, [close]],
  [sending(0, true), failed, closed, [close]],
  [sending(0, true), drain, sending(0, true), []],
  [sending(0, true), end, closed, [close]],
  [sending(1, true), answered(1), sending(0, true), [recovered(1), post]],
  [sending(1, true), answered(0), closed, [recovered(1), close]],

  [waiting(1), queued, waiting(1), []],
  [waiting(1), ping, waiting(1), []],
  [waiting(1), answered(0), waiting(1), []],
  [waiting(1), failed, waiting(1), []],
  [waiting(3), due, sending(3), [post]],
  [waiting(1), drain, closed, [close]],
  [waiting(1), end, closed, [close]],

  ...[queued, ping, answered(1), failed, due, drain, end].map((event): Row => [closed, event, closed, []]),
];

for (const [before, event, after, effects] of TABLE) {
  test(`${JSON.stringify(before)} + ${JSON.stringify(event)}`, (t) => {
    t.deepEqual(step(before, event!, backoff), [after, effects]);
  });
}

const events: fc.Arbitrary<LinkInput> = fc.oneof(
  fc.constantFrom<LinkInput>(...[queued, failed, due, ping].map((event) => event!)),
  fc.nat(3).map(answered),
  { weight: 1, arbitrary: fc.constant(drain) },
);

test('invariants hold for any events in any order', (t) => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const limits = fc.record({
    minMs: fc.integer({ min: 1, max: 5000 }),
    maxMs: fc.integer({ min: 1, max: 3_600_000 }),
    random: random.map((one) => () => one),
  });
  fc.assert(
    fc.property(limits, fc.array(events, { maxLength: 100 }), fc.nat(100), (policy, history, closeAt) => {
      let state: LinkState = { kind: 'idle' };
      let inFlight = false;
      let timer = false;
      let isClosed = false;
      for (const [index, event] of history.entries()) {
        const now = index === closeAt ? ({ type: 'close' } as const) : event;
        if (now.type === 'answered' || now.type === 'failed') {
          if (!inFlight) continue;
          inFlight = false;
        }
        if (now.type === 'due') {
          if (!timer) continue;
          timer = false;
        }
        const [next, effects]: readonly [LinkState, readonly LinkEffect[]] = step(state, now, policy);
        if (isClosed) t.deepEqual([next, effects], [state, []], 'nothing after closed');
        for (const effect of effects) {
          if (effect.type === 'post') {
            t.false(inFlight, 'one post at a time');
            inFlight = true;
          } else if (effect.type === 'wait') {
            t.true(effect.ms >= 0 && effect.ms <= policy.maxMs && Number.isInteger(effect.ms), String(effect.ms));
            t.false(timer, 'one timer at a time');
            timer = true;
          } else if (effect.type === 'close') {
            t.false(isClosed, 'closed once');
            isClosed = true;
          }
        }
        t.is(next.kind === 'closed', isClosed);
        if (next.kind === 'sending') t.true(inFlight, 'sending means that a post is under way');
        if (next.kind === 'waiting') t.true(timer, 'a link that waits will be woken');
        state = next;
      }
    }),
  );
});

test('the back-off grows from min to max and never exceeds max, even after a million failures', (t) => {
  const pauses = [0, 1, 2, 3, 4, 30, 31, 1_000_000].map((failures) => {
    const [, effects] = step(sending(failures), failed!, { minMs: 100, maxMs: 1000, random: () => 0.999_999 });
    return (effects[0] as { ms: number }).ms;
  });
  t.deepEqual(pauses, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
});

/** What hooks of relay plugins may do to a dict, and what becomes of it when they misbehave. */
import test from 'ava';
import { Fault, Refusal, RelayError, systemClock } from '../../src/core/core.ts';
import { dictOf, shareDict } from '../../src/values/values.ts';
import type { Clock } from '../../src/core/core.ts';
import type { Dict, Value } from '../../src/values/values.ts';
import { Hook } from '../../src/plugin-host/hooks/hook.ts';
import type { HookContext } from '../../src/plugin/relay-plugin.ts';
import { parseCall, serialiseNotify } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { SELF, callerOf, makeHeart, received } from './heart.ts';

const PEER = callerOf('peer', '192.0.2.9');
const CLIENT = callerOf('local', '192.0.2.5');
const BY = 'p@192.0.2.9:2004';
const stamped = (data: Value, id = 'far.1'): Dict =>
  received({ data, host_id: 'o@198.51.100.1:2004', co2: { id, hops: 14, age: 30, by: BY, via: ['o@198.51.100.1:2004'] } });

type Method = (dict: Dict, context: HookContext) => unknown;

interface Wanted {
  readonly onAccept?: readonly Method[];
  readonly onForward?: readonly Method[];
  readonly clock?: Clock;
  readonly limits?: { readonly maxMessages: number; readonly maxBytes: number };
}

/** A relay whose dicts pass these hooks, `ham.H0`, `ham.H1` and so on. */
function hooked({ onAccept = [], onForward = [], clock, limits = { maxMessages: 1000, maxBytes: 2e6 } }: Wanted) {
  const heart = makeHeart({}, [], true, clock, limits);
  const counters = { passed: 0, transformed: 0, refused: 0, late: 0, failed: 0 };
  const make = (method: Method, index: number): Hook =>
    new Hook({
      ...{ name: `ham.H${index}`, directory: '/plugins', method, counters, timeoutMs: 1000, maxDictBytes: 1000 },
      ...{ clock: clock ?? systemClock, log: heart.log.source('relay-plugins') },
    });
  heart.setHooks({ onAccept: onAccept.map(make), onForward: onForward.map(make) });
  return {
    ...{ heart, counters, router: heart.router, status: heart.status },
    delivered: () => heart.delivered.map(({ message }) => shareDict(message.frozen())),
    forwarded: () => heart.forwarded.map((message) => shareDict(message.frozen())),
    notify: (dict: Dict, caller = CLIENT) => heart.call('notify', [dict], caller),
  };
}

/** The dict with other members, as a hook returns it. */
const changed = (dict: Dict, members: object): object => Object.assign({}, dict, members);

const data = ({ data: value }: Dict): Value | undefined => value;

test('at the origin, satellites and peers get the dict that a hook returns, with its original sender', async (t) => {
  const kit = hooked({
    onForward: [(dict) => changed(dict, { data: [dict.data, 'seen'], host_id: SELF, client_address: 'x', co2: { by: 'me' } })],
  });
  t.true(await kit.notify(received({ data: 1, more: 'kept' })));
  const [dict] = kit.delivered();
  t.like(dict, { more: 'kept', client_address: ['192.0.2.5', 4711] });
  t.deepEqual(dict?.data, [1, 'seen']);
  t.regex(dict?.host_id as string, /^[0-9a-f]{16}@192\.0\.2\.5:0$/);
  t.false(Object.hasOwn(dict!, 'co2'));
  t.deepEqual(kit.forwarded(), kit.delivered());
  t.like(kit.heart.forwarded[0], { hopsLeft: 16, via: [], verdict: 'checked' });
  t.regex(kit.heart.forwarded[0]!.payload.toString(), /seen/);
  t.deepEqual({ ...kit.counters }, { passed: 0, transformed: 1, refused: 0, late: 0, failed: 0 });
});

test('at delivery, local satellites get the result of all hooks in turn; peers get the original dict', async (t) => {
  const kit = hooked({
    onAccept: [(dict) => ({ data: [dict.data, 'a'] }), ({ data: value }) => Promise.resolve({ data: [value!, 'b'] }), () => undefined],
  });
  await kit.notify(stamped(1), PEER);
  t.deepEqual(kit.delivered().map(data), [[[1, 'a'], 'b']]);
  t.like(kit.delivered()[0], { host_id: 'o@198.51.100.1:2004' });
  t.deepEqual(kit.forwarded().map(data), [1]);
  t.like(kit.heart.forwarded[0], { id: 'far.1', hopsLeft: 14 });
  t.like(kit.counters, { transformed: 2, passed: 1 });
});

test('what a satellite here sent is forwarded as a hook changed it, with the members that this relay sets', async (t) => {
  const kit = hooked({ onForward: [(dict) => changed(dict, { data: 'seen', host_id: 'forged@10.0.0.1:1', co2: { by: 'me' } })] });
  await kit.router.send('ham.spam.Spam', { data: 1 });
  const body = serialiseNotify(kit.heart.forwarded[0]!, { host_id: SELF });
  const [dict] = parseCall(body).params as readonly [Dict];
  t.deepEqual(dict, dictOf(Object.entries({ data: 'seen', host_id: SELF })));
});

test('the context of a hook says where the dict is, who sent and who submitted it, and where it goes', async (t) => {
  const seen: HookContext[] = [];
  const note: Method = (_dict, context) => void seen.push(context);
  const kit = hooked({ onAccept: [note], onForward: [note] });
  await kit.notify(received({ data: 1 }));
  await kit.router.send('ham.spam.Spam', { data: 2 });
  await kit.notify(stamped(3), PEER);
  const to = ['http://192.0.2.9:2004'];
  const client = { kind: 'client', name: '192.0.2.5' };
  const satellite = { kind: 'satellite', name: 'ham.spam.Spam' };
  const peer = { kind: 'peer', name: BY };
  t.deepEqual(
    seen.map(({ where, hops, ageMs, verdict, from, to: targets }) => ({ where, hops, ageMs, verdict, from, to: targets })),
    [
      { where: 'origin', hops: 0, ageMs: 0, verdict: 'checked', from: client, to },
      { where: 'delivery', hops: 0, ageMs: 0, verdict: 'checked', from: client, to: [] },
      { where: 'origin', hops: 0, ageMs: 0, verdict: 'local', from: satellite, to },
      { where: 'delivery', hops: 0, ageMs: 0, verdict: 'local', from: satellite, to: [] },
      { where: 'delivery', hops: 2, ageMs: 30, verdict: 'vouched', from: peer, to: [] },
      { where: 'through', hops: 2, ageMs: 30, verdict: 'vouched', from: peer, to },
    ] as never,
  );
  t.is(seen[4]?.id, 'far.1');
  t.is(seen[0]?.id, kit.heart.forwarded[0]?.id);
});

const THROUGH: readonly (readonly [what: string, hook: Method, goesOn: boolean, counter: string])[] = [
  ['looks', () => undefined, true, 'passed'],
  ['looks and takes its time', () => Promise.resolve(), true, 'passed'],
  [
    'refuses',
    () => {
      throw new Refusal('not that way');
    },
    false,
    'refused',
  ],
  ['refuses later', () => Promise.reject(new Refusal('not that way')), false, 'refused'],
  ['returns another dict', (dict) => changed(dict, { data: 'mine' }), false, 'failed'],
  ['returns the same dict', (dict) => dict, false, 'failed'],
  [
    'fails',
    () => {
      throw new Error('oh');
    },
    false,
    'failed',
  ],
];

for (const [what, hook, goesOn, counter] of THROUGH) {
  test(`a dict that goes through, and a hook that ${what}: ${goesOn ? 'it goes on as it came' : 'it goes no further'}, and is delivered here`, async (t) => {
    const kit = hooked({ onForward: [(dict, context) => (context.where === 'through' ? hook(dict, context) : undefined)] });
    const dict = stamped(1);
    t.true(await kit.notify(dict, PEER), 'the peer has done its part');
    t.deepEqual(kit.delivered().map(data), [1]);
    t.deepEqual(kit.forwarded().map(data), goesOn ? [1] : []);
    t.like(kit.counters, { transformed: 0, [counter]: 1 });
    t.like(kit.status(), { accepted: 1, refusedByHooks: 0, heldBack: goesOn ? 0 : 1 });
  });
}

test('a refused dict: its submitter gets the reason, it is not delivered, and it may be submitted again', async (t) => {
  let opinion: Error | undefined = new Refusal('it has no key');
  const judge: Method = () => {
    if (opinion) throw opinion;
  };
  const kit = hooked({ onAccept: [judge] });
  for (const hand of [
    () => kit.notify(stamped(1), PEER),
    () => kit.notify(received({ data: 1 })),
    () => kit.router.send('ham.spam.Spam', { data: 1 }),
  ]) {
    const error = await t.throwsAsync(hand);
    t.like(error, { code: 'FORBIDDEN', message: 'relay plugin ham.H0 refused the dict: it has no key' });
  }
  t.deepEqual([kit.delivered(), kit.forwarded()], [[], []]);
  t.like(kit.counters, { refused: 3 });
  t.like(kit.status(), { accepted: 0, sent: 0, duplicates: 0, refusedByHooks: 3 });
  t.is(kit.heart.log.matching(/^refused far\.1 \(delivery\) by ham\.H0: it has no key$/).length, 1);
  for (const own of [new RelayError('UNAVAILABLE', 'the list is being read'), new Fault(42, 'no such room')]) {
    opinion = own;
    t.is(await t.throwsAsync(kit.notify(stamped(1), PEER)), own, 'its own fault, if it says which');
  }
  opinion = undefined;
  t.true(await kit.notify(stamped(1), PEER));
  t.is(kit.delivered().length, 1, 'it was never here before');
});

const circle: Record<string, unknown> = { data: 1 };
circle.data = circle;

const BROKEN: readonly (readonly [what: string, method: Method, logged: RegExp])[] = [
  ['a text', () => 'ok', /it returned a string: return nothing to let it pass/],
  ['true', () => true, /it returned a boolean/],
  ['null', () => null, /it returned null/],
  ['a list', () => [{ data: 1 }], /it returned an array/],
  ['a function', () => () => undefined, /it returned a function/],
  ['an instance', () => new Date(), /it returned a date/],
  ['a dict without data', () => ({ date: 1 }), /without the member 'data'/],
  ['a dict with what cannot be written', () => ({ data: () => 1 }), /failed/],
  ['a dict in a circle', () => circle, /failed/],
  ['a dict that is too large', () => ({ data: 'x'.repeat(2000) }), /at most 1000 are allowed \(maxBodyBytes\)/],
  [
    'a getter that throws',
    () => ({
      get data() {
        throw new Error('boo');
      },
    }),
    /cannot be|failed/,
  ],
  ['a promise of rubbish', () => Promise.resolve(5), /it returned an int/],
  [
    'a thenable that throws',
    () => ({
      then: () => {
        throw new Error('then');
      },
    }),
    /then/,
  ],
  [
    'a then that cannot be looked at',
    () => ({
      get then() {
        throw new Error('peek');
      },
    }),
    /peek/,
  ],
  [
    'nothing, since it threw',
    () => {
      throw new Error('secret of /home/me');
    },
    /secret of \/home\/me/,
  ],
  [
    'nothing, since it threw a text',
    () => ({
      then: (_taken: unknown, reject: (reason: unknown) => void) => {
        reject('just text');
      },
    }),
    /just text/,
  ],
  [
    'nothing, since it wrote to a frozen dict',
    (dict) => {
      (dict as { data: Value }).data = 2;
    },
    /read only/,
  ],
];

for (const [what, method, logged] of BROKEN) {
  test(`a hook that returns ${what}: the dict is refused, the log says why, the sender does not hear it`, async (t) => {
    const kit = hooked({ onForward: [method] });
    const error = await t.throwsAsync(kit.notify(received({ data: 1 })));
    t.like(error, { code: 'FORBIDDEN', message: "relay plugin ham.H0 failed, so the dict is refused; the relay's log has the reason" });
    t.deepEqual([kit.delivered(), kit.forwarded()], [[], []]);
    t.like(kit.counters, { failed: 1, transformed: 0 });
    t.deepEqual(
      kit.heart.log.lines.all.filter(({ text }) => logged.test(text)).map(({ level }) => level),
      ['warn'],
    );
  });
}

test('a flood of dicts that a hook fails at is one warning a second, and all are at debug', async (t) => {
  const kit = hooked({ onForward: [() => 5], clock: new VirtualClock() });
  for (let time = 0; time < 20; time++) await t.throwsAsync(kit.notify(received({ data: time })));
  const lines = kit.heart.log.lines.all.filter(({ text }) => text.includes('ham.H0 failed'));
  t.is(lines.filter(({ level }) => level === 'warn').length, 1);
  t.is(lines.length, 20);
});

test('bytes and dates are the hook’s own: what it does to them nobody else sees', async (t) => {
  const spoil: Method = ({ data: value }) => {
    const [bytes, date] = value as [Buffer, Date];
    bytes.fill(0);
    date.setTime(0);
  };
  const kit = hooked({ onAccept: [spoil], onForward: [spoil] });
  await kit.notify(received({ data: [Buffer.from('abc'), new Date(1e12)] }));
  t.deepEqual(kit.delivered().map(data), [[Buffer.from('abc'), new Date(1e12)]]);
});

test('a hook that hangs: its dict is refused in time, its signal is aborted, the next dict passes, and its late result is ignored', async (t) => {
  const clock = new VirtualClock();
  const late = new Gate<(answer: unknown) => void>();
  let signal: AbortSignal | undefined;
  const hang: Method = (dict, context) => {
    if (dict.data !== 'hang') return undefined;
    signal = context.signal;
    return new Promise((resolve) => {
      late.push(resolve);
    });
  };
  const kit = hooked({ onAccept: [hang], clock });
  const first = kit.notify(received({ data: 'hang' }));
  const second = kit.notify(received({ data: 'next' }));
  const [answer] = await late.first(1);
  clock.advance(1000);
  t.like(await t.throwsAsync(first), { code: 'FORBIDDEN' });
  t.true(await second);
  t.true(signal?.aborted);
  answer?.({ data: 'too late' });
  await Promise.resolve();
  t.deepEqual(kit.delivered().map(data), ['next']);
  t.like(kit.counters, { late: 1, passed: 1, transformed: 0 });
  t.is(kit.heart.log.matching(/did not answer in 1000 ms \(hookTimeoutMs\)/).length, 1);
  t.is(clock.pending, 0, 'no timer is left');
});

test('a thousand dicts while a hook takes its time: each once, in the order in which they came, and then the answer', async (t) => {
  const turns = new Gate<() => void>();
  const slow: Method = ({ data: value }) =>
    // Every third one waits for others, the rest does not.
    (value as number) % 3 > 0
      ? undefined
      : new Promise<void>((resolve) => {
          turns.push(resolve);
        });
  const kit = hooked({ onAccept: [slow] });
  const answered: number[] = [];
  const all = Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      await (index % 2 === 0 ? kit.notify(received({ data: index })) : kit.router.send('ham.spam.Spam', { data: index }));
      answered.push(index);
    }),
  );
  for (let count = 1; count <= 334; count++) {
    const [...waiting] = await turns.first(count);
    t.true(kit.delivered().length < count * 3, 'none overtakes the one that waits');
    waiting[count - 1]?.();
  }
  await all;
  const notified = kit.delivered().map(data) as number[];
  t.is(notified.length, 1000);
  const byWay = (rest: number): number[] => notified.filter((value) => value % 2 === rest);
  for (const rest of [0, 1])
    t.deepEqual(
      byWay(rest),
      [...byWay(rest)].sort((a, b) => a - b),
      'of each sender in order',
    );
  t.deepEqual(
    kit.heart.forwarded.map(({ id }) => id),
    kit.heart.delivered.map(({ message }) => message.id),
  );
  t.is(new Set(answered).size, 1000);
});

for (const [what, limits] of [
  ['dicts', { maxMessages: 3, maxBytes: 1e6 }],
  ['bytes', { maxMessages: 1000, maxBytes: 2500 }],
] as const) {
  test(`the line of those that wait is bounded in ${what}: who comes then is told to come later, and may`, async (t) => {
    const gate = new Gate<() => void>();
    const kit = hooked({
      onAccept: [
        ({ data: value }) =>
          value === 0
            ? new Promise<void>((resolve) => {
                gate.push(resolve);
              })
            : undefined,
      ],
      limits,
    });
    const first = kit.notify(stamped(0, 'far.0'), PEER);
    const waiting = [1, 2, 3].map((index) =>
      kit.notify(stamped(index, `far.${index}`), PEER).then(
        () => true,
        (error: unknown) => error,
      ),
    );
    const fourth = await t.throwsAsync(kit.notify(stamped(4, 'far.4'), PEER));
    t.like(fourth, { code: 'UNAVAILABLE' });
    t.true(kit.status().hooksOverflowed >= 1);
    t.is(kit.status().hooksWaiting, what === 'dicts' ? 3 : 1);
    const [open] = await gate.first(1);
    open?.();
    t.true(await first);
    const taken = (await Promise.all(waiting)).filter((outcome) => outcome === true).length;
    t.is(kit.delivered().length, taken + 1);
    t.true(await kit.notify(stamped(4, 'far.4'), PEER));
    t.is(kit.delivered().length, taken + 2, 'it was not taken for a duplicate');
    t.is(kit.heart.log.matching(/refused a dict: .* are already waiting for the hooks of relay plugins \(hookLine\)/).length, 1);
  });
}

test('without hooks, and with hooks that answer at once, a dict is accepted in the same moment', (t) => {
  const plain = makeHeart();
  t.is(typeof plain.router.accept(received({ data: 1 }), CLIENT), 'string');
  const kit = hooked({ onAccept: [() => undefined], onForward: [(dict) => changed(dict, { seen: true })] });
  t.is(typeof kit.router.accept(received({ data: 1 }), CLIENT), 'string');
  t.is(kit.delivered().length, 1);
});

test('a stop waits for the running hook, and refuses the dicts that still wait after the time limit', async (t) => {
  const clock = new VirtualClock();
  const gate = new Gate<() => void>();
  const kit = hooked({
    onAccept: [
      () =>
        new Promise<void>((resolve) => {
          gate.push(resolve);
        }),
    ],
    clock,
  });
  await kit.router.settle(100);
  const first = kit.notify(received({ data: 1 }));
  const second = kit.notify(received({ data: 2 }));
  const [open] = await gate.first(1);
  const settled = kit.router.settle(100);
  clock.advance(100);
  t.like(await t.throwsAsync(second), { code: 'UNAVAILABLE' });
  open?.();
  await settled;
  t.true(await first);
  t.deepEqual(kit.delivered().map(data), [1]);
});

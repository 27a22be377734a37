/** The stamp between relays: read whole or refused, with the damaged member named. */
import test from 'ava';
import { readStamp } from '../../src/relay/stamp.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { received } from './heart.ts';

const ATT = { by: 'f@10.0.0.1:1', observed_ip: '10.0.0.2', verdict: 'checked' };
const GOOD: Readonly<Record<string, Sendable>> = { id: 'abc.1', hops: 15, age: 20, by: 'p@10.0.0.9:2004', via: ['a@10.0.0.3:1'], att: ATT };
const WEEK = 7 * 24 * 3600 * 1000;

test('a whole stamp is read', (t) => {
  const attestation = { by: 'f@10.0.0.1:1', observedIp: '10.0.0.2', verdict: 'checked' };
  t.like(readStamp(received(GOOD)), { id: 'abc.1', hops: 15, age: 20, by: 'p@10.0.0.9:2004', via: ['a@10.0.0.3:1'], attestation });
});

const STILL_GOOD: readonly (readonly [what: string, change: Readonly<Record<string, Sendable | undefined>>])[] = [
  ['no via', { via: undefined }],
  ['no att', { att: undefined }],
  ['no hops left', { hops: 0 }],
  ['all hops left', { hops: 16 }],
  ['a week old', { age: WEEK }],
  ['brand new', { age: 0 }],
  ['an id of 128 characters', { id: 'x'.repeat(128) }],
  ['16 relays passed', { via: Array.from({ length: 16 }, (_, index) => `a@10.0.0.${index}:1`) }],
  ['members of a later version', { path: 'x', sig: Buffer.from('y') }],
];

for (const [what, change] of STILL_GOOD) {
  test(`${what}: read`, (t) => {
    t.notThrows(() => readStamp(received({ ...GOOD, ...change })));
  });
}

const DAMAGED: readonly (readonly [member: string, values: readonly (Sendable | undefined)[]])[] = [
  ['id', [undefined, '', 5, null, ['x'], 'x'.repeat(129), 'a b', 'a\nb', 'ä']],
  ['hops', [undefined, -1, 17, 1.5, '5', null, true, 2 ** 31 - 1]],
  ['age', [undefined, -1, 0.5, '5', null, WEEK + 1, 2n ** 62n]],
  ['by', [undefined, 5, null, ['p@10.0.0.9:1'], {}]],
  ['via', ['a@10.0.0.3:1', 5, null, {}, [5], ['a@10.0.0.3:1', null], Array.from({ length: 17 }, () => 'a@10.0.0.3:1')]],
  [
    'att',
    [
      'x',
      5,
      null,
      [],
      {},
      { ...ATT, by: 5 },
      { ...ATT, observed_ip: null },
      { ...ATT, verdict: 'vouched' },
      { by: ATT.by, verdict: 'checked' },
    ],
  ],
];

for (const [member, values] of DAMAGED) {
  for (const value of values) {
    test(`${member} ${shown(value)}: refused by name`, (t) => {
      const stamp = received({ ...GOOD, [member]: value });
      const error = t.throws(() => readStamp(stamp));
      t.like(error, { code: 'INVALID_PARAMS' });
      t.true(error.message.includes(`co2.${member} is not `), error.message);
    });
  }
}

for (const co2 of [null, 'x', 5, [], Buffer.from('x')] as Value[]) {
  test(`a stamp that is ${shown(co2)}: refused`, (t) => {
    t.throws(() => readStamp(co2), { code: 'INVALID_PARAMS', message: /co2 is not a struct/ });
  });
}

function shown(value: Sendable | undefined): string {
  return typeof value === 'bigint' ? `${value}n` : value === undefined ? 'missing' : JSON.stringify(value).slice(0, 40);
}

/** Validation of what programs report about themselves. */
import test from 'ava';
import type { Value } from '../../../src/values/values.ts';
import { readDescription, readVersion } from '../../../src/plugin-host/programs/description.ts';
import { incompatibility } from '../../../src/plugin-host/hosted/module-file.ts';

const method = (more: Readonly<Record<string, Value>>): Value => ({ capabilities: [], methods: [{ name: 'ham.add', ...more }] });

test('a description has names, help, signatures and access classes', (t) => {
  const methods = [
    { name: 'ham.spam.add', help: 'Adds.\nTwo lines\u001b.', signature: [['int', 'int', 'int']], params: ['a', ''], access: 'admin' },
    { name: 'ham.all' },
  ];
  const { capabilities, methods: read } = readDescription('ham', { capabilities: ['receive', 'exposed'], methods } as unknown as Value);
  t.deepEqual([...capabilities], ['receive', 'exposed']);
  t.deepEqual(read, [
    { name: 'ham.spam.add', help: 'Adds.\nTwo lines\ufffd.', signature: [['int', 'int', 'int']], paramNames: ['a', ''], access: 'admin' },
    { name: 'ham.all', help: '', signature: undefined, paramNames: [], access: 'call' },
  ]);
});

const WRONG: readonly (readonly [Value, RegExp])[] = [
  ['text', /its answer is not a struct/],
  [{ capabilities: 'receive' }, /capabilities is not an array/],
  [{ reads: 'nil' }, /reads is not an array of at most 100 texts/],
  [{ methods: [1] }, /methods\[0\]: it is not a struct/],
  [{ methods: Array.from({ length: 1_001 }, (_, index) => ({ name: `ham.m${index}` })) }, /not an array of at most 1000/],
  [{ methods: [{ name: 'ham.a' }, { name: 'ham.a' }] }, /two methods ham\.a/],
  [method({ name: 'hamster.add' }), /does not begin with 'ham\.'/],
  [method({ name: 'ham.' }), /does not begin with 'ham\.'/],
  [method({ name: 'ham.a b' }), /not a method name/],
  [method({ name: `ham.${'x'.repeat(300)}` }), /not a method name/],
  [method({ help: 'x'.repeat(10_001) }), /the help of ham\.add/],
  [method({ access: 'read' }), /the access of ham\.add is not one of message, call, admin/],
  [method({ signature: [[]] }), /the signature of ham\.add/],
  [method({ signature: [['<b>']] }), /the signature of ham\.add/],
  [method({ params: 'a' }), /the params of ham\.add are not an array of at most 100 names/],
  [method({ params: ['a: int'] }), /the params of ham\.add/],
  [method({ params: ['x'.repeat(65)] }), /the params of ham\.add/],
  [method({ params: Array.from({ length: 101 }, (_, index) => `p${index}`) }), /the params of ham\.add/],
];

for (const [answer, reason] of WRONG) {
  test(`invalid answer is rejected: ${reason.source}: ${JSON.stringify(answer).slice(0, 100)}`, (t) => {
    t.throws(() => readDescription('ham', answer), { code: 'PLUGIN_REFUSED', message: reason });
  });
}

test('a version range that the relay satisfies, one that it does not, and none', (t) => {
  const of = (requires: string): string | undefined => incompatibility(readVersion({ version: '1.0.0', requires }), '0.9.1');
  t.is(of('^0.9.0'), undefined);
  t.is(of('>=0.1 <2'), undefined);
  t.is(of('^1.0.0'), 'its version 1.0.0 requires a relay ^1.0.0, and this one is 0.9.1');
  t.regex(of('newest') ?? '', /requires the relay 'newest', which is not a version range/);
  t.is(incompatibility(readVersion({}), '0.9.1'), undefined);
  t.throws(() => readVersion({ version: 1 }), { code: 'PLUGIN_REFUSED', message: /version is not a text of at most 100 characters/ });
  t.throws(() => readVersion({ requires: 'x'.repeat(201) }), {
    code: 'PLUGIN_REFUSED',
    message: /requires is not a text of at most 200 characters/,
  });
});

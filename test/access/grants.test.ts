/** Globs of method names, and address blocks. */
import test from 'ava';
import { addressBlock } from '../../src/message/message.ts';
import { isMethodGlob, permissionOf } from '../../src/access/access.ts';

const CASES: readonly (readonly [glob: string, covered: readonly string[], not: readonly string[]])[] = [
  ['ping', ['ping'], ['pings', 'Ping', 'web.ping', '']],
  ['*', ['ping', 'ham.spam.add', 'a'], ['']],
  ['ham.*', ['ham.spam', 'ham.spam.add', 'ham.a'], ['ham.', 'ham', 'hamx.a', 'a.ham.b']],
  ['*.add', ['ham.spam.add', 'a.add'], ['.add', 'ham.addx', 'add']],
  ['ham.*.get_*', ['ham.spam.get_x', 'ham.a.b.get_x', 'ham.get_.get_y'], ['ham..get_', 'ham.spam.get_', 'ham.get_x']],
  ['a*a', ['aba', 'aaa'], ['aa', 'a', 'ab']],
  ['a*b*c', ['a1b2c', 'abbbc'], ['abc', 'abbc', 'a1bc', 'ab2c']],
  ['constructor', ['constructor'], ['toString', '__proto__']],
];

for (const [glob, covered, not] of CASES) {
  test(`${glob} covers ${covered.join()}, and not ${not.join()}`, (t) => {
    const { covers } = permissionOf({ classes: [], methods: [glob] });
    for (const name of covered) t.true(covers(name), name);
    for (const name of not) t.false(covers(name), name);
  });
}

test('any of several globs will do, none covers nothing', (t) => {
  const { covers } = permissionOf({ classes: [], methods: ['ping', 'ham.*'] });
  t.true(covers('ping') && covers('ham.spam'));
  t.false(covers('spam'));
  t.false(permissionOf({ classes: [], methods: [] }).covers('ping'));
});

test('a glob with a hundred stars is answered at once for a name made against it', (t) => {
  const glob = `${'a*'.repeat(99)}b`;
  t.true(isMethodGlob(glob));
  const start = process.cpuUsage().user;
  t.false(permissionOf({ classes: [], methods: [glob] }).covers('a'.repeat(100_000)));
  t.true(process.cpuUsage().user - start < 1_000_000);
});

test('invalid globs', (t) => {
  for (const text of ['', 'a b', 'a**', 'a-b', 'ä', 'a?', '[a]', 'x'.repeat(201), 'a\n']) t.false(isMethodGlob(text), text);
});

test('address blocks', (t) => {
  t.is(addressBlock('198.51.100.7'), '198.51.100.7');
  t.is(addressBlock('2001:db8:1:2:3:4:5:6'), addressBlock('2001:db8:1:2::9'));
  t.not(addressBlock('2001:db8:1:2::9'), addressBlock('2001:db8:1:3::9'));
  t.not(addressBlock('fe80::1%eth0'), addressBlock('fe80::2%eth0'));
  t.is(addressBlock('127.0.0.1'), addressBlock('::1'));
  t.is(addressBlock('127.0.0.1'), addressBlock('127.9.9.9'));
});

/** array, and what applies to arrays and structs: order, nesting, paths in errors. */
import type { Row } from './rows.ts';
import { array, boolean, both, dict, double, int, malformed, reads, string, struct, unwritable, writes, wrong } from './rows.ts';

const deep = (levels: number): unknown[] => (levels === 1 ? [] : [deep(levels - 1)]);
const ring: unknown[] = [];
ring.push({ ring });
const revoked = Proxy.revocable({}, {});
revoked.revoke();
class Point {
  x = 1;
}

export const arrays: readonly Row[] = [
  both('an empty array is not an empty struct', array(), []),
  both('spec <array>: mixed types', array(int(12), string('Egypt'), boolean('0'), int(-31)), [12, 'Egypt', false, -31]),
  both('array in array', array(array(), array(array())), [[], [[]]]),
  both('struct after struct', array(struct(['a', int(1)]), struct(['a', int(2)])), [dict('a', 1), dict('a', 2)]),
  both('a value after a nested array', array(array(int(1)), int(2)), [[1], 2]),
  both('npm xmlrpc: falsy values are values', array(int(0), string(''), boolean('0'), double('-0.0')), [0, '', false, -0]),
  both('[undefined] has no text, [[]] has', array(array()), [[]]),
  both(
    'a hundred',
    array(...Array.from({ length: 100 }, (_, n) => int(n))),
    Array.from({ length: 100 }, (_, n) => n),
  ),
  reads('white space everywhere', ' <array> <data> <value> <int>1</int> </value> </data> </array> ', [1], array(int(1))),
  reads(
    'CRLF everywhere, as the C library writes',
    '<array>\r\n<data>\r\n<value><i4>1</i4></value>\r\n</data>\r\n</array>',
    [1],
    array(int(1)),
  ),
  reads(
    'comments and instructions between elements',
    '<array><!--a--><data><?b?><value>1</value><!--c--></data><?d?></array>',
    ['1'],
    array(string('1')),
  ),
  reads('data as an empty-element tag', '<array><data/></array>', [], array()),
  reads(
    'empty untyped values',
    '<array><data><value/><value></value><value> </value></data></array>',
    ['', '', ' '],
    array(string(''), string(''), string(' ')),
  ),
  reads('CDATA of white space between elements', '<array><data><![CDATA[ \n]]><value>1</value></data></array>', ['1'], array(string('1'))),
  reads('a reference to white space between elements', '<array>&#32;<data>&#10;</data></array>', [], array()),
  reads('attributes are ignored', '<array a="1"><data b="2"><value c="3">x</value></data></array>', ['x'], array(string('x'))),
  reads('PHP writes empty arrays without data', '<array/>', [], array()),
  reads('no data', '<array></array>', [], array()),
  reads('no data, but white space and a comment', '<array> <!-- none -->\n</array>', [], array()),
  reads('both beside others', array('<array/>', '<array></array>', int(1)), [[], [], 1], array(array(), array(), int(1))),
  wrong('two data', '<array><data/><data/></array>', 15, /<data>/),
  wrong('a value beside data', '<array><data/><value>1</value></array>', 15, /<value>/),
  wrong('a value in an array without data', '<array><value>1</value></array>', 8, /<value>/),
  wrong('an int in data', '<array><data><int>1</int></data></array>', 14, /<int>/),
  wrong('data in data', '<array><data><data/></data></array>', 14, /<data>/),
  wrong('text in data', '<array><data>x</data></array>', 14, /text/),
  wrong('text between values', '<array><data><value/>x<value/></data></array>', 22, /text/),
  wrong('text in an array', '<array>x<data/></array>', 8, /text/),
  wrong('text after data', '<array><data/>x</array>', 15, /text/),
  wrong('text by reference', '<array>&#65;<data/></array>', 8, /text/),
  wrong('text in CDATA', '<array><![CDATA[x]]><data/></array>', 17, /text/),
  wrong('NEL is not white space', '<array>\u0085<data/></array>', 8, /text/),
  wrong('a no-break space is not white space', '<array>\u00a0<data/></array>', 8, /text/),
  wrong('U+FEFF is not white space', '<array>\ufeff<data/></array>', 8, /text/),
  malformed('crossed tags', '<array><data></array></data>', 14, /data/),
  malformed('an array that does not end', '<array><data><value>1</value>', 30, /value|ends|missing|closed/),

  writes('one object twice is not a cycle', ((shared) => [shared, shared])([1]), array(array(int(1)), array(int(1)))),
  unwritable('undefined', undefined, 'params[0]', /undefined/),
  unwritable('undefined in an array', [1, undefined], 'params[0][1]', /undefined/),
  unwritable('a hole in an array', Array(1), 'params[0][0]', /undefined/),
  unwritable('a long sparse array', Array(4e9), 'params[0][0]', /undefined/),
  unwritable('a function', { f: () => 1 }, 'params[0].f', /function/),
  unwritable('a class', [Point], 'params[0][0]', /function/),
  unwritable('a symbol', [Symbol('s')], 'params[0][0]', /symbol/),
  unwritable('nil is an extension that has to be enabled', [null], 'params[0][0]', /nil/, { i8: true }),
  unwritable('a cycle', ring, 'params[0][0].ring', /itself/),
  unwritable('a cycle through a Map', ((map) => map.set('m', map))(new Map<string, unknown>()), 'params[0].m', /itself/),
  unwritable('too deep', deep(65), `params[0]${'[0]'.repeat(64)}`, /deeper than 64/),
  unwritable('a Set', new Set(), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('a WeakMap', new WeakMap(), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('a class instance', [new Point()], 'params[0][0]', /an instance of \w+ cannot be sent/),
  unwritable('a promise', Promise.resolve(1), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('an error', new Error('x'), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('a regular expression', /x/, 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('a boxed string', Object('x'), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('an object with inherited members', Object.create({ a: 1 }), 'params[0]', /an instance of \w+ cannot be sent/),
  unwritable('a revoked proxy', [revoked.proxy], 'params[0][0]', /cannot be read/),
];

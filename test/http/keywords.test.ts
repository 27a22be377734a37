/** Methods as keywords: names as Robot Framework compares them, arguments and types in its spelling, parameters for the method. */
import test from 'ava';
import { describeKeyword, findKeyword, keywordsOf, parametersOf } from '../../src/http/robot-endpoint.ts';
import { dictOf } from '../../src/values/values.ts';
import type { Method } from '../../src/rpc/rpc.ts';

function method(name: string, signatures?: Method['signatures']): Method {
  return { name, help: 'Helps.', access: 'call', signatures, invoke: () => true };
}

const named = (methods: readonly Method[]): string[] => methods.map(({ name }) => name);

test('of names that Robot Framework considers equal, the first one sorted is the keyword', (t) => {
  const methods = ['a.b.do_it', 'a.b.Do_It', 'a.b.doit', 'a.b.other', 'a.c.doit'].map((name) => method(name));
  t.deepEqual(named(keywordsOf(methods)), ['a.b.Do_It', 'a.b.other', 'a.c.doit']);
  t.deepEqual(named(keywordsOf(methods.toReversed())), ['a.b.Do_It', 'a.b.other', 'a.c.doit']);
});

test('a name selects the method of exactly this name, or else the keyword that Robot Framework considers equal', (t) => {
  const methods = ['a.b.Do_It', 'a.b.doit', 'a.b.other'].map((name) => method(name));
  for (const [spoken, found] of [
    ['a.b.doit', 'a.b.doit'],
    ['a.b.Do_It', 'a.b.Do_It'],
    ['A.B.Do It', 'a.b.Do_It'],
    ['a.b.DOIT', 'a.b.Do_It'],
    ['a . b . o_t_h_e_r', 'a.b.other'],
    ['a.b.oth', undefined],
    ['', undefined],
    ['__proto__', undefined],
  ] as const)
    t.is(findKeyword(methods, spoken)?.name, found, spoken);
});

const ARGUMENTS: readonly (readonly [
  what: string,
  signatures: Method['signatures'],
  args: readonly string[],
  types: Readonly<Record<string, string>>,
])[] = [
  ['nothing is known', undefined, ['*args'], {}],
  ['no parameters', [['int']], [], {}],
  ['two', [['int', 'int', 'string']], ['arg1', 'arg2'], { arg1: 'int', arg2: 'str' }],
  [
    'all types',
    [['any', 'i4', 'i8', 'double', 'boolean', 'base64', 'dateTime.iso8601', 'array', 'any', 'nil']],
    ['arg1', 'arg2', 'arg3', 'arg4', 'arg5', 'arg6', 'arg7', 'arg8', 'arg9'],
    { arg1: 'int', arg2: 'int', arg3: 'float', arg4: 'bool', arg5: 'bytes', arg6: 'datetime', arg7: 'list' },
  ],
  ['optional ones', [['int', 'int', 'int'], ['int', 'int'], ['int']], ['arg1=', 'arg2='], { arg1: 'int', arg2: 'int' }],
  ['a struct at the end', [['int', 'string', 'struct']], ['arg1', 'arg2=', '**named'], { arg1: 'str', arg2: 'dict' }],
  ['a struct before', [['int', 'struct', 'string']], ['arg1', 'arg2'], { arg1: 'dict', arg2: 'str' }],
];

for (const [what, signatures, args, types] of ARGUMENTS) {
  test(`arguments: ${what}`, (t) => {
    t.deepEqual(describeKeyword(method('ham.spam.run', signatures)), { args, types, doc: 'Helps.', tags: ['ham.spam', 'call'] });
  });
}

test('named arguments become a final struct; bytes become a string where only a string is valid', (t) => {
  const struct = dictOf([['a', 1]]);
  const bytes = Buffer.from([0x61, 0x00, 0xe4]);
  const texts = method('m', [
    ['int', 'string', 'base64'],
    ['int', 'string'],
  ]);
  t.deepEqual(parametersOf(texts, [1], undefined), [1]);
  t.deepEqual(parametersOf(texts, [1], struct), [1, struct]);
  t.deepEqual(parametersOf(texts, [bytes, bytes], undefined), ['a\0ä', bytes]);
  t.deepEqual(parametersOf(method('m'), [bytes], undefined), [bytes]);
});

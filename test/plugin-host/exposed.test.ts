/** Exposed methods: names, help, signatures, and what is enforced. */
import test from 'ava';
import ts from 'typescript';
import { Double, Int64, dictOf } from '../../src/values/values.ts';
import { parameterNames } from '../../src/plugin-host/modules/parameter-names.ts';
import { satelliteSource, started } from './kit.ts';

const zod = JSON.stringify(new URL('../../node_modules/zod/index.js', import.meta.url).href);

const SPAM = satelliteSource(
  'Spam',
  `
  /** Adds two numbers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number) { return a + b; }

  @Exposed({ params: ['any'], returns: 'double' }) double(value: number) { return value; }
  @Exposed({ params: ['any'], returns: 'i8' }) long(value: number) { return value; }
  @Exposed({ params: ['any'], returns: 'string' }) async text(value: unknown) { return value; }
  @Exposed({ params: ['i8', 'double', 'boolean', 'string', 'dateTime.iso8601', 'base64', 'array', 'struct', 'nil'], returns: 'boolean' })
  all() { return true; }

  /** Derived. */
  @Exposed() derived(a: string, b: number, c: boolean, d: Date, e: Buffer, f: string[], g: Dict): string { return a; }
  @Exposed async unknown(a: string): Promise<string> { return a; }
  @Exposed() union(a: string | number): string { return String(a); }
  @Exposed() nothing(): void {}
  @Exposed() fail(): string { throw new Fault(42, 'no such room'); }
  hidden() { return 'secret'; }
`,
);

test('an exposed method is called as package.module.method, with its help and signature', async (t) => {
  const { call, method } = await started(t, { 'ham/spam.ts': SPAM });
  t.is(await call('ham.spam.add', 1, 2), 3);
  t.is(method('ham.spam.add')?.help, 'Adds two numbers.');
  t.deepEqual(method('ham.spam.add')?.signature, [['int', 'int', 'int']]);
  t.is(method('ham.spam.union')?.help, '');
  t.deepEqual(method('ham.spam.add')?.paramNames, ['a', 'b']);
  t.deepEqual(method('ham.spam.all')?.paramNames, []);
});

test('names of parameters are read from the source of a method; what has no single name has none', (t) => {
  class Named {
    usual(a: number, b = 1) {
      return a + b;
    }
    async *work(payload: Buffer, /* ) */ unit: string) {
      yield [payload, unit];
    }
    ['a(b'](quoted = '), c', { x, y } = { x: [1, 2], y: (() => 2)() }, $last = '"(', ...rest: number[]) {
      return [quoted, x, y, $last, rest];
    }
    hard(pattern = /[(,]/, b = 1) {
      return [pattern, b];
    }
    wide(größe: number, last: number) {
      return größe + last;
    }
  }
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Named.prototype)).slice(1);
  t.deepEqual(
    methods.map(([name, { value }]) => [name, parameterNames(value as () => unknown)]),
    [
      ['usual', ['a', 'b']],
      ['work', ['payload', 'unit']],
      ['a(b', ['quoted', '', '$last']],
      ['hard', []],
      ['wide', ['', 'last']],
    ],
  );
  const arrow = (a: number): number => Math.max(a);
  t.deepEqual([Math.max, arrow, arrow.bind(undefined)].map(parameterNames), [[], ['a'], []]);
});

test('only decorated methods of the class itself are exposed', async (t) => {
  const { names } = await started(t, {
    'ham/spam.ts': SPAM + `@Satellite() export class Heir extends Spam { @Exposed() own() { return 1; } }`,
  });
  const expected = ['add', 'double', 'long', 'text', 'all', 'derived', 'unknown', 'union', 'nothing', 'fail'].map(
    (name) => `ham.spam.${name}`,
  );
  t.deepEqual(names(), ['ham.spam.own', ...expected]);
});

test('declared parameters are enforced before the call', async (t) => {
  const { call } = await started(t, { 'ham/spam.ts': SPAM });
  const refused = (message: string): { code: string; message: string } => ({ code: 'INVALID_PARAMS', message: `ham.spam.add: ${message}` });
  const usage = '(signature: int ham.spam.add(a: int, b: int))';
  await t.throwsAsync(call('ham.spam.add', 1, '2'), refused(`parameter 2 is a string, expected int ${usage}`));
  await t.throwsAsync(call('ham.spam.add', 1), refused(`1 parameter given, expected 2 ${usage}`));
  await t.throwsAsync(call('ham.spam.add', 1, 2, 3), refused(`3 parameters given, expected 2 ${usage}`));
  await t.throwsAsync(call('ham.spam.add', 1, 2 ** 31), refused(`parameter 2 is an integer beyond 32 bits, expected int ${usage}`));
  await t.throwsAsync(call('ham.spam.add', 1.5, 2), refused(`parameter 1 is a double, expected int ${usage}`));
});

test('each declared type accepts its own values and no others', async (t) => {
  const { call } = await started(t, { 'ham/spam.ts': SPAM });
  const right = [2n ** 62n, 1.5, true, 'x', new Date(0), Buffer.from('x'), [1], dictOf(), null];
  t.true(await call('ham.spam.all', ...right));
  for (const [index, value] of right.entries()) {
    for (const [other, wrong] of right.entries()) {
      if (other === index) continue;
      const params = right.with(index, wrong);
      await t.throwsAsync(call('ham.spam.all', ...params), { code: 'INVALID_PARAMS' }, `${typeof wrong} as ${typeof value}`);
    }
  }
});

test('the declared result decides how a number is written, and is checked', async (t) => {
  const { call } = await started(t, { 'ham/spam.ts': SPAM });
  t.deepEqual(await call('ham.spam.double', 1), new Double(1));
  t.deepEqual(await call('ham.spam.long', 5), new Int64(5n));
  t.deepEqual(await call('ham.spam.long', 2n ** 62n), new Int64(2n ** 62n));
  t.is(await call('ham.spam.text', 'x'), 'x');
  await t.throwsAsync(call('ham.spam.text', 5), { code: 'APPLICATION', message: 'ham.spam.text: it returned an int, but declares string' });
  await t.throwsAsync(call('ham.spam.long', 1.5), { code: 'APPLICATION' });
  await t.throwsAsync(call('ham.spam.add', 2 ** 31 - 1, 1), {
    code: 'APPLICATION',
    message: /an integer beyond 32 bits, but declares int/,
  });
});

test('an undeclared signature is derived as far as types are known, and never enforced', async (t) => {
  const { call, method } = await started(t, { 'ham/spam.ts': SPAM });
  const types = ['string', 'string', 'double', 'boolean', 'dateTime.iso8601', 'base64', 'array', 'struct'];
  t.deepEqual(method('ham.spam.derived')?.signature, [types]);
  for (const name of ['unknown', 'union', 'nothing']) t.is(method(`ham.spam.${name}`)?.signature, undefined, name);
  t.is(await call('ham.spam.derived', 5), 5);
  t.is(await call('ham.spam.nothing'), undefined);
});

test('a thrown Fault passes through unchanged', async (t) => {
  const { call } = await started(t, { 'ham/spam.ts': SPAM });
  await t.throwsAsync(call('ham.spam.fail'), { name: 'Fault', code: 42, message: 'no such room' });
});

test('a schema checks, transforms and describes the parameters', async (t) => {
  const source = satelliteSource(
    'Spam',
    `
  @Exposed({ schema: z.tuple([z.int(), z.string().transform((text) => text.length), z.date().optional()]), returns: 'array' })
  take(...params: unknown[]) { return params; }
  @Exposed({ schema: z.tuple([z.object({ deep: z.object({ n: z.number() }) })]) })
  deep(value: unknown) { return value; }
  @Exposed({ schema: { '~standard': { version: 1, vendor: 'mine', validate: async (value: unknown) => ({ value: [value] }) } } })
  other(list: unknown[]) { return list.length; }`,
    `import { z } from ${zod};`,
  );
  const { call, method } = await started(t, { 'ham/spam.ts': source });
  t.deepEqual(await call('ham.spam.take', 1, 'four'), [1, 4]);
  t.deepEqual(method('ham.spam.take')?.signature, [
    ['array', 'int', 'string'],
    ['array', 'int', 'string', 'dateTime.iso8601'],
  ]);
  await t.throwsAsync(call('ham.spam.take', 'x', 'four'), {
    code: 'INVALID_PARAMS',
    message: /^ham\.spam\.take: parameter 1: .*expected number.* \(signature: array ham\.spam\.take\(int, string\) or array/,
  });
  await t.throwsAsync(call('ham.spam.deep', { deep: { n: 'x' } }), {
    code: 'INVALID_PARAMS',
    message: /parameter 1, "deep\.n": .*expected number/,
  });
  t.is(await call('ham.spam.other', 1, 2, 3), 3);
  t.is(method('ham.spam.other')?.signature, undefined);
});

test('a class with an invalid declaration is not loaded, with the reason', async (t) => {
  const bad = (declaration: string): string => satelliteSource('Bad', `  ${declaration} go() {}`);
  const { problems, names } = await started(t, {
    'bad/type.ts': bad(`@Exposed({ params: ['strin' as 'string'] })`),
    'bad/both.ts': bad(`@Exposed({ params: [], schema: { '~standard': {} } as never })`),
    'bad/accessor.ts': bad('@Exposed() get').replace('go() {}', 'go() { return 1; }'),
    'bad/dotted.ts': satelliteSource('Bad', `  @Exposed() 'a.b'() {}`),
    'bad/static.ts': bad('@Exposed() static'),
    'ham/spam.ts': SPAM,
  });
  const reasonOf = (file: string): string => Object.entries(problems()).find(([place]) => place.startsWith(`${file}:`))?.[1] ?? '';
  t.regex(reasonOf('bad/type.ts'), /Bad\.go: there is no type "strin"; did you mean "string"/);
  t.regex(reasonOf('bad/both.ts'), /params or schema, not both/);
  t.regex(problems()['bad/accessor.ts'] ?? '', /only methods can be exposed/);
  t.regex(problems()['bad/dotted.ts'] ?? '', /a method name has letters/);
  t.regex(reasonOf('bad/static.ts'), /static method go/);
  t.true(names().every((name) => name.startsWith('ham.')));
});

test('two satellites of a module that expose the same name are both refused', async (t) => {
  const two = satelliteSource('One', `  @Exposed() go() { return 1; }`) + `@Satellite() export class Two { @Exposed() go() { return 2; } }`;
  const { host, names } = await started(t, { 'ham/spam.ts': two });
  t.deepEqual(names(), []);
  t.is(host.status().problems.length, 2);
  t.regex(host.status().problems[0]?.reason ?? '', /ham\.spam\.One and ham\.spam\.Two both expose ham\.spam\.go/);
});

test('a method declares the access that it needs: call, unless it is message or admin', async (t) => {
  const source = satelliteSource(
    'Spam',
    `@Exposed() a() {} @Exposed({ access: 'message' }) b() {} @Exposed({ access: 'admin' }) c() {} @Exposed({ access: 'call' }) d() {}`,
  );
  const { method } = await started(t, { 'ham/spam.ts': source });
  t.deepEqual(
    ['a', 'b', 'c', 'd'].map((name) => method(`ham.spam.${name}`)?.access),
    ['call', 'message', 'admin', 'call'],
  );
});

for (const [access, says] of [
  ['read', /access 'read' would open it to anyone/],
  ['amdin', /there is no access "amdin"; did you mean "admin"/],
] as const) {
  test(`access '${access}' is refused when the plugin is loaded`, async (t) => {
    const { problems, names } = await started(t, {
      'ham/spam.ts': satelliteSource('Spam', `@Exposed({ access: '${access}' as never }) a() {}`),
    });
    t.deepEqual(names(), []);
    t.regex(Object.values(problems()).join(), says);
  });
}

/** As a compiler writes it that is not told about `experimentalDecorators`. */
function withEcmaScriptDecorators(source: string): string {
  return ts.transpileModule(source, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText;
}

test('JavaScript that was compiled with the decorators of ECMAScript works, and its mistakes are reported', async (t) => {
  const go = (declaration: string): string => withEcmaScriptDecorators(satelliteSource('Bad', `  ${declaration} go() { return this.go; }`));
  const spam = satelliteSource(
    'Spam',
    `  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a: number, b: number) { return a + b; }
  @Exposed who() { return this.toString(); }
  hidden() {}`,
  );
  const { problems, names, call } = await started(t, {
    'ham/spam.mjs': withEcmaScriptDecorators(spam),
    'bad/static.mjs': go('@Exposed() static'),
    'bad/private.mjs': withEcmaScriptDecorators(satelliteSource('Bad', '  @Exposed() #go() {} other() { this.#go(); }')),
    'bad/option.mjs': go(`@Exposed({ parms: [] } as never)`),
  });
  t.deepEqual(names(), ['ham.spam.add', 'ham.spam.who']);
  t.is(await call('ham.spam.add', 2, 3), 5);
  t.is(await call('ham.spam.who'), 'ham.spam.Spam');
  await t.throwsAsync(call('ham.spam.add', 'x', 3), { code: 'INVALID_PARAMS' });
  const reasons = Object.values(problems()).sort();
  t.is(reasons.length, 3);
  t.regex(reasons[0] ?? '', /@Exposed on go: .*"parms"/);
  t.regex(reasons[1] ?? '', /@Exposed on the private method #go: only public methods are callable/);
  t.regex(reasons[2] ?? '', /@Exposed on the static method go: only instance methods are callable/);
});

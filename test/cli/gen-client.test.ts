/** `co2 gen client`: the client that it writes compiles, calls what it says, and holds nothing that a server wrote but texts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { MARK, clientSource } from '../../src/cli/client-source.ts';
import type { DescribedMethod } from '../../src/cli/introspection.ts';
import { serverOf } from '../support/answering-server.ts';
import type { Answers } from '../support/answering-server.ts';
import { PROJECT_DIR, run, runCo2, startCo2 } from '../support/processes.ts';
import type { Exit } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { asScript, compilerErrors, statementsOf } from './typescript.ts';

const SPAM = `import { Exposed, Plugin, Satellite } from 'co2-relay';
import { z } from 'zod';
@Satellite()
export class Spam extends Plugin {
  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number) { return a + b; }
  @Exposed({ params: ['i8', 'base64', 'dateTime.iso8601', 'struct', 'array', 'nil'], returns: 'struct' })
  kinds(a: bigint, b: Buffer, c: Date, d: object, e: unknown[], f: null) { return { list: [typeof a, b.length, c.getTime(), d, e.length, f === null] }; }
  @Exposed()
  delete(...anything: unknown[]) { return anything.length; }
}
`;
const files = { 'plugins/ham/spam.ts': SPAM.replace("import { z } from 'zod';\n", '') };

const USE = `import { createClient, methodsOf } from './client.ts';
import { createClient as connect } from 'co2-relay/client';
const url = process.argv[2] ?? '';
const client = createClient(url);
const sum: number = await client.ham.spam.add(2, 3);
const { list } = await client.ham.spam.kinds(2n ** 60n, Buffer.from('co2'), new Date(7), { data: 1 }, [1, 2], null);
// @ts-expect-error -- the compiler knows the types
const refused: string = await client.ham.spam.add('2', 3).catch((error: Error) => error.message);
const any = await client.ham.spam.delete(1, 'x', [true]);
const rpc = connect(url);
const methods = await Promise.resolve(methodsOf(rpc));
const up: boolean = await methods.ping();
await rpc.close();
console.log(JSON.stringify([sum, list, refused, any, up]));
`;

const gen = (t: ExecutionContext, cwd: string, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: ['gen', 'client', ...args], cwd }).exit;

test.serial('the client of a relay compiles under strict and calls it, with types', async (t) => {
  const { url, cwd } = await startCo2(t, { files });
  const made = await gen(
    t,
    cwd,
    '--url',
    url.replace('://', '://name:hushhush@') + '/RPC2?key=hushhush',
    '--token',
    readFileSync(join(cwd, '.co2/admin.token'), 'utf8').trim(),
    '--out',
    'client.ts',
  );
  t.deepEqual([made.code, made.stderr], [0, []]);
  t.regex(made.stdout.join(), /^wrote client\.ts: \d+ methods of http:\/\/127\.0\.0\.1:\d+\/RPC2$/);
  const source = readFileSync(join(cwd, 'client.ts'), 'utf8');
  t.true(source.startsWith(MARK));
  t.false(source.includes('hushhush'));
  t.true(source.includes('      /** Adds two integers. */\n      readonly add: (p1: number, p2: number) => Promise<number>;\n'));
  writeFileSync(join(cwd, 'use.ts'), USE);
  writeFileSync(join(cwd, 'package.json'), '{"type":"module"}');
  t.deepEqual(compilerErrors([join(cwd, 'client.ts'), join(cwd, 'use.ts')]), []);
  const loader = join(PROJECT_DIR, 'src/loader/from-source.mjs');
  const used = await run(t, process.execPath, [`--import=${loader}`, 'use.ts', url], { cwd }).exit;
  t.deepEqual(used.stderr, []);
  const [sum, list, refused, any, up] = JSON.parse(used.stdout.join('')) as unknown[];
  t.deepEqual([sum, list, any, up], [5, ['bigint', 3, 0, { data: 1 }, 2, true], 3, true]);
  t.regex(refused as string, /add/);
});

test.serial('what was made is made again the same; what was not is kept, but for --force', async (t) => {
  const { url, cwd } = await startCo2(t, { files: { ...files, 'mine.ts': 'export const mine = 1;\n', 'empty.ts': '' } });
  const first = await gen(t, cwd, '--url', url, '--out', 'client.ts', '--json');
  const told = JSON.parse(first.stdout.join('')) as { methods: number };
  t.like(told, { out: 'client.ts', url: `${url}/RPC2` });
  const source = readFileSync(join(cwd, 'client.ts'), 'utf8');
  t.is(source.split("\n  ['").length - 1, told.methods);
  t.is((await gen(t, cwd, '--url', url, '--out', 'client.ts')).code, 0);
  t.is(readFileSync(join(cwd, 'client.ts'), 'utf8'), source);
  t.is((await gen(t, cwd, '--url', url, '--out', '-')).stdout.join('\n') + '\n', source);
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['--out', 'mine.ts'], /^co2: --out: mine\.ts was not made by co2 gen client; .*--force$/],
    [['--out', 'empty.ts'], /not made by co2 gen client/],
    [['--out', 'plugins'], /^co2: --out: plugins cannot be written: it is a directory$/],
    [['--out', 'none/client.ts'], /cannot be written: there is no such directory$/],
    [['--out', '-', '--json'], /^co2: --json: with --out -/],
    [[], /required option '--out <file>' not specified; see co2 gen client --help$/],
  ];
  for (const [args, says] of cases) {
    const end = await gen(t, cwd, '--url', url, ...args);
    t.is(end.code, 2, args.join(' '));
    t.deepEqual(end.stdout, []);
    t.is(end.stderr.length, 1);
    t.regex(end.stderr[0]!, says);
  }
  t.is(readFileSync(join(cwd, 'mine.ts'), 'utf8'), 'export const mine = 1;\n');
  t.is((await gen(t, cwd, '--url', url, '--out', 'mine.ts', '--force')).code, 0);
  t.is(readFileSync(join(cwd, 'mine.ts'), 'utf8'), source);
});

test.serial('a server that knows only the introspection of XML-RPC, or half of it, will do', async (t) => {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
  const { url } = await serverOf(t, {
    'system.listMethods': () => ['pow', 'a.b', 'a.b.c', 'odd', 'pow', 5],
    'system.methodHelp': (name) => (name === 'pow' ? 'Raises.\nTo a power.' : 7),
    'system.methodSignature': (name) =>
      name === 'pow'
        ? [
            ['int', 'int', 'int'],
            ['double', 'double', 'i8'],
          ]
        : name === 'odd'
          ? [[], 'x', ['struct', 5], ['weird', 'weirder']]
          : 'signatures not supported',
  });
  const { code, stdout, stderr } = await gen(t, cwd, '--url', url, '--out', '-');
  t.deepEqual([code, stderr], [0, []]);
  const source = stdout.join('\n');
  t.true(
    source.includes(`  /**
   * Raises.
   * To a power.
   */
  readonly pow: {
    (p1: number, p2: number): Promise<number>;
    (p1: number | Double, p2: number | bigint | Int64): Promise<number>;
  };`),
    source,
  );
  t.true(source.includes('readonly odd: (p1: Sendable) => Promise<Value>;'));
  t.true(source.includes(`{ send: { i8: true }, ...options }`));
  t.is(source.match(/^ {2}\['/gm)?.length, 4);
  writeFileSync(join(cwd, 'client.ts'), source);
  t.deepEqual(compilerErrors([join(cwd, 'client.ts')]), []);
});

test.serial('a server without introspection, too many methods, a name without end and a refusal end in one line', async (t) => {
  const cases: readonly (readonly [answers: Answers, code: number, says: RegExp])[] = [
    [{}, 1, /^co2: fault 1: method "system\.listMethods" is not supported$/],
    [{ 'system.listMethods': () => 'none' }, 3, /something other than a list/],
    [{ 'system.listMethods': () => Array.from({ length: 10_001 }, (_, index) => `m${index}`) }, 1, /names 10001 methods; .* at most 10000/],
    [{ 'system.describeMethods': () => [{ name: 'x'.repeat(256) }] }, 1, /a method 'x+…' of more than 255 characters/],
  ];
  for (const [answers, exitCode, says] of cases) {
    const { url } = await serverOf(t, answers);
    const { code, stdout, stderr } = await gen(t, pluginsDir(t, {}), '--url', url, '--out', '-');
    t.deepEqual([code, stdout, stderr.length], [exitCode, [], 1]);
    t.regex(stderr[0]!, says);
  }
});

const ODD_NAMES = [
  ...[
    '',
    '.',
    'a..b',
    '.a',
    'a.',
    'a-b',
    'a_b',
    '1',
    'é',
    'a b',
    "it's",
    'a.b',
    'a.b.c',
    'a.b.name',
    'a.b.length',
    'a.b.call',
    'a.b.prototype',
  ],
  ...[
    'constructor',
    '__proto__',
    '__proto__.x',
    'x.__proto__.y',
    'x.constructor.prototype',
    'hasOwnProperty',
    'toString',
    'toJSON',
    'a.b.__proto__',
  ],
  ...[
    'then',
    'then_',
    'then.x',
    'a.then',
    'a.then_',
    'a.then__',
    'catch',
    'delete',
    'new',
    'get',
    'set',
    'readonly',
    'async',
    'await',
    'import',
  ],
  ...['Client', 'METHODS', 'connect', 'methodsOf', 'rpc', 'Struct', 'p.'.repeat(40), `${'q.'.repeat(15)}q`, `${'q.'.repeat(16)}q`],
];
const HOSTILE_TEXTS = [
  ...[
    '*/ process.exit(7); /*',
    '*/',
    '/',
    '**/',
    '`${process.exit(7)}`',
    `'"; process.exit(7); //`,
    "\\'",
    '\\',
    '\u2028process.exit(7)',
    '\n}',
  ],
  ...[
    '\r\nimport "x"',
    '\u001b[31m',
    '\u202e\u2066',
    '</script>',
    '@ts-expect-error',
    ' * @ts-expect-error',
    '@ts-ignore',
    '// @ts-nocheck',
  ],
  ...['\ud800', '\u0000', '/// <reference path="x"/>', '/** @jsx h */', '#!x', '//# sourceMappingURL=x'],
];
const UNSAFE = /[^\P{Cc}\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}\p{Surrogate}]/u;
const STATEMENTS = [
  "import 'co2-relay/client'",
  "import 'co2-relay/client'",
  'ExportDeclaration',
  'type Struct',
  'type Client',
  'const METHODS',
  'function methodsOf',
  'function createClient',
];

const method = (name: string, help = '', signatures: DescribedMethod['signatures'] = []): DescribedMethod => ({ name, help, signatures });

type Calls = (rpc: { call: (name: string) => string }) => Record<string, unknown>;

/** The names on the wire that the generated client calls, by walking all of it. */
function namesCalled(source: string): readonly string[] {
  const exports: { methodsOf?: Calls } = {};
  runInNewContext(asScript(source), { exports, require: () => ({}) });
  const names: string[] = [];
  const places: unknown[] = [exports.methodsOf!({ call: (name) => name })];
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    if (typeof place === 'function') names.push((place as () => string)());
    places.push(...Object.entries(place as object).map(([, child]) => child as unknown));
  }
  return names.sort();
}

test('names that are no identifiers, namespaces that are methods, and words of the language compile and are called by their own names', (t) => {
  const signatures = [
    { returns: 'int', params: ['int', 'i8', "string'; x", '*/'] },
    { returns: '__proto__', params: [] },
  ];
  const names = [...new Set([...ODD_NAMES, ...HOSTILE_TEXTS])];
  const source = clientSource(
    names.map((name, index) => method(name, HOSTILE_TEXTS[index % HOSTILE_TEXTS.length], signatures)),
    `http://h/\n${HOSTILE_TEXTS.join('')}`,
  );
  t.notRegex(source, UNSAFE);
  const cwd = pluginsDir(t, { 'client.ts': source, 'package.json': '{"type":"module"}' });
  t.deepEqual(compilerErrors([join(cwd, 'client.ts')]), []);
  t.deepEqual(namesCalled(source), names.sort());
  writeFileSync(join(cwd, 'client.ts'), clientSource([], 'http://h/'));
  t.deepEqual(compilerErrors([join(cwd, 'client.ts')]), []);
});

test('no name, help or type of a server becomes code', (t) => {
  const text = fc.oneof(
    fc.constantFrom(...HOSTILE_TEXTS, ...ODD_NAMES),
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc
      .array(fc.constantFrom('*', '/', '\\', "'", '`', '$', '{', '.', '\n', '\u2029', 'then', '_', '@ts-ignore'), { maxLength: 12 })
      .map((parts) => parts.join('')),
  );
  const methods = fc.uniqueArray(
    fc.record({
      name: text,
      help: text,
      signatures: fc.array(fc.record({ returns: text, params: fc.array(text, { maxLength: 3 }) }), { maxLength: 3 }),
    }),
    { selector: ({ name }) => name, maxLength: 12 },
  );
  fc.assert(
    fc.property(methods, text, (list, from) => {
      const source = clientSource(list, from);
      if (UNSAFE.test(source)) throw new Error(source);
      t.deepEqual(statementsOf(source), STATEMENTS);
      t.deepEqual(namesCalled(source), list.map(({ name }) => name).sort());
    }),
    { numRuns: 300 },
  );
});

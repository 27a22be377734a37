/** The place of a compile error, in lines and columns as an editor counts them. */
import test from 'ava';
import { explainSyntaxError } from '../../src/loader/compile-error.mjs';
import { compileTypeScript } from '../../src/loader/compile.mjs';

async function thrownBy(source: string): Promise<Record<string, unknown>> {
  try {
    await import(`data:text/javascript,${encodeURIComponent(compileTypeScript(source, '/dir/a.ts'))}`);
  } catch (error) {
    return error as Record<string, unknown>;
  }
  throw new Error('it compiled');
}

const PLACES: [source: string, line: number, column: number, reason: string][] = [
  ['let a = ;', 1, 9, 'Expression expected'],
  ['\n\nlet a = ;', 3, 9, 'Expression expected'],
  ['let a;\r\nlet b = ;\r\n', 2, 9, 'Expression expected'],
  ['\t\tlet a = ;', 1, 11, 'Expression expected'],
  ["let é = '日本', b = ;", 1, 19, 'Expression expected'],
  ["let a = '😀😀', b = ;", 1, 21, 'Expression expected'],
  ['class A {\n  m( {\n  }\n}', 4, 1, "Expected ',', got '}'"],
  ['import a from "b";\nconst c = {\n  d: 1\n', 3, 7, "Expected ',', got '<eof>'"],
  ["let s = 'abc\ndef';", 1, 9, 'Unterminated string constant'],
  ['enum E { #a }', 1, 10, 'Expected ident'],
];

for (const [source, line, column, reason] of PLACES) {
  test(`place: ${JSON.stringify(source)}`, async (t) => {
    const error = await thrownBy(source);
    t.like(error, { name: 'CompileError', file: '/dir/a.ts', line, column });
    t.true(String(error.reason).startsWith(reason), String(error.reason));
    t.false(/\p{Cc}/u.test(String(error.reason)));
    t.is(error.message, `/dir/a.ts:${line}:${column}: ${String(error.reason)}`);
  });
}

test('a decorator of a private member, which the compiler would drop, is an error at its place', async (t) => {
  const source = `import { Exposed } from 'x';\nconst é = '😀';\nexport class A {\n  @Exposed() open() { return this.#a; }\n  #a = 1; /* ü */ @Exposed() #hidden() {}\n}\n`;
  const error = await thrownBy(source);
  t.like(error, { name: 'CompileError', line: 5, column: 19 });
  t.is(error.reason, 'a decorator has no effect on the private member #hidden; make it public, or remove the decorator');
  t.regex(String(error.frame), /> 5 \| .*#hidden/);
  t.like(await thrownBy('export class A { @Exposed #a = 1; }'), { line: 1, column: 18 });
  const fine = compileTypeScript('const D = () => () => 0;\nexport class A { @D() open() { return this.#a; } #a = 1; }', '/dir/a.ts');
  t.false(fine.includes('CompileError'));
});

test('the frame shows the place, and of a very long line only its surroundings', (t) => {
  const report = '  x No\n   ,-[/dir/a.ts:1:1]\n 2 | x\n   : ^\n   `----\n';
  t.is(explainSyntaxError(new Error(report), 'a\nx\nb\nc\nd', '/dir/a.ts').frame, '  1 | a\n> 2 | x\n    | ^\n  3 | b\n  4 | c');
  const cells = ' '.repeat(5000);
  const long = explainSyntaxError(
    new Error(`  x No\n   ,-[/dir/a.ts:1:1]\n 1 | \n   : ${cells}^\n`),
    `${'y'.repeat(5000)}!${'z'.repeat(5000)}`,
    '/dir/a.ts',
  );
  t.is(long.column, 5001);
  t.true(long.frame.length < 400);
  t.regex(long.frame, /y!z/);
});

test('a compiler report of another shape still gives a reason', (t) => {
  t.like(explainSyntaxError('broken', 'a', '/dir/a.ts'), { line: 1, column: 1, reason: 'broken' });
  t.like(explainSyntaxError(new Error('\u001b[31mred\u001b[0m'), '', '/dir/a.ts'), { line: 1, column: 1, reason: 'red' });
});

/** Which doc comment becomes the help of which method. */
import test from 'ava';
import { parseSync } from '../../src/loader/compiler.mjs';
import { docFooter, mayHaveDocComments, readDocComments } from '../../src/loader/doc-comments.mjs';

function read(source: string): Record<string, Record<string, string>> {
  const parse = (text: string) => parseSync(text, { syntax: 'typescript', decorators: true, target: 'es2022' });
  const docs = readDocComments(source, parse);
  return Object.fromEntries(Object.entries(docs).map(([name, methods]) => [name, { ...methods }]));
}

const METHODS: [what: string, body: string, docs: Record<string, string>][] = [
  ['a comment before the decorator', '/** a */ @Exposed() m() {}', { m: 'a' }],
  ['a comment behind the decorator', '@Exposed() /** a */ m() {}', { m: 'a' }],
  ['a comment between two decorators', '@Exposed /** a */ @Other({}) m() {}', { m: 'a' }],
  ['a comment behind a word', '@Exposed public /** a */ async m() {}', { m: 'a' }],
  ['the nearest of two', '/** far */\n/** near */\nm() {}', { m: 'near' }],
  ['other comments between', '/** a */\n// b\n/* c */\nm() {}', { m: 'a' }],
  ['lookalikes in the decorator', "/** a */ @Exposed({ x: '*/ /** no */ { }' }) m() {}", { m: 'a' }],
  ['lookalikes in a body', "/** a */ m() { return '/** no */'; }\nn() {}", { m: 'a' }],
  ['a template in the member before', 'x = `/** no */`; m() {}', {}],
  ['a comment behind the member before', 'x = 1; /** of x */\n m() {}', {}],
  ['a comment in the line of the method', 'x = 1;\n /** a */ m() {}', { m: 'a' }],
  ['no doc comment', '/* a */ m() {}\n// b\nn() {}\n/**/ o() {}\n/*** p */ p() {}', {}],
  [
    'keywords',
    '/** a */ delete() {}\n/** b */ get() {}\n/** c */ async() {}\n/** d */ static() {}',
    { delete: 'a', get: 'b', async: 'c', static: 'd' },
  ],
  [
    'names of objects',
    '/** a */ __proto__() {}\n/** b */ toString() {}',
    Object.fromEntries([
      ['__proto__', 'a'],
      ['toString', 'b'],
    ]),
  ],
  ['quoted and computed names', "/** a */ 'b c'() {}\n/** d */ [Symbol.iterator]() {}\n/** e */ #f() {}", { 'b c': 'a' }],
  ['static methods are not exposed', '/** a */ static m() {}\n/** b */ m() {}', { m: 'b' }],
  [
    'generators and overloads',
    '/** a */ async *m(): AsyncGenerator {}\n/** b */ n(a: string): void;\n n(a: number): void;\n n(a: any) {}',
    { m: 'a', n: 'b' },
  ],
  ['lines', '/**\n   * One\n   *   two\n   *\n   * three.  \n   */ m() {}', { m: 'One\n  two\n\nthree.' }],
  ['lines without stars and with CR', '/** One\r\n      two */ m() {}', { m: 'One\ntwo' }],
  [
    'tags end it',
    '/**\n * One, me@example.org.\n * @param a b\n * more\n */ m(a) {}\n/** @internal */ n() {}',
    { m: 'One, me@example.org.' },
  ],
  ['wide characters', '/** añ日😀 */ m() {}', { m: 'añ日😀' }],
  ['index signatures, static blocks, semicolons', '[key: string]: unknown; static { /** no */ };; /** a */ m() {}', { m: 'a' }],
];

for (const [what, body, docs] of METHODS) {
  test(`methods: ${what}`, (t) => {
    const expected = Object.keys(docs).length > 0 ? { C: docs } : {};
    t.deepEqual(read(`class C {\n  ${body}\n}`), expected);
    t.deepEqual(read(`// é日😀\r\n@Satellite() export class C extends Base<'{'> implements I { ${body} }`), expected);
  });
}

const CLASSES: [what: string, source: string, names: string[]][] = [
  ['declared and exported', 'class A { /** a */ m() {} }\nexport class B { /** a */ m() {} }', ['A', 'B']],
  [
    'abstract, in a namespace, in a function',
    'abstract class A { /** a */ m() {} }\nnamespace N { export class B { /** a */ m() {} } }\nfunction f() { return class D { /** a */ m() {} }; }',
    ['A', 'B', 'D'],
  ],
  [
    'as a compiler leaves it',
    'let A = class A extends B { /** a */ m() {} };\nA = __decorate([Satellite()], A);\nvar D = class extends B { /** a */ m() {} };',
    ['A', 'D'],
  ],
  ['default without a name', 'export default class { /** a */ m() {} }', ['default']],
  ['default without a name, decorated', '@Satellite export default class extends B { /** a */ m() {} }', ['_class', 'default']],
  [
    'a comment of the class itself',
    '/** no */ @S() /** no */ export class A /** no */ extends (f({})) /** no */ { n() {} /** a */ m() {} }',
    ['A'],
  ],
  ['a class in the head of a class', 'class A extends (class X { /** a */ m() {} }) { n() {} }', ['X']],
  ['a line for the shell', '#!/usr/bin/env é\nclass A { /** a */ m() {} }', ['A']],
];

for (const [what, source, names] of CLASSES) {
  test(`classes: ${what}`, (t) => {
    const expected = Object.fromEntries(names.map((name) => [name, { m: 'a' }]));
    t.deepEqual(read(source), expected);
    t.deepEqual(read(source), expected, 'the compiler counts on from what it parsed before');
  });
}

test('places may be counted from any number', (t) => {
  const shifted = (text: string): unknown => {
    const tree = JSON.stringify(parseSync(text, { syntax: 'typescript', target: 'es2022' }));
    return JSON.parse(tree, (key, value: unknown) => (['start', 'end'].includes(key) ? Number(value) + 4321 : value));
  };
  t.is(readDocComments('class A { /** a */ m() {} }', shifted).A?.m, 'a');
});

test('a tree deeper than the stack is read', (t) => {
  const depth = 100_000;
  const end = { type: 'ClassDeclaration', identifier: { type: 'Identifier', value: 'C' }, span: { start: 0, end: 0 }, body: [] };
  let tree: object = end;
  for (let level = 0; level < depth; level += 1) tree = { type: 'Deep', child: tree };
  t.notThrows(() => readDocComments('', () => ({ body: [{ type: 'EmptyStatement', span: { start: 1, end: 2 } }, tree] })));
});

test('the footer is one line, and none without comments', (t) => {
  t.is(docFooter({}), '');
  t.is(
    docFooter({ C: { m: 'a\n\u2028"*/' } })
      .trimEnd()
      .split('\n').length,
    1,
  );
});

test('only modules with decorators are parsed for comments', (t) => {
  t.true(mayHaveDocComments('/** a */ @Exposed() m() {}'));
  t.true(mayHaveDocComments('/** a */ @co2.Exposed m() {}'));
  t.false(mayHaveDocComments('@Exposed() m() {}'));
  t.false(mayHaveDocComments("/** @param a */ import '@scope/name'"));
});

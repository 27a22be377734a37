/** The loader as processes see it that import TypeScript, with both kinds of hooks. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { KINDS, makePackage, makeTree, run } from './kit.ts';

const plugin = `
  import { Satellite, Exposed, Plugin, Dict } from 'co2-relay';
  import { Thermometer } from './thermometer.js';

  @Satellite()
  export class Pong extends Plugin {
    constructor(readonly thermometer: Thermometer) { super(); }
    @Exposed
    add(a: number, dict: Dict): string { return String(a); }
  }

  @Satellite
  export class Second {
    static names: string[] = [];
    @Exposed({ params: [] }) delete(): boolean { return true; }
  }
`;

for (const kind of KINDS) {
  test(`${kind}: a plugin anywhere on the disk gets the relay's public module and emits its types`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, { 'pong.ts': plugin, 'thermometer.ts': 'export class Thermometer {}\n' });
    const result = await run(
      { packageDir, kind },
      `const { Pong, Second } = await import(${JSON.stringify(join(dir, 'pong.ts'))});
       const types = (target, key) => Reflect.getMetadata('design:paramtypes', target, key).map((type) => type.name);
       answer({
         constructor: types(Pong),
         add: types(Pong.prototype, 'add'),
         returns: Reflect.getMetadata('design:returntype', Pong.prototype, 'add').name,
         names: [Pong.name, Second.name, new Second().delete()],
       });`,
    );
    t.deepEqual(result, {
      constructor: ['Thermometer'],
      add: ['Number', 'Dict'],
      returns: 'String',
      names: ['Pong', 'Second', true],
    });
  });

  test(`${kind}: an error at run time points at the line of the TypeScript file`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, {
      'throws.ts': "interface A {\n  b: string;\n}\nenum E { X }\n\nexport const a: A = { b: String(E.X) };\nthrow new Error('here');\n",
    });
    const result = await run(
      { packageDir, kind },
      `const error = await failure(import(${JSON.stringify(join(dir, 'throws.ts'))}));
       answer(error.stack.split('\\n').slice(0, 2));`,
    );
    t.like(result, ['Error: here']);
    t.regex(String((result as string[])[1]), /throws\.ts:7:7\)?$/);
  });

  test(`${kind}: a module that does not compile says where and why`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, { 'bad.ts': 'export const é = "日本";\n\texport function f(a: { } {\n}\n' });
    const result = await run(
      { packageDir, kind },
      `const error = await failure(import(${JSON.stringify(join(dir, 'bad.ts'))}));
       const { name, file, line, column, reason, frame, stack } = error;
       answer({ marked: isCompileError(error), isError: error instanceof Error, name, file, line, column, reason, frame, stack });`,
    );
    const file = join(dir, 'bad.ts');
    const frame = '  1 | export const é = "日本";\n> 2 | \texport function f(a: { } {\n    | \t                         ^\n  3 | }\n  4 |';
    const reason = "Expected ',', got '{'";
    const stack = `CompileError: ${file}:2:27: ${reason}\n\n${frame}\n    at ${file}:2:27`;
    t.deepEqual(result, { marked: true, isError: true, name: 'CompileError', file, line: 2, column: 27, reason, frame, stack });
  });

  test(`${kind}: a broken helper is named, not the import of it`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, {
      'entry.ts': "import all, { f, type T, K as Renamed, z } from './helper.ts';\nexport default [all, f, Renamed, z];\n",
      'helper.ts': 'export async function* f() {}\nexport class K {}\nconst y = 1;\nexport { y as z, };\nexport default 1;\nlet = = 2;\n',
    });
    const result = await run(
      { packageDir, kind },
      `const error = await failure(import(${JSON.stringify(join(dir, 'entry.ts'))}));
       answer([isCompileError(error), error.file, error.line]);`,
    );
    t.deepEqual(result, [true, join(dir, 'helper.ts'), 6]);
  });

  test(`${kind}: doc comments are there for TypeScript and for JavaScript`, async (t) => {
    const packageDir = makePackage(t);
    const script = "import { Satellite } from 'co2-relay';\n@\nexport class S {\n  /** Helps. */\n  help() {}\n}\n".replace(
      '@',
      '// Satellite',
    );
    const dir = makeTree(t, {
      'a.ts': "import { Satellite } from 'co2-relay';\n@Satellite()\nexport class S {\n  /** Helps. */\n  help() {}\n}\n",
      'esm/package.json': '{"type":"module"}',
      'esm/b.js': script,
      'c.mjs': script,
      'd.js': script,
      'e.cjs': '// co2-relay Satellite\nclass S { /** no */ m() {} }\nmodule.exports = { type: typeof require };\n',
      'f.js': '// co2-relay Satellite\nclass S { /** no */ m() {} }\nmodule.exports = { type: typeof require };\n',
      'cjs/package.json': '{"type":"commonjs"}',
      'cjs/g.js': "/** co2-relay Satellite */ const text = `\nimport { a } from 'b';\n`;\nmodule.exports = { type: typeof text };\n",
      'node_modules/h.mjs': script,
      'plain.mjs': 'export class S { /** no */ m() {} }\n',
    });
    const result = await run(
      { packageDir, kind },
      `const all = {};
       for (const name of ['a.ts', 'a.ts?v=2', 'esm/b.js', 'c.mjs', 'd.js', 'e.cjs', 'f.js', 'cjs/g.js', 'node_modules/h.mjs', 'plain.mjs']) {
         const url = ${JSON.stringify(pathToFileURL(dir).href)} + '/' + name;
         const module = await import(url);
         all[name] = module.default?.type ?? docCommentsOf(url).S?.help ?? null;
       }
       answer(all);`,
    );
    const help = 'Helps.';
    const all = { 'a.ts': help, 'a.ts?v=2': help, 'esm/b.js': help, 'c.mjs': help, 'd.js': help };
    t.deepEqual(result, {
      ...all,
      'e.cjs': 'function',
      'f.js': 'function',
      'cjs/g.js': 'string',
      'node_modules/h.mjs': null,
      'plain.mjs': null,
    });
  });

  test(`${kind}: a warm start does not load the compiler`, async (t) => {
    const packageDir = makePackage(t);
    const cacheDir = join(packageDir, 'cache');
    const dir = makeTree(t, {
      'pong.ts': plugin.replace('@Exposed\n', '/** Adds. */ @Exposed\n'),
      'thermometer.ts': 'export class Thermometer {}\n',
    });
    const statements = `
      const url = ${JSON.stringify(pathToFileURL(join(dir, 'pong.ts')).href)};
      const { Pong } = await import(url);
      answer([swcIsLoaded(), docCommentsOf(url).Pong.add, new Pong().add(3)]);`;
    t.deepEqual(await run({ packageDir, kind, cacheDir }, statements), [true, 'Adds.', '3']);
    t.deepEqual(await run({ packageDir, kind, cacheDir }, statements), [false, 'Adds.', '3']);
  });
}

test('without a compiler for the platform, the error names the packages that are missing', async (t) => {
  const packageDir = makePackage(t);
  const result = await run(
    { packageDir },
    `Object.defineProperty(process, 'platform', { value: 'linux' });
    Object.defineProperty(process, 'arch', { value: 'sparc' });
    const { parseSync, compilerVersion } = await import(${JSON.stringify(pathToFileURL(join(packageDir, 'src/loader/compiler.mjs')).href)});
    const texts = [];
    for (const call of [() => parseSync('1', { syntax: 'ecmascript', target: 'es2022' }), compilerVersion])
      try { call(); } catch (error) { texts.push(error.message); }
    answer(texts);`,
  );
  const names = '@swc/core-linux-sparc-gnu or @swc/core-linux-sparc-musl is not installed';
  const [parsing, version] = result as [string, string];
  t.true(parsing.startsWith(`no TypeScript compiler for linux-sparc: ${names} (Cannot find module`), parsing);
  t.is(version, `no TypeScript compiler for linux-sparc: ${names}; run npm install without --omit=optional`);
});

test('the names of the package lead to the sources in a checkout, to dist in a package', async (t) => {
  const dir = makeTree(t, { 'a.ts': "export * from 'co2-relay/config';\nexport { from as plugin } from 'co2-relay';\n" });
  for (const layout of ['src', 'dist'] as const) {
    const packageDir = makePackage(t, layout);
    const extension = layout === 'src' ? 'ts' : 'js';
    const result = await run({ packageDir, layout }, `answer(await import(${JSON.stringify(join(dir, 'a.ts'))}))`);
    const root = pathToFileURL(join(packageDir, layout)).href;
    t.deepEqual(result, { from: `${root}/define-config.${extension}`, plugin: `${root}/plugin/plugin.${extension}` });
  }
});

test('a plugin with its own copy of the package gets that one', async (t) => {
  const packageDir = makePackage(t);
  const a = "export { from } from 'co2-relay';\n";
  const dir = makeTree(t, {
    'own/plugins/deep/a.ts': a,
    'own/node_modules/co2-relay/package.json': '{"name":"co2-relay","exports":"./own.js","type":"module"}',
    'own/node_modules/co2-relay/own.js': "export const from = 'own';\n",
    'installed/plugins/a.ts': a,
  });
  mkdirSync(join(dir, 'installed/node_modules'));
  symlinkSync(packageDir, join(dir, 'installed/node_modules/co2-relay'));
  mkdirSync(join(packageDir, 'plugins'));
  writeFileSync(join(packageDir, 'plugins/a.ts'), a);
  const paths = [join(dir, 'own/plugins/deep/a.ts'), join(dir, 'installed/plugins/a.ts'), join(packageDir, 'plugins/a.ts')];
  const ours = pathToFileURL(join(packageDir, 'src/plugin/plugin.ts')).href;
  t.deepEqual(
    await run({ packageDir }, `answer((await Promise.all(${JSON.stringify(paths)}.map((path) => import(path)))).map((m) => m.from))`),
    ['own', ours, ours],
  );
});

test('an unknown export of the package is reported with the known ones', async (t) => {
  const packageDir = makePackage(t);
  const dir = makeTree(t, { 'a.ts': "import 'co2-relay/secret';\n" });
  const result = await run({ packageDir }, `answer((await failure(import(${JSON.stringify(join(dir, 'a.ts'))}))).message)`);
  t.is(result, 'the package has no module "co2-relay/secret" (it has: co2-relay, co2-relay/config, co2-relay/package.json)');
});

test('./x.js resolves to x.ts only if there is no x.js', async (t) => {
  const packageDir = makePackage(t);
  const dir = makeTree(t, {
    'a.ts':
      "export { who as one } from './both.js';\nexport { who as two } from './only.js';\nexport { who as three } from './only.mjs';\n",
    'both.js': "export const who = 'js';\n",
    'both.ts': "export const who = 'ts';\n",
    'only.ts': "export const who = 'ts';\n",
    'only.mts': "export const who: string = 'mts';\n",
    'package.json': '{"type":"module"}',
    'gone.ts': "import './nothing.js';\n",
  });
  const result = await run(
    { packageDir },
    `const { one, two, three } = await import(${JSON.stringify(join(dir, 'a.ts'))});
     const { code } = await failure(import(${JSON.stringify(join(dir, 'gone.ts'))}));
     answer([one, two, three, code]);`,
  );
  t.deepEqual(result, ['js', 'ts', 'mts', 'ERR_MODULE_NOT_FOUND']);
});

test('type-only, empty and oddly named files, a BOM, and TypeScript inside node_modules', async (t) => {
  const packageDir = makePackage(t);
  const dir = makeTree(t, {
    'types.ts': 'export interface A { b: string }\nexport type B = A;\n',
    'empty.ts': '',
    'a b#c?%20é.ts': "\uFEFFexport const e: string = 'odd';\nexport const f = () => { throw new Error('odd'); };\n",
    'node_modules/dep/package.json': '{"name":"dep","exports":"./dep.ts"}',
    'node_modules/dep/dep.ts': "export const dep: string = 'dep';\n",
    'a.ts':
      "import { A } from './types.ts';\nimport type { B } from './types.ts';\nexport { dep } from 'dep';\nexport let a: A | B | undefined;\n",
  });
  const result = await run(
    { packageDir },
    `const at = (name) => import(${JSON.stringify(pathToFileURL(dir).href)} + '/' + encodeURIComponent(name));
     const odd = await at('a b#c?%20é.ts');
     const { stack } = await failure((async () => odd.f())());
     answer([Object.keys(await at('types.ts')), Object.keys(await at('empty.ts')), odd.e, stack.split('\\n')[1].trim(), (await at('a.ts')).dep]);`,
  );
  const [types, empty, odd, stack, dep] = result as unknown[];
  t.deepEqual([types, empty, odd, dep], [[], [], 'odd', 'dep']);
  t.regex(String(stack), /:2:32\)$/);
});

test('the first registration wins', async (t) => {
  const packageDir = makePackage(t);
  const dir = makeTree(t, { 'a.ts': 'export const a: number = 1;\n' });
  const cacheDir = join(dir, 'first');
  const result = await run(
    { packageDir, cacheDir },
    `registerLoader({ cacheDir: ${JSON.stringify(join(dir, 'second'))} });
     await import(${JSON.stringify(join(dir, 'a.ts'))});
     const fs = await import('node:fs');
     answer(['first', 'second'].map((name) => fs.existsSync(${JSON.stringify(dir)} + '/' + name)));`,
  );
  t.deepEqual(result, [true, false]);
});

test('a module that records no doc comments has none', async (t) => {
  const packageDir = makePackage(t);
  t.deepEqual(
    await run({ packageDir }, `answer([docCommentsOf('file:///nothing.ts'), isCompileError(new Error('x')), isCompileError(null)])`),
    [{}, false, false],
  );
});

/**
 * Types that decorated signatures name and that were imported without the word `type`: they must not break the import, and classes must
 * stay what they are.
 */
import test from 'ava';
import { compileTypeScript } from '../../src/loader/compile.mjs';
import { KINDS, makePackage, makeTree, run } from './kit.ts';

const HELPERS = {
  'shapes.ts': `export interface Reading { value: number }
    export type Kind = 'a' | 'b';
    export class Sensor {}
    export enum Level { Low, High }
    export const enum Mode { On = 'on' }
    export namespace Units { export interface Metre { m: number } }
    export interface Box<T> { inside: T }
    export const LIMIT = 3;\n`,
  'default-type.ts': 'export default interface Frame { at: number }\nexport type Also = string;\n',
  'default-class.ts': 'export default class Frame {}\n',
  'again.ts': `export type { Reading, Kind } from './shapes.ts';\nexport { Sensor as Probe } from './shapes.ts';\nexport type * from './default-type.ts';\n`,
  'all.ts': `export * from './shapes.ts';\n`,
  'declared.d.ts': 'export interface Declared { a: 1 }\n',
  'types.d.ts': 'export interface Twin { a: 1 }\nexport default interface Main {}\n',
  'twin.ts': 'export class Made {}\n',
  'node_modules/only-types/package.json': '{ "name": "only-types", "exports": { ".": { "types": "./index.d.ts" } } }',
  'node_modules/only-types/index.d.ts': 'export interface Package { a: 1 }\n',
  'node_modules/main-types/package.json': '{ "name": "main-types", "main": "index.d.ts" }',
  'node_modules/main-types/index.d.ts': 'export interface Package { a: 1 }\n',
  'node_modules/common/package.json': '{ "name": "common" }',
  'node_modules/common/index.js': 'exports.Client = class Client {};\n',
};

/**
 * Statements of a module with a class C -> the names of the types that metadata has of the constructor and of the method, and of what the
 * method answers.
 */
const CASES: Readonly<Record<string, { head: string; take?: string; construct?: string; more?: string; expected: readonly unknown[] }>> = {
  'an interface and a type': {
    head: `import { Kind, Reading } from './shapes.ts';`,
    take: 'take(reading: Reading): Kind',
    expected: [null, ['Object'], 'Object'],
  },
  'beside a class, an enum and a value that are used': {
    head: `import { LIMIT, Level, Reading, Sensor } from './shapes.ts';`,
    take: 'take(reading: Reading, sensor: Sensor, level: Level)',
    construct: 'readonly sensor: Sensor, readonly reading: Reading',
    more: 'export const made = [new Sensor(), Level.High, LIMIT];',
    expected: [['Sensor', 'Object'], ['Object', 'Sensor', 'object'], null],
  },
  'a class and an enum that only the signature names': {
    head: `import { Level, Sensor } from './shapes.ts';`,
    take: 'take(level: Level): Sensor',
    construct: 'readonly sensor: Sensor',
    expected: [['Sensor'], ['object'], 'Sensor'],
  },
  'with the word type at one of them': {
    head: `import { type Kind, Reading, Sensor } from './shapes.ts';`,
    take: 'take(kind: Kind, reading: Reading, sensor: Sensor)',
    expected: [null, ['Object', 'Object', 'Sensor'], null],
  },
  'by another name': {
    head: `import { Reading as R, Sensor as S } from './shapes.ts';`,
    take: 'take(reading: R, sensor: S)',
    expected: [null, ['Object', 'Sensor'], null],
  },
  'a namespace': {
    head: `import * as shapes from './shapes.ts';`,
    take: 'take(reading: shapes.Reading, sensor: shapes.Sensor)',
    expected: [null, ['Object', 'Sensor'], null],
  },
  'a namespace within a module, and a member of an enum': {
    head: `import { Level, Mode, Units } from './shapes.ts';`,
    take: 'take(metre: Units.Metre, level: Level.Low, mode: Mode)',
    expected: [null, ['Object', 'number', 'object'], null],
  },
  'an alias of a member': {
    head: `import { Units, Level } from './shapes.ts';\nimport Low = Level.Low;\nimport * as all from './shapes.ts';\nimport Metre = all.Units;`,
    take: 'take(low: Low, metre: Metre.Metre, units: Units.Metre)',
    expected: [null, ['number', 'Object', 'Object'], null],
  },
  'a default export that is a type, with another one': {
    head: `import Frame, { Also } from './default-type.ts';`,
    take: 'take(frame: Frame, also: Also)',
    construct: 'readonly frame: Frame',
    expected: [['Object'], ['Object', 'Object'], null],
  },
  'a default export that is a class': {
    head: `import Frame from './default-class.ts';`,
    construct: 'readonly frame: Frame',
    expected: [['Frame'], [], null],
  },
  'a default export and the whole module': {
    head: `import Frame, * as all from './default-class.ts';`,
    take: 'take(frame: Frame)',
    more: 'export const made = new all.default();',
    expected: [null, ['Frame'], null],
  },
  're-exported as types, by another name, and by stars': {
    head: `import { Also, Kind, Probe, Reading } from './again.ts';\nimport { Sensor, Reading as Same } from './all.ts';`,
    take: 'take(a: Also, k: Kind, p: Probe, r: Reading, s: Sensor, same: Same)',
    expected: [null, ['Object', 'Object', 'Sensor', 'Object', 'Sensor', 'Object'], null],
  },
  generics: {
    head: `import { Box, Kind, Reading } from './shapes.ts';`,
    take: 'async take(a: Box<Reading>, b: Promise<Kind>, c: Reading[], d: Map<Kind, Reading>): Promise<Reading>',
    expected: [null, ['Object', 'Promise', 'Array', 'Map'], 'Promise'],
  },
  'unions and conditions': {
    head: `import { Kind, Reading } from './shapes.ts';`,
    take: 'take(a: Reading | undefined, b: Kind | null, c?: Reading, ...d: Reading[]): Reading | Kind',
    expected: [null, ['Object', 'Object', 'Object', 'Array'], 'Object'],
  },
  'packages of types alone': {
    head: `import { Package } from 'only-types';\nimport { Package as Other } from 'main-types';\nimport { Gone } from 'not-installed';\nimport * as ns from 'only-types';`,
    take: 'take(a: Package, b: Other, c: Gone, d: ns.Package)',
    expected: [null, ['Object', 'Object', 'Object', 'Object'], null],
  },
  'types of packages that run': {
    head: `import { Client, Options } from 'common';\nimport { Stats, ReadStream } from 'node:fs';`,
    take: 'take(a: Client, b: Options, c: Stats, d: ReadStream)',
    expected: [null, ['Client', 'Object', 'Stats', 'ReadStream'], null],
  },
  'files of declarations alone, and the twin of a .js': {
    head: `import { Declared } from './declared.d.ts';\nimport Main, { Twin } from './types.js';\nimport { Made } from './twin.js';`,
    take: 'take(a: Declared, b: Twin, c: Main, d: Made)',
    expected: [null, ['Object', 'Object', 'Object', 'Made'], null],
  },
  'names that parameters and properties have too': {
    head: `import { Kind, Reading } from './shapes.ts';`,
    take: 'take(Kind: Kind, other: { Reading: Reading }, Reading: Reading)',
    more: 'export const made = { Reading: 1, Kind: ({ Kind: 2 }).Kind, types_0: 3 };',
    expected: [null, ['Object', 'Object', 'Object'], null],
  },
  'words that no ASCII holds, before and in the import': {
    head: `const é = '😀';\nimport {\n  Kind,\n  LIMIT, // ü\n  Reading,\n} from './shapes.ts';`,
    take: 'take(reading: Reading, kind: Kind)',
    more: 'export const made = [é, LIMIT];',
    expected: [null, ['Object', 'Object'], null],
  },
};

for (const kind of KINDS) {
  test(`${kind}: types that are imported without the word, in decorated signatures`, async (t) => {
    const packageDir = makePackage(t);
    const cases = CASES;
    const sources = Object.values(cases).map(({ head, take = 'take()', construct, more = '' }) => {
      const constructor = construct === undefined ? '' : `constructor(${construct}) {}`;
      return `import { Exposed, Satellite } from 'co2-relay';\n${head}\n@Satellite()\nexport class C {\n${constructor}\n@Exposed() ${take} { return undefined as never; }\n}\n${more}\n`;
    });
    const files = Object.fromEntries(sources.map((source, index) => [`case-${index}.ts`, source]));
    const dir = makeTree(t, { ...HELPERS, ...files });
    const result = await run(
      { packageDir, kind },
      `const name = (type) => (typeof type === 'function' ? type.name : typeof type);
       const names = (types) => types?.map(name) ?? null;
       const results = [];
       for (let n = 0; n < ${sources.length}; n++) {
         results.push(await import(${JSON.stringify(dir)} + '/case-' + n + '.ts').then(({ C }) => {
           const returned = Reflect.getMetadata('design:returntype', C.prototype, 'take');
           return [names(Reflect.getMetadata('design:paramtypes', C)), names(Reflect.getMetadata('design:paramtypes', C.prototype, 'take')), returned ? name(returned) : null];
         }, (error) => error.stack));
       }
       answer(results);`,
    );
    for (const [index, [name, { expected }]] of Object.entries(cases).entries()) t.deepEqual((result as unknown[])[index], expected, name);
  });

  test(`${kind}: an import of a file or a value that is not there still fails`, async (t) => {
    const packageDir = makePackage(t);
    const source = (head: string): string =>
      `import { Exposed } from 'co2-relay';\n${head}\nexport class C { @Exposed() take(a: A) { return undefined as never; } }\n`;
    const dir = makeTree(t, {
      ...HELPERS,
      'missing-file.ts': source(`import { A } from './nothing.ts';`),
      'missing-value.ts': source(`import { A, b } from './shapes.ts';\nexport const c = b;`),
      'missing-package.ts': source(`import { A, b } from 'not-installed';\nexport const c = b;`),
    });
    const result = await run(
      { packageDir, kind },
      `const errors = [];
       for (const name of ['missing-file', 'missing-value', 'missing-package']) errors.push(String(await failure(import(${JSON.stringify(dir)} + '/' + name + '.ts'))));
       answer(errors);`,
    );
    const [file = '', value = '', missing = ''] = result as readonly string[];
    t.regex(file, /Cannot find module .*nothing\.ts/);
    t.regex(value, /does not provide an export named 'b'/);
    t.regex(missing, /Cannot find package 'not-installed'/);
  });
}

test('line numbers are preserved, and modules without types in their signatures are compiled as before', (t) => {
  const body = (text: string): readonly string[] => text.split('\n').slice(0, -2);
  const head = "import {\n  Kind,\n  used,\n} from './a.ts';\n";
  const made = body(compileTypeScript(`${head}export class C { @used() take(kind: Kind) {} }\nthrow new Error('here');`, '/a.ts'));
  const known = body(compileTypeScript(`${head}export class C { @used() take(kind: string) {} }\nthrow new Error('here');`, '/a.ts'));
  t.is(made.length, known.length);
  t.is(
    made.findIndex((line) => line.includes('here')),
    known.findIndex((line) => line.includes('here')),
  );
  t.true(known.some((line) => line.includes("import { used } from './a.ts';")));
  t.true(
    made.some((line) => line.includes(`import { used } from './a.ts'; import * as types_0 from "./a.ts";`)),
    made.join('\n'),
  );
  t.false(known.some((line) => line.includes('import *')));
});

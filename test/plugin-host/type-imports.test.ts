/** Plugins that import types without the word `type`: which of them run, and how the others are reported. */
import test from 'ava';
import { pluginsDir, startRelay } from '../support/relays.ts';
import { satelliteSource, started } from './kit.ts';

const SHAPES = `export interface Reading { value: number }\nexport type Kind = 'a' | 'b';\nexport class Sensor { name = 'north'; }\n`;
const TAKING = satelliteSource(
  'Taking',
  `  constructor(private readonly sensor: Sensor) { super(); }
  @Exposed() take(reading: Reading): Kind { return reading.value > 0 ? 'a' : 'b'; }
  @Exposed() name(): string { return this.sensor.name; }`,
  `import { Kind, Reading, Sensor } from './_shapes.ts';`,
);

test('a plugin that names interfaces and types in its signatures runs, and its classes are injected', async (t) => {
  const { call, problems } = await started(t, { 'ham/spam.ts': TAKING, 'ham/_shapes.ts': SHAPES });
  t.deepEqual(problems(), {});
  t.is(await call('ham.spam.take', { value: 1 }), 'a');
  t.is(await call('ham.spam.name'), 'north');
});

test('so does a plugin in a process of its own', async (t) => {
  t.timeout(55_000);
  const directory = pluginsDir(t, {
    'ham/spam.ts': TAKING.replace('@Satellite()', "@Satellite({ isolation: 'child' })"),
    'ham/_shapes.ts': SHAPES,
  });
  const relay = await startRelay(t, { pluginsDir: directory });
  t.is(await relay.call('ham.spam.take', { value: 0 }), 'b');
  t.is(await relay.call('ham.spam.name'), 'north');
});

/** The source of a helper that the plugin imports -> the place and the reason. */
const REEXPORTS: Readonly<Record<string, readonly [place: string, reason: string]>> = {
  "// é\nexport { Kind, Sensor } from './_shapes.ts';": [
    'ham/_again.ts:2',
    "The requested module './_shapes.ts' does not provide an export named 'Kind'; Kind is a type, so write: export type { Kind } from './_shapes.ts'",
  ],
  "\nexport {\n  Sensor,\n  Reading as Kind,\n} from './_shapes.ts';": [
    'ham/_again.ts:4',
    "The requested module './_shapes.ts' does not provide an export named 'Reading'; Reading is a type, so write: export type { Reading } from './_shapes.ts'",
  ],
  "import { Exposed } from 'co2-relay';\n\nimport { Kind, Sensor } from './_shapes.js';\nexport { Kind };\nexport class A { @Exposed() take(a: Sensor) {} }":
    [
      'ham/_again.ts:3',
      "The requested module './_shapes.js' does not provide an export named 'Kind'; Kind is a type, so write: import type { Kind } from './_shapes.js'",
    ],
  "export { Kond as Kind } from './_shapes.ts';": [
    'ham/_again.ts:1',
    "The requested module './_shapes.ts' does not provide an export named 'Kond'",
  ],
  "export { Nothing as Kind } from 'zod';": [
    'ham/_again.ts:1',
    "The requested module 'zod' does not provide an export named 'Nothing'; if Nothing is a type, write: export type { Nothing } from 'zod'",
  ],
};

for (const [source, [place, reason]] of Object.entries(REEXPORTS)) {
  test(`what cannot be known to be a type is named with file and line: ${JSON.stringify(source)}`, async (t) => {
    const { problems } = await started(t, {
      'ham/spam.ts': satelliteSource('Spam', '  @Exposed() take(kind: Kind) { return 1; }', `import { Kind } from './_again.ts';`),
      'ham/_again.ts': source,
      'ham/_shapes.ts': SHAPES,
      'ham/node_modules/zod/package.json': '{ "name": "zod", "type": "module", "exports": "./index.js" }',
      'ham/node_modules/zod/index.js': 'export const z = 1;\n',
    });
    t.deepEqual(problems(), { [place]: reason });
  });
}

test('a type that a constructor asks for is named as one that cannot be injected', async (t) => {
  const { problems } = await started(t, {
    'ham/spam.ts': satelliteSource(
      'Spam',
      '  constructor(readonly reading: Reading) { super(); }',
      `import { Reading } from './_shapes.ts';`,
    ),
    'ham/_shapes.ts': SHAPES,
  });
  t.regex(
    problems()['ham/spam.ts'] ?? '',
    /parameter 1 of the constructor of Spam has the type Object \(an interface, .*\), which cannot be injected; name a token: @Inject/,
  );
});

/** Plugins that do not load: reported with file, line and reason, and the others run. */
import test from 'ava';
import { ECHO, hostOf, satelliteSource, started } from './kit.ts';

const FINE = satelliteSource('Fine', `  @Exposed() fine() { return true; }`);

test('a module that cannot be imported or constructed is reported in one log line with file, line and reason', async (t) => {
  const { call, problems, lines, host } = await started(t, {
    'bad/syntax.ts': `const a = 1;\nconst b = ;\n`,
    'bad/script.js': `const a = 1;\nconst b = ;\n`,
    'bad/throws.ts': `const a = 1;\nthrow new Error('no\\u001b[31m thermometer');\n`,
    'bad/strange.ts': `throw { toString() { throw new Error('worse'); } };`,
    'bad/imports.ts': `import './_missing.ts';`,
    'bad/names.ts': `import { Satelite } from 'co2-relay'; Satelite();`,
    'bad/package.ts': `import 'not-installed-anywhere';`,
    'bad/helper.ts': `import './_helper.ts';`,
    'bad/_helper.ts': `\n\nexport const x = undefined as never as { y: { z: 1 } };\nx.y.z;\n`,
    'bad/constructs.ts': satelliteSource('Bad', `  constructor() { super();\n throw new Error('not today'); }`),
    'good/fine.ts': FINE,
  });
  t.true(await call('good.fine.fine'));
  const reasons = problems();
  t.regex(reasons['bad/syntax.ts:2'] ?? '', /expression|Unexpected/i);
  t.is(reasons['bad/throws.ts:2'], 'no\ufffd[31m thermometer');
  t.truthy(reasons['bad/strange.ts']);
  t.regex(reasons['bad/imports.ts'] ?? '', /Cannot find module.*bad\/_missing\.ts/);
  t.regex(Object.entries(reasons).find(([file]) => file.startsWith('bad/names.ts'))?.[1] ?? '', /Satelite/);
  t.regex(reasons['bad/package.ts'] ?? '', /not-installed-anywhere/);
  t.regex(reasons['bad/_helper.ts:4'] ?? '', /undefined/);
  t.is(reasons['bad/constructs.ts:7'], 'bad.constructs.Bad: not today');
  t.regex(reasons['bad/script.js:2'] ?? '', /./);
  t.is(host.status().problems.length, 9);
  t.is(lines.all.filter((line) => /^error plugin-host: \S+: not loaded: /.test(line)).length, 9);
  t.true(lines.all.some((line) => /^error plugin-host: bad\/syntax\.ts:2:\d+: not loaded: [^\n]+$/.test(line)));
  t.false(JSON.stringify(host.status()).includes('/tmp/'));
});

test('an import without its extension is reported with the extension', async (t) => {
  const { problems } = await started(t, { 'bad/short.ts': `import './_near';`, 'bad/_near.ts': '', 'bad/far.ts': `import './_far';` });
  t.is(problems()['bad/short.ts'], "Cannot find module 'bad/_near' imported from bad/short.ts; write its extension: _near.ts");
  t.is(problems()['bad/far.ts'], "Cannot find module 'bad/_far' imported from bad/far.ts");
});

test('a module that never finishes loading is not loaded', async (t) => {
  const kit = await hostOf(t, { 'bad/hangs.ts': `await new Promise(() => undefined);`, 'good/fine.ts': FINE });
  const start = kit.start();
  await kit.clock.whenPending();
  kit.clock.advance(10_000);
  await start;
  t.deepEqual(kit.names(), ['good.fine.fine']);
  t.regex(kit.problems()['bad/hangs.ts'] ?? '', /took longer than 10000 ms/);
});

test('a module without satellites is a warning and not a problem', async (t) => {
  const { lines, host } = await started(t, { 'ham/spam.ts': 'export class Plain {}', 'ham/echo.ts': ECHO });
  t.true(lines.all.some((line) => line.startsWith('warn plugin-host: ham/spam.ts: it does not export a class decorated with @Satellite')));
  t.is(host.status().problems.length, 0);
});

/**
 * A plugin says its version, and which relays it works with: in its decorator or its package.json, in this process or in one of its own.
 * The relay of these tests is 0.9.0.
 */
import test from 'ava';
import { live } from './reload-kit.ts';
import { satelliteSource, started } from './kit.ts';

function spam(options: string, className = 'Spam'): string {
  return satelliteSource(className, `  @Exposed() answer() { return 1; }`).replace('@Satellite()', `@Satellite(${options})`);
}

test('the status has the version of the decorator, or else of the package.json of the folder', async (t) => {
  const kit = await started(t, {
    'ham/spam.ts': spam(`{ version: '1.2.3', requires: '^0.9.0' }`),
    'ham/eggs.ts': spam(''),
    'ham/package.json': JSON.stringify({ version: '7.0.0', co2: { requires: '>=0.1.0' } }),
    'bare/spam.ts': spam(''),
  });
  const versions = kit.host.status().plugins.map(({ name, version }) => [name, version]);
  t.deepEqual(versions, [
    ['bare.spam', undefined],
    ['ham.eggs', '7.0.0'],
    ['ham.spam', '1.2.3'],
  ]);
  t.deepEqual(kit.problems(), {});
});

test('a plugin that requires another relay is not loaded, with both versions; the others run', async (t) => {
  const kit = await started(t, {
    'ham/spam.ts': spam(`{ version: '1.2.3', requires: '^2.0.0' }`),
    'ham/eggs.ts': spam(`{ requires: '>=0.9.0' }`),
    'new/spam.ts': spam(''),
    'new/package.json': JSON.stringify({ version: '3.0.0', co2: { requires: '>=1.0.0' } }),
    'odd/spam.ts': spam(''),
    'odd/package.json': JSON.stringify({ co2: { requires: 'newest' } }),
  });
  t.deepEqual(kit.problems(), {
    'ham/spam.ts': 'ham.spam.Spam: its version 1.2.3 requires a relay ^2.0.0, and this one is 0.9.0',
    'new/spam.ts': 'new.spam.Spam: its version 3.0.0 requires a relay >=1.0.0, and this one is 0.9.0',
    'odd/spam.ts': "odd.spam.Spam: it requires the relay 'newest', which is not a version range such as ^1.2.0",
  });
  t.deepEqual(kit.names(), ['ham.eggs.answer']);
});

test('an invalid version in a package.json is reported, and its modules run', async (t) => {
  const kit = await started(t, {
    'ham/spam.ts': spam(''),
    'ham/package.json': JSON.stringify({ version: 'dev', co2: { requires: 1 } }),
  });
  t.deepEqual(
    kit.host.status().problems.map(({ file, reason }) => `${file}: ${reason}`),
    [
      `ham/package.json: version: found 'dev', expected a version such as "1.2.0"`,
      'ham/package.json: co2.requires: found 1, expected a range of versions of the relay such as "^0.1.0"',
    ],
  );
  t.deepEqual(kit.names(), ['ham.spam.answer']);
});

test('a reload to a version that requires another relay leaves the one before', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': spam(`{ version: '1.0.0' }`) });
  await kit.save('ham/spam.ts', spam(`{ version: '2.0.0', requires: '>0.9.0' }`));
  await kit.notReloaded({ reason: /^ham\.spam\.Spam: its version 2\.0\.0 requires a relay >0\.9\.0, and this one is 0\.9\.0$/ });
  t.like(kit.status('ham.spam'), { version: '1.0.0', state: { type: 'ready' } });
  await kit.save('ham/spam.ts', spam(`{ version: '2.1.0', requires: '^0.9.0' }`));
  await kit.changed('ham.spam', 'reloaded');
  t.is(kit.status('ham.spam').version, '2.1.0');
});

test('invalid versions and ranges are reported at the decorator', async (t) => {
  const kit = await started(t, {
    'a/version.ts': spam(`{ version: '1.x' }`),
    'b/range.ts': spam(`{ requires: 'newest' }`),
    'c/number.ts': spam(`{ version: 2 as never }`),
  });
  const reasons = Object.values(kit.problems());
  t.deepEqual(reasons, [
    "@Satellite on Spam: version: found '1.x', expected a version such as '1.2.0'",
    "@Satellite on Spam: requires: found 'newest', expected a range of versions of the relay such as '^0.1.0'",
    "@Satellite on Spam: version: found 2, expected a version such as '1.2.0'",
  ]);
});

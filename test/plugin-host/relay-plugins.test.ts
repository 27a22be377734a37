/** Which relay plugins are loaded, in which order, and what ends the start. */
import { chmodSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { container } from 'tsyringe';
import { RelayError, isPromise, systemClock } from '../../src/core/core.ts';
import { dictOf } from '../../src/values/values.ts';
import { RelayPlugins, pluginHostDefaults, relayPluginDefaults } from '../../src/plugin-host/plugin-host.ts';
import type { RelayPluginEntry } from '../../src/plugin-host/plugin-host.ts';
import { rejects } from '../support/relay-error.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { hostOf, memoryLog, satelliteSource, writePlugins } from './kit.ts';
import type { Gate } from '../support/gate.ts';
import type { Files } from './kit.ts';

interface Started {
  readonly plugins: RelayPlugins;
  readonly lines: Gate<string>;
  readonly clock: VirtualClock;
  readonly start: () => Promise<void>;
}

/** Relay plugins over these files; `use` begins with `./` for a file among them. */
async function relayPluginsOf(t: ExecutionContext, files: Files, entries: readonly (string | RelayPluginEntry)[]): Promise<Started> {
  const directory = await writePlugins(t, files);
  const { logs, lines } = memoryLog();
  const clock = new VirtualClock(0);
  const absolute = (use: string): string => (use.startsWith('./') ? join(directory, use) : use);
  const relayPlugins = entries.map((entry) => (typeof entry === 'string' ? absolute(entry) : { ...entry, use: absolute(entry.use) }));
  const plugins = new RelayPlugins({
    options: { ...pluginHostDefaults, ...relayPluginDefaults, pluginsDir: directory, pluginPackages: false, relayPlugins },
    ...{ directoryRequired: true, container: container.createChildContainer(), logs, clock, cacheDir: undefined, maxDictBytes: 1000 },
  });
  t.teardown(() => plugins.stop());
  return { plugins, lines, clock, start: () => plugins.start() };
}

/** A module with one relay plugin. */
const source = (name: string, body = 'onAccept() { return undefined; }', decorator = '@RelayPlugin()', head = ''): string => `
import { Inject, LOGGER, Plugin, Refusal, RelayPlugin, Satellite } from 'co2-relay';
${head}
${decorator}
export class ${name} {
  ${body}
}
`;

const names = ({ plugins }: Started): string[] => plugins.status().map(({ name }) => name);

test('relay plugins are named by file or module, each with its configuration; a second one of the same name is numbered', async (t) => {
  const setup = `constructor(@Inject(LOGGER) logger) { this.logger = logger; } setup(config) { this.logger.info('set up with ' + JSON.stringify(config)); } onForward() {}`;
  const kit = await relayPluginsOf(
    t,
    { 'ham/filter.ts': source('Filter', setup), 'filters/my-key.ts': source('Key', setup, '@RelayPlugin') },
    ['ham.filter', { use: './filters/my-key.ts', config: { key: 1 } }, { use: './filters/my-key.ts', config: { key: 2 } }],
  );
  await kit.start();
  t.deepEqual(names(kit), ['ham.filter.Filter', 'my_key.Key', 'my_key.Key#2']);
  t.deepEqual(
    kit.lines.all.filter((line) => line.includes('set up')),
    ['info plugin.ham.filter: set up with {}', 'info plugin.my_key: set up with {"key":1}', 'info plugin.my_key: set up with {"key":2}'],
  );
  t.deepEqual({ accept: kit.plugins.hooks?.onAccept.length, forward: kit.plugins.hooks?.onForward.length }, { accept: 0, forward: 3 });
  t.deepEqual(kit.plugins.status()[0], {
    ...{ name: 'ham.filter.Filter', order: 0, carries: undefined },
    ...{ passed: 0, transformed: 0, refused: 0, late: 0, failed: 0 },
  });
});

test('hooks run sorted by order and then by name, and plugins exit in reverse', async (t) => {
  const tell = (name: string): string =>
    `onAccept(dict) { return { data: dict.data + '${name}' }; } exit() { globalThis.relayPluginExits.push('${name}'); }`;
  const exits: string[] = [];
  Object.assign(globalThis, { relayPluginExits: exits });
  const file = (name: string, order?: number): string =>
    source(name, tell(name), order === undefined ? '@RelayPlugin()' : `@RelayPlugin({ order: ${order} })`);
  const kit = await relayPluginsOf(t, { 'x/a.ts': file('A'), 'x/b.ts': file('B', 10), 'x/c.ts': file('C', -1.5), 'x/d.ts': file('D') }, [
    ...['./x/b.ts', './x/d.ts', './x/a.ts', './x/c.ts'],
  ]);
  await kit.start();
  t.deepEqual(names(kit), ['c.C', 'a.A', 'd.D', 'b.B']);
  let dict = dictOf([['data', '']]);
  for (const hook of kit.plugins.hooks?.onAccept ?? []) {
    const from = { kind: 'client', name: '' } as const;
    const answer = hook.call(dict, { where: 'delivery', id: 'x', hops: 0, ageMs: 0, verdict: 'local', from, to: [] });
    if (!isPromise(answer) && answer) ({ dict } = answer);
  }
  t.is(dict.data, 'CADB');
  t.like(kit.plugins.status()[0], { name: 'c.C', transformed: 1 });
  await kit.plugins.stop();
  t.deepEqual(exits, ['B', 'D', 'A', 'C']);
});

test('without relay plugins, nothing is loaded and no hooks exist', async (t) => {
  const kit = await relayPluginsOf(t, { 'ham/filter.ts': `throw new Error('loaded');` }, []);
  await kit.start();
  t.is(kit.plugins.hooks, undefined);
  t.deepEqual(kit.plugins.status(), []);
});

test('a relay plugin in the plugins directory does not run unless config.ts lists it, and the log explains how', async (t) => {
  const both = satelliteSource(
    'Ear',
    'receive() {}',
    `import { RelayPlugin } from 'co2-relay';\n@RelayPlugin()\nexport class Spy { onAccept() { throw new Error('I ran'); } }`,
  );
  const files = { 'ham/filter.ts': source('Filter'), 'ham/both.ts': both };
  const kit = await hostOf(t, files);
  await kit.start();
  const said = kit.lines.all.filter((line) => line.includes('relay plugin'));
  const text = (file: string, name: string): string =>
    `warn plugin-host: ham/${file}.ts: ${name} is a relay plugin and does not run, since it would see every dict; to load it write relayPlugins: ['ham.${file}'] in config.ts`;
  t.deepEqual(said, [text('both', 'Spy'), text('filter', 'Filter')]);
  t.deepEqual(
    kit.host.status().satellites.map(({ name }) => name),
    ['ham.both.Ear'],
  );
  t.deepEqual(kit.problems(), {});
});

test('a relay plugin added while the relay runs is logged once', async (t) => {
  const directory = await writePlugins(t, { 'ham/first.ts': source('First') });
  const kit = await hostOf(t, directory);
  await kit.start();
  await writeFile(join(directory, 'ham/late.ts'), source('Late'));
  await kit.host.rescan();
  await kit.host.startPlugin('ham.late');
  t.deepEqual(
    kit.lines.all.filter((line) => line.includes('is a relay plugin')).map((line) => line.split(' ')[2]),
    ['ham/first.ts:', 'ham/late.ts:'],
  );
});

for (const use of ['ham.filter', './ham/filter.ts']) {
  test(`the plugin host logs no remark about a relay plugin listed as ${use}`, async (t) => {
    const directory = await writePlugins(t, { 'ham/filter.ts': source('Filter') });
    const kit = await hostOf(t, directory, { relayPlugins: [use.startsWith('.') ? join(directory, use) : use] });
    await kit.start();
    t.deepEqual(
      kit.lines.all.filter((line) => line.includes('filter') && !line.startsWith('debug ')),
      [],
    );
  });
}

const CARRIES = `@RelayPlugin({ carries: 'memory' })`;
// By hand: a directory outside of the project finds no zod.
const SCHEMA = `const schema = { '~standard': { version: 1, vendor: 'x', validate: () => ({ issues: [{ message: 'no text', path: ['key'] }] }) } };`;
const REFUSED: readonly (readonly [what: string, files: Files, entries: readonly (string | RelayPluginEntry)[], text: RegExp])[] = [
  ['a file that does not exist', {}, ['./nowhere.ts'], /^relayPlugins: there is no file .*nowhere\.ts$/],
  ['a file that is not a module', { 'x.json': '{}' }, ['./x.json'], /^relayPlugins: .*x\.json must end with \.ts, \.mts, \.js, \.mjs$/],
  [
    'a module that is not there',
    { 'ham/filter.ts': source('F') },
    ['ham.fliter'],
    /^relayPlugins: there is no module "ham\.fliter"; did you mean "ham\.filter"\?$/,
  ],
  [
    'a path without its dot',
    {},
    ['filters/key.ts'],
    /there is no module "filters\/key\.ts"; a file is named by its path: \.\/filters\/key\.ts$/,
  ],
  [
    'a module that must not be executed',
    { 'system/filter.ts': source('F') },
    ['system.filter'],
    /^relayPlugins: system\/filter\.ts is not loaded: package name "system" is reserved/,
  ],
  ['a file that does not compile', { 'x.ts': 'export class {' }, ['./x.ts'], /^relay plugin x\.ts:1:\d+: it does not load: /],
  [
    'one that throws while it loads',
    { 'x.ts': `throw new Error('no luck');` },
    ['./x.ts'],
    /^relay plugin x\.ts:1:\d+: it does not load: no luck$/,
  ],
  ['a file without a relay plugin', { 'x.ts': 'export const a = 1;' }, ['./x.ts'], /it exports no class decorated with @RelayPlugin$/],
  ['a satellite', { 'ham/x.ts': satelliteSource('Ear', 'receive() {}') }, ['ham.x'], /it exports no class decorated with @RelayPlugin$/],
  [
    'an heir of a relay plugin',
    { 'x.ts': `import { F } from './_f.ts';\nexport class G extends F {}`, '_f.ts': source('F') },
    ['./x.ts'],
    /exports no class/,
  ],
  ['a misspelled hook', { 'x.ts': source('F', 'onaccept() {}') }, ['./x.ts'], /F has neither onAccept, onForward nor createCarrier$/],
  ['a hook that is not a method', { 'x.ts': source('F', 'onAccept = 5; onForward() {}') }, ['./x.ts'], /F\.onAccept is not a method$/],
  [
    'an order that is no number',
    { 'x.ts': source('F', undefined, `@RelayPlugin({ order: 'first' })`) },
    ['./x.ts'],
    /the order of F is not a number$/,
  ],
  [
    'a scheme without a carrier',
    { 'x.ts': source('F', undefined, CARRIES) },
    ['./x.ts'],
    /F needs both @RelayPlugin\(\{ carries: 'scheme' \}\) and createCarrier\(\), or neither$/,
  ],
  ['a carrier without a scheme', { 'x.ts': source('F', 'createCarrier() {}') }, ['./x.ts'], /F needs both/],
  [
    'a carrier of HTTP',
    { 'x.ts': source('F', 'createCarrier() {}', `@RelayPlugin({ carries: 'https' })`) },
    ['./x.ts'],
    /F carries 'https': that is not a URL scheme, or it is HTTP/,
  ],
  [
    'two carriers of one scheme',
    { 'x.ts': source('F', 'createCarrier() {}', CARRIES), 'y.ts': source('G', 'createCarrier() {}', CARRIES) },
    ['./x.ts', './y.ts'],
    /^relay plugin x\.F: y\.G carries 'memory' too; name one of them$/,
  ],
  [
    'a constructor that throws',
    { 'x.ts': source('F', `constructor() { throw new Error('not today'); } onAccept() {}`) },
    ['./x.ts'],
    /^relay plugin x\.ts:\d+:\d+: it does not load: not today$/,
  ],
  [
    'a setup that throws',
    { 'x.ts': source('F', `onAccept() {} setup() { throw new Error('no key'); }`) },
    ['./x.ts'],
    /^relay plugin x\.F: it refuses to start: no key \(x\.ts:\d+:\d+\)$/,
  ],
  [
    'a configuration that does not fit',
    { 'x.ts': source('F', undefined, '@RelayPlugin({ config: schema })', SCHEMA) },
    [{ use: './x.ts', config: { key: 5 } }],
    /^plugin x\.F: key "key": .*found an int \(relayPlugins in config\.ts\)$/,
  ],
];

for (const [what, files, entries, text] of REFUSED) {
  test(`the start fails with: ${what}`, async (t) => {
    const kit = await relayPluginsOf(t, files, entries);
    const error = await t.throwsAsync<RelayError>(kit.start(), { instanceOf: RelayError, message: text });
    // An entry that names nothing that can run is a mistake in the configuration; all else is one in the plugin.
    t.is(error.code, error.data.option === 'relayPlugins' ? 'CONFIG_INVALID' : 'PLUGIN_REFUSED');
    t.is(error.data.option === 'relayPlugins', error.message.startsWith('relayPlugins: '));
    t.is(kit.plugins.hooks, undefined, 'nothing runs by halves');
  });
}

test('a relay plugin that other users may write to is not executed', async (t) => {
  const directory = await writePlugins(t, { 'x.ts': source('F') });
  chmodSync(join(directory, 'x.ts'), 0o666);
  const kit = await relayPluginsOf(t, {}, [join(directory, 'x.ts')]);
  const error = await rejects(t, kit.start(), 'CONFIG_INVALID', { option: 'relayPlugins' });
  t.regex(error.message, /x\.ts is not loaded: every user of this machine can write to it/);
});

test('if a relay plugin fails to start, those already set up are exited', async (t) => {
  const exits: string[] = [];
  Object.assign(globalThis, { relayPluginExitsLater: exits });
  const kit = await relayPluginsOf(
    t,
    {
      'a.ts': source('A', `onAccept() {} exit() { globalThis.relayPluginExitsLater.push('A'); }`),
      'b.ts': source('B', `onAccept() {} setup() { throw new Error('no'); }`),
    },
    ['./a.ts', './b.ts'],
  );
  await t.throwsAsync(kit.start());
  t.deepEqual(exits, ['A']);
});

test('setup and exit time out if they never finish', async (t) => {
  const kit = await relayPluginsOf(
    t,
    { 'a.ts': source('A', `onAccept() {} exit() { globalThis.relayPluginHangs(); return new Promise(() => {}); }`) },
    ['./a.ts'],
  );
  const hangs = new Promise<void>((resolve) => Object.assign(globalThis, { relayPluginHangs: resolve }));
  await kit.start();
  const stopped = kit.plugins.stop();
  await hangs;
  kit.clock.advance(5000);
  await stopped;
  t.true(kit.lines.all.includes('error relay-plugins: a.A: exit failed: exit() took longer than 5000 ms'));
});

test('a scheme that no relay plugin supports is rejected with a remedy', async (t) => {
  const kit = await relayPluginsOf(t, { 'x.ts': source('F', 'createCarrier() { return undefined; }', CARRIES) }, ['./x.ts']);
  await kit.start();
  t.notThrows(() => {
    kit.plugins.requireCarrier(new URL('memory://b'));
  });
  t.throws(() => kit.plugins.carrier(new URL('memory://b')), { code: 'TRANSPORT', message: 'createCarrier() answered no carrier' });
  const error = t.throws(() => {
    kit.plugins.requireCarrier(new URL('nats://b'));
  });
  t.like(error, {
    code: 'CONFIG_INVALID',
    message: `peers: nothing carries nats: URLs; name a relay plugin in relayPlugins that carries 'nats'`,
  });
});

test('unknown and invalid options of @RelayPlugin are reported', async (t) => {
  for (const [options, says] of [
    ['{ oder: 1 }', '@RelayPlugin on Filter: there is no option "oder"; did you mean "order"?'],
    ["{ config: 'x' }", '@RelayPlugin on Filter: config: found a string, expected a schema'],
    ["'memory'", '@RelayPlugin on Filter: found a string, expected an object of options (order, carries, config)'],
  ] as const) {
    const kit = await relayPluginsOf(t, { 'ham/filter.ts': source('Filter', undefined, `@RelayPlugin(${options})`) }, ['ham.filter']);
    const error = await rejects(t, kit.start(), 'PLUGIN_REFUSED');
    t.true(error.message.includes(says), error.message);
  }
});

test('saving a relay plugin in use logs that it is not reloaded', async (t) => {
  const kit = await hostOf(t, { 'ham/filter.ts': source('Filter') }, { relayPlugins: ['ham.filter'] }, systemClock);
  await kit.start();
  await writeFile(join(kit.directory, 'ham/filter.ts'), source('Filter', 'onForward() { return undefined; }'));
  await kit.host.rescan();
  await kit.lines.until((line) => line.endsWith('ham/filter.ts: its relay plugins are not reloaded; restart the relay'));
  await kit.host.stop();
  t.deepEqual(
    kit.lines.all.filter((line) => line.includes(' reloaded in ')),
    [],
  );
});

/** Configuration, setup, exit. */
import test from 'ava';
import { hostOf, messageOf, satelliteSource, started, writePlugins } from './kit.ts';

const zod = JSON.stringify(new URL('../../node_modules/zod/index.js', import.meta.url).href);

/** Sends `<name> setup <config>` and `<name> exit`. */
const TELLS = satelliteSource(
  'Tells',
  `  async setup(config: unknown) { await this.send({ data: [this.toString(), 'setup', JSON.stringify(config)] }); }
  async exit() { await this.send({ data: [this.toString(), 'exit'] }); }`,
);

const STRICT = TELLS.replace(
  '@Satellite()',
  `import { z } from ${zod};
@Satellite({ config: z.strictObject({ high: z.number(), unit: z.string().default('C'), apiToken: z.string().optional() }) })`,
);

test('setup gets {}, the file beside the module, or what config.ts says, checked by the schema', async (t) => {
  const { sent } = await started(
    t,
    {
      'a/none.ts': TELLS,
      'b/my-file.ts': TELLS,
      'b/my-file.config.ts': `import { from } from './_from.ts'; export default { from };`,
      'b/_from.ts': `export const from = 'file';`,
      'c/wins.ts': STRICT,
      'c/wins.config.mjs': `export default { high: 1 };`,
      'd/script.ts': STRICT,
      'd/script.config.mjs': `export default { high: 2, unit: 'F' };`,
    },
    { plugins: { 'c.wins': { high: 3 }, 'd.script': undefined } },
  );
  t.deepEqual(
    sent.all.map(({ data }) => data),
    [
      ['a.none.Tells', 'setup', '{}'],
      ['b.my_file.Tells', 'setup', '{"from":"file"}'],
      ['c.wins.Tells', 'setup', '{"high":3,"unit":"C"}'],
      ['d.script.Tells', 'setup', '{"high":2,"unit":"F"}'],
    ],
  );
});

test('an invalid configuration ends the start before any setup, and the error names plugin, key, found, expected and file', async (t) => {
  const files = {
    'a/first.ts': TELLS,
    'ham/spam.ts': STRICT,
    'ham/spam.config.ts': `export default { high: '12', apiToken: 5, hihg: 1 };`,
  };
  const { start, sent } = await hostOf(t, files);
  const error = await t.throwsAsync(start(), { code: 'PLUGIN_REFUSED' });
  t.regex(error.message, /^plugin ham\.spam\.Tells: key "high": .*expected number.*, found '12'; /);
  t.regex(error.message, /key "apiToken": .*found an int/);
  t.regex(error.message, /hihg.*\(ham\/spam\.config\.ts\)$/);
  t.deepEqual(sent.all, []);
  const inMain = await hostOf(t, { 'ham/spam.ts': STRICT }, { plugins: { 'ham.spam': { high: null } } });
  await t.throwsAsync(inMain.start(), {
    code: 'PLUGIN_REFUSED',
    message: /key "high": .*found null \(plugins\['ham\.spam'\] in config\.ts\)/,
  });
});

test('a configuration file that does not load ends the start', async (t) => {
  const broken: [string, RegExp][] = [
    [`export default {\n high: ,\n};`, /^plugin ham\.spam: its configuration does not load: ham\/spam\.config\.ts:2:\d+: /],
    [`\nthrow new Error('no');`, /ham\/spam\.config\.ts:2:\d+: no$/],
    [`export const high = 1;`, /no default export/],
  ];
  for (const [source, message] of broken) {
    const { start } = await hostOf(t, { 'ham/spam.ts': TELLS, 'ham/spam.config.ts': source });
    await t.throwsAsync(start(), { code: 'PLUGIN_REFUSED', message });
  }
  const two = await hostOf(t, { 'ham/spam.ts': TELLS, 'ham/spam.config.ts': 'export default 1', 'ham/spam.config.js': 'export default 1' });
  await t.throwsAsync(two.start(), { code: 'PLUGIN_REFUSED', message: /two configuration files/ });
});

test('setup in order of names, exit in reverse, once', async (t) => {
  const { sent, host, names } = await started(t, { 'b/b.ts': TELLS, 'a/z.ts': TELLS, 'c/c.ts': TELLS, 'top.ts': TELLS });
  await Promise.all([host.stop(), host.stop()]);
  await host.stop();
  const told = sent.all.map(({ data }) => (data as string[]).slice(0, 2).join(' '));
  const order = ['a.z', 'b.b', 'c.c', 'plugins.top'];
  t.deepEqual(told, [...order.map((name) => `${name}.Tells setup`), ...order.reverse().map((name) => `${name}.Tells exit`)]);
  t.deepEqual(names(), []);
  t.true(host.status().satellites.every(({ state }) => state.type === 'exited'));
});

test('with strictStart a setup that throws ends the start; satellites that were set up exit in reverse order', async (t) => {
  const throwing = TELLS.replace('async setup(config: unknown) {', `async setup() {\n throw new Error('no database');`);
  const files = { 'a/a.ts': TELLS, 'b/b.ts': TELLS, 'c/bad.ts': throwing, 'd/d.ts': TELLS };
  const { start, sent, host } = await hostOf(t, files, { strictStart: true });
  await t.throwsAsync(start(), {
    code: 'PLUGIN_REFUSED',
    message: /^plugin c\.bad\.Tells: it refuses to start: no database \(c\/bad\.ts:7:\d+\)/,
  });
  const told = sent.all.map(({ data }) => (data as string[]).slice(0, 2).join(' '));
  t.deepEqual(told, ['a.a.Tells setup', 'b.b.Tells setup', 'b.b.Tells exit', 'a.a.Tells exit']);
  t.is(host.deliver(messageOf('x')), 0);
  await host.stop();
  t.is(sent.all.length, 4);
});

test('a setup that throws does not stop the start: it is tried again after growing delays, until it succeeds', async (t) => {
  const failing = satelliteSource(
    'Sensor',
    `  async setup() {
    const tries = ((globalThis as { tries?: number }).tries ?? 0) + 1;
    (globalThis as { tries?: number }).tries = tries;
    if (tries < 3) throw new Error('no sensor ' + tries);
  }
  @Exposed() read() { return 5; }`,
  );
  const { host, call, clock, seen } = await started(t, { 'ham/sensor.ts': failing, 'ham/spam.ts': TELLS });
  const sensor = () => host.status().plugins.find(({ name }) => name === 'ham.sensor');
  t.like(sensor(), {
    state: { type: 'backoff', attempt: 1 },
    lastError: 'ham/sensor.ts:9:26: plugin ham.sensor.Sensor: it refuses to start: no sensor 1 (ham/sensor.ts:9:26)',
  });
  t.like(
    host.status().plugins.find(({ name }) => name === 'ham.spam'),
    { state: { type: 'ready' } },
  );
  clock.advance(1_000);
  await seen.event('plugin.state', { plugin: 'ham.sensor', state: { type: 'backoff', attempt: 2 } });
  t.is(seen.matching('plugin.problem', { outcome: /^not started, it is tried again in \d\.\d s$/ }).length, 2);
  clock.advance(2_000);
  await seen.event('plugin.state', { plugin: 'ham.sensor', state: { type: 'ready' } });
  t.is(await call('ham.sensor.read'), 5);
  t.deepEqual(host.status().problems, []);
});

test('a stop ends the attempts of a setup that fails', async (t) => {
  const failing = satelliteSource('Sensor', `  setup() { throw new Error('no sensor'); }`);
  const { host, clock } = await started(t, { 'ham/sensor.ts': failing });
  t.is(clock.pending, 1);
  await host.stop();
  t.is(clock.pending, 0);
});

test('with strictStart a file that does not load ends the start', async (t) => {
  const { start } = await hostOf(t, { 'ham/bad.ts': 'const a = ;', 'ham/spam.ts': TELLS }, { strictStart: true });
  await t.throwsAsync(start(), { code: 'PLUGIN_REFUSED', message: /^ham\/bad\.ts: .* \(strictStart\)$/ });
});

const IDLE: readonly (readonly [what: string, source: string, reason: RegExp])[] = [
  ['a file without a decorated class', 'export class Spam {}', /does not export a class decorated with @Satellite/],
  [
    'a class without receive, exposed method or setup',
    satelliteSource('Spam', '  help() { return 5; }'),
    /^ham\.spam\.Spam has neither receive\(\) nor a method decorated with @Exposed, @Work, @Datasource, @Controller, @Watcher or @Reactor, and no setup\(\)/,
  ],
  [
    'a class that misspells receive',
    satelliteSource('Spam', '  recieve() { return undefined; }\n  setup() {}'),
    /did you mean receive\(\) by recieve\(\)\?$/,
  ],
];

for (const [what, source, reason] of IDLE) {
  test(`${what} is empty, and a warning says why`, async (t) => {
    const { host, lines } = await started(t, { 'ham/spam.ts': source });
    const [plugin] = host.status().plugins;
    t.is(plugin?.state.type, 'empty');
    t.regex(plugin?.state.type === 'empty' ? plugin.state.reason : '', reason);
    t.is(lines.all.filter((line) => line.startsWith('warn plugin-host: ham/spam.ts: ')).length, 1);
  });
}

test('a satellite that only sends, from its setup on, is ready', async (t) => {
  const { host } = await started(t, { 'ham/spam.ts': satelliteSource('Spam', `  async setup() { await this.send({ data: 1 }); }`) });
  t.deepEqual(host.status().plugins[0]?.state, { type: 'ready' });
});

test('an isolation that is not a literal is refused, unless config.ts says inline', async (t) => {
  const source = `const where = 'child';\n${satelliteSource('Spam', '  receive() {}').replace('@Satellite()', '@Satellite({ isolation: where })')}`;
  const { host } = await started(t, { 'ham/spam.ts': source });
  t.regex(
    host.status().problems[0]?.reason ?? '',
    /^@Satellite on Spam: isolation is read without running the file, so it must be the literal/,
  );
  const inline = await started(t, { 'ham/spam.ts': source }, { isolation: { 'ham.spam': 'inline' } });
  t.deepEqual(inline.host.status().plugins[0]?.state, { type: 'ready' });
});

test('the lines around a mistake are logged at a start too', async (t) => {
  const { lines } = await started(t, { 'ham/spam.ts': satelliteSource('Spam', `  @Exposed({ parms: [] } as never) go() {}`) });
  t.true(
    lines.all.some((line) => /^error plugin-host: > *\d+ \| .*parms/.test(line)),
    lines.all.join('\n'),
  );
});

test('setup and exit have a time limit each', async (t) => {
  const hangs = (method: string): string => satelliteSource('Hangs', `  ${method}() { return new Promise<void>(() => undefined); }`);
  const slow = await hostOf(t, { 'a/hangs.ts': hangs('setup') }, { strictStart: true });
  const start = slow.start();
  await slow.clock.whenPending();
  // The first timer is the import's; time passes until the one of setup() has rung.
  const rejected = t.throwsAsync(start, { code: 'PLUGIN_REFUSED', message: /setup\(\) took longer than 10000 ms/ });
  await slow.settingUp('a.hangs.Hangs');
  slow.clock.advance(10_000);
  await rejected;

  const { host, clock, lines, sent } = await started(t, { 'a/a.ts': TELLS, 'b/hangs.ts': hangs('exit') });
  const stopped = host.stop();
  await clock.whenPending();
  clock.advance(5_000);
  await stopped;
  t.true(lines.all.some((line) => line.startsWith('error plugin.b.hangs: b.hangs.Hangs: exit failed: exit() took longer than 5000 ms')));
  t.is(sent.all.at(-1)?.satellite, 'a.a.Tells');
  t.is(clock.pending, 0);
});

test('many exits that hang take three time limits in total, and all others still run', async (t) => {
  const hangs = satelliteSource('Hangs', '  exit() { return new Promise<void>(() => undefined); }');
  const files = Object.fromEntries(['b', 'c', 'd', 'e', 'f'].map((folder) => [`${folder}/hangs.ts`, hangs]));
  const { host, clock, sent } = await started(t, { ...files, 'a/a.ts': TELLS });
  let isStopped = false;
  const stopped = host.stop().then(() => (isStopped = true));
  for (const _ of [1, 2, 3]) {
    t.false(isStopped);
    await clock.whenPending();
    clock.advance(5_000);
  }
  await stopped;
  t.is(sent.all.at(-1)?.satellite, 'a.a.Tells');
});

test('send works from setup to exit, and is rejected afterwards', async (t) => {
  const source = satelliteSource(
    'Late',
    `  exit() { setImmediate(() => { this.send({ data: 'late' }).catch((error: Error) => (globalThis as any).failedLate(error)); }); }
  constructor() { super(); try { this.toString(); void this.send({ data: 1 }).catch((error: Error) => { early = error.message; }); } catch { } }
  setup() { this.log(early); }`,
    `let early = '';`,
  );
  const failure = new Promise<unknown>((resolve) => Object.assign(globalThis, { failedLate: resolve }));
  const { host, lines, sent } = await started(t, { 'ham/spam.ts': source });
  t.true(lines.all.some((line) => line.includes('works from setup() on, not in the constructor')));
  await host.stop();
  t.like(await failure, { code: 'UNAVAILABLE', message: 'ham.spam.Late has been stopped' });
  t.is(sent.all.length, 0);
});

test('exposed methods can be called while the satellite runs, and are rejected afterwards', async (t) => {
  const { host, method } = await started(t, { 'ham/spam.ts': satelliteSource('Spam', `  @Exposed() go() { return 1; }`) });
  const go = method('ham.spam.go')!;
  t.is(await go.invoke([], () => undefined), 1);
  await host.stop();
  t.throws(() => go.invoke([], () => undefined), { code: 'UNAVAILABLE' });
});

test('a stop during the start waits for it and exits what was set up', async (t) => {
  const { start, host, sent } = await hostOf(t, { 'a/a.ts': TELLS });
  const starting = start();
  await host.stop();
  await starting;
  t.deepEqual(
    sent.all.map(({ data }) => (data as string[])[1]),
    ['setup', 'exit'],
  );
});

test('a class marked by another copy of the package, and one that extends nothing, are satellites', async (t) => {
  const directory = await writePlugins(t, {
    // What the decorators of any copy leave behind, and what its base class does.
    'other/copy.mjs': `
      const mark = (name) => Symbol.for('co2-relay.' + name);
      class Base { #sender; [mark('attach')](sender) { this.#sender = sender; } send(dict) { return this.#sender.send(dict, {}); } receive() {} }
      export class Foreign extends Base {
        constructor(logger) { super(); this.logger = logger; }
        setup() { this.logger.info('set up'); return this.send({ data: 'hello' }); }
        go() { return 'gone'; }
      }
      Object.defineProperty(Foreign, mark('satellite'), { value: {} });
      Object.defineProperty(Foreign, mark('inject'), { value: new Map([[0, mark('Logger')]]) });
      Object.defineProperty(Foreign.prototype, mark('exposed'), { value: new Map([['go', { params: [], returns: 'string' }]]) });
      export class Bare { receive(dict) { this.seen = dict.data; } seen() {} }
      Object.defineProperty(Bare, mark('satellite'), { value: {} });`,
  });
  const { call, sent, host, lines } = await started(t, directory);
  t.is(await call('other.copy.go'), 'gone');
  t.deepEqual(sent.all, [{ satellite: 'other.copy.Foreign', data: 'hello' }]);
  t.true(lines.all.includes('info plugin.other.copy: set up'));
  t.is(host.deliver(messageOf('x')), 1, 'Bare receives; Foreign has the base class’s receive alone');
});

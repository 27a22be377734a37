/** Reloads during traffic: no message is lost or delivered twice, and a version that fails changes nothing. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { Gate } from '../support/gate.ts';
import { rejects } from '../support/relay-error.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { satelliteSource } from './kit.ts';
import { live, receives, versioned } from './reload-kit.ts';
import type { LiveKit } from './reload-kit.ts';

/** What satellites of this class sent, as texts. */
function told({ sent }: LiveKit): string[] {
  return sent.all.map(({ data }) => (data as string[]).join(' '));
}

/** Where plugins of this process, whatever their version, meet the tests: `gate` waits until the test opens it, `reached` goes on. */
const GATE = `const { gate, reached } = (globalThis as any)[Symbol.for('test.gates')] as Record<string, (name: string) => Promise<void>>;`;

const arrivals = new Gate<string>();
const opening = new Map<string, () => void>();
const reached = (name: string): void => {
  arrivals.push(name);
};
(globalThis as Record<symbol, unknown>)[Symbol.for('test.gates')] = {
  reached,
  gate: (name: string) =>
    new Promise<void>((resolve) => {
      opening.set(name, resolve);
      reached(name);
    }),
};

/** Resolves when a plugin has come to a gate or to a step of this name. */
function arrived(name: string): Promise<unknown> {
  return arrivals.until((one) => one === name);
}

function open(name: string): void {
  opening.get(name)?.();
}

test('messages that arrive during a slow setup of the new version are delivered exactly once, in order', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': receives('one') });
  kit.deliver(0);
  await kit.sent.until(() => true);
  await kit.save('ham/spam.ts', `${GATE}\n${receives('two', `  async setup() { await gate('slow'); }`)}`);
  await arrived('slow');
  for (const n of [1, 2, 3]) kit.deliver(n);
  t.is(await kit.call('ham.spam.version'), 'one', 'calls go to the version before, until the new one runs');
  open('slow');
  await kit.changed('ham.spam', 'reloaded');
  kit.deliver(4);
  await kit.delivered('ham.spam.Spam', 5);
  t.deepEqual(told(kit), ['one 0', 'two 1', 'two 2', 'two 3', 'two 4']);
  t.like(kit.status('ham.spam').satellites[0], { delivered: 5, failed: 0, dropped: 0, waiting: 0 });
});

test('a receive in progress ends before the handover', async (t) => {
  const old = satelliteSource(
    'Spam',
    `  seen: unknown[] = [];
  async receive(dict: Dict) { await gate('receive'); this.seen.push(dict.data); }
  handover() { return this.seen; }
  async exit() { await this.send({ data: ['exit', ...this.seen] }); }`,
    GATE,
  );
  const kit = await live(t, { 'ham/spam.ts': old });
  kit.deliver('a');
  await arrived('receive');
  kit.deliver('b');
  await kit.save(
    'ham/spam.ts',
    receives(
      'two',
      `  state: unknown; restore(state: unknown) { this.state = state; } async setup() { await this.send({ data: ['setup', this.state] }); }`,
    ),
  );
  await kit.seen.event('inbox.paused', { satellite: 'ham.spam.Spam' });
  open('receive');
  await kit.changed('ham.spam', 'reloaded');
  await kit.sent.until(() => true, 3);
  t.deepEqual(told(kit).sort(), ['exit a', 'setup a', 'two b']);
  t.is(told(kit)[0], 'setup a');
});

test('state is passed to the class of the same name: restore precedes setup, and exit comes last', async (t) => {
  const source = (version: string): string =>
    ['First', 'Second']
      .map((name) =>
        satelliteSource(
          name,
          `  state: string[] = [];
  handover() { this.log('${version} hands over'); return [...this.state, '${version}']; }
  restore(state: string[]) { this.state = state; this.log('${version} restores'); }
  setup() { this.log('${version} sets up'); }
  exit() { this.log('${version} exits'); }
  @Exposed() ${name}() { return this.state; }`,
        ),
      )
      .join('\n')
      .replaceAll(/^import.*$/gm, (line, at: number) => (at === 0 ? line : ''))
      .replace(/^/, `import { Dict } from 'co2-relay';\n`)
      .replace(/(import \{ Dict \} from 'co2-relay';\n)/, '$1');
  const kit = await live(t, { 'ham/spam.ts': source('one') });
  await kit.save('ham/spam.ts', source('two'));
  await kit.changed('ham.spam', 'reloaded');
  await kit.save('ham/spam.ts', source('three'));
  for (const satellite of ['ham.spam.First', 'ham.spam.Second'])
    await kit.seen.event('satellite.state', { satellite, state: { type: 'exited' } }, 2);
  t.deepEqual([await kit.call('ham.spam.First'), await kit.call('ham.spam.Second')], [['one', 'two'] as never, ['one', 'two'] as never]);
  const steps = kit.lines.all
    .filter((line) => line.startsWith('info plugin.ham.spam: '))
    .map((line) => line.slice('info plugin.ham.spam: '.length));
  t.deepEqual(steps.slice(2, 10), [
    ...['one hands over', 'one hands over', 'two restores', 'two sets up', 'two restores', 'two sets up', 'one exits', 'one exits'],
  ]);
});

const counter = (setup = ''): string =>
  satelliteSource(
    'Counter',
    `  count = 0;
  handover() { return this.count; }
  restore(count: number) { this.count = count; }
  @Exposed() async add() { return ++this.count; }
  @Exposed() async slow() { await gate('count'); return ++this.count; }
  ${setup}`,
    GATE,
  );

test('a call that arrives during the handover is answered by the new version, so its effect is kept', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': counter() });
  t.is(await kit.call('ham.spam.add'), 1);
  await kit.save('ham/spam.ts', counter(`async setup() { await gate('setup'); }`));
  await arrived('setup');
  const calls = [kit.call('ham.spam.add'), kit.call('ham.spam.add')];
  open('setup');
  t.deepEqual(await Promise.all(calls), [2, 3]);
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.add'), 4);
});

test('a call in progress ends before the handover', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': counter() });
  const call = kit.call('ham.spam.slow');
  await arrived('count');
  await kit.save('ham/spam.ts', counter(`constructor() { super(); reached('the constructor'); }`));
  await arrived('the constructor');
  // Without a wait for the call its effect would be lost by now: nothing else is left to do before the handover.
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  open('count');
  t.is(await call, 1);
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.add'), 2);
});

test('calls that waited go to the old version if the new one fails, or if its setup takes more than a second', async (t) => {
  const clock = new VirtualClock();
  const kit = await live(t, { 'ham/spam.ts': counter() }, { clock });
  await kit.save('ham/spam.ts', counter(`async setup() { await gate('a setup that fails'); throw new Error('no database'); }`));
  const saved = kit.host.reloadPlugin('ham.spam');
  await arrived('a setup that fails');
  const [early, late] = [kit.call('ham.spam.add'), kit.call('ham.spam.add')];
  clock.advance(1000);
  t.deepEqual(await Promise.all([early, late]), [1, 2]);
  t.is(await kit.call('ham.spam.add'), 3, 'the rest does not wait');
  open('a setup that fails');
  await t.throwsAsync(saved, { code: 'PLUGIN_REFUSED', message: /no database/ });
  t.is(await kit.call('ham.spam.add'), 4);
});

test('a version that fails at any step leaves the old one as it is, and is reported with file, line and frame', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': receives('one', `  handover() { return 'state'; }`) });
  const failures: readonly (readonly [string, string, RegExp])[] = [
    ['does not compile', `const a = 1;\nconst b = ;\n`, /^ham\/spam\.ts:2:11: Expression expected/],
    ['throws when it is loaded', `\nthrow new Error('not here');`, /^ham\/spam\.ts:2:\d+: not here$/],
    [
      'constructor',
      receives('x', `  constructor() { super(); throw new Error('no thermometer'); }`),
      /^ham\/spam\.ts:\d+:\d+: .*no thermometer/,
    ],
    ['setup', receives('x', `  setup() { throw new Error('no database'); }`), /^ham\/spam\.ts:\d+:\d+: .*no database/],
    ['restore', receives('x', `  restore() { throw new Error('no such state'); }`), /^ham\/spam\.ts:\d+:\d+: .*no such state/],
    ['declaration', receives('x', `  @Exposed({ params: ['nothing' as never] }) odd() {}`), /there is no type "nothing"/],
    [
      'name of another',
      receives('x', `  @Exposed() taken() {}`),
      /ham\.spam exposes ham\.spam\.taken, which is a method of the relay already/,
    ],
  ];
  kit.registry.add({ name: 'ham.spam.taken', access: 'call', help: '', signatures: undefined, invoke: () => 'mine' });
  let count = 0;
  for (const [what, source, expected] of failures) {
    await kit.save('ham/spam.ts', source);
    await kit.notReloaded({}, ++count);
    t.regex(kit.status('ham.spam').lastError ?? '', expected, what);
    t.deepEqual(kit.status('ham.spam').state, { type: 'ready' }, what);
    t.is(await kit.call('ham.spam.version'), 'one', what);
    kit.deliver(count);
    await kit.sent.until(() => true, count);
  }
  t.deepEqual(
    told(kit),
    failures.map((_, index) => `one ${index + 1}`),
  );
  t.deepEqual(kit.registry.names(), ['ham.spam.taken', 'ham.spam.version']);
  t.deepEqual(kit.host.status().problems, []);
  // The lines around the place, of the compiler's and of the plugin's own errors.
  const rows = kit.seen.matching('plugin.problem').flatMap((event) => event.rows);
  t.true(rows.includes('> 2 | const b = ;'));
  t.true(rows.includes(`> 2 | throw new Error('not here');`));
  t.is(kit.status('ham.spam').restarts, 0);
  await kit.save('ham/spam.ts', receives('two'));
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.version'), 'two');
});

test('of two classes the one that runs is exited again when the other one refuses', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one') });
  const second = satelliteSource('Zwei', `  setup() { throw new Error('not me'); }`).replaceAll(/^import.*$/gm, '');
  await kit.save('ham/spam.ts', `${versioned('two', `  async exit() { await this.send({ data: ['exits again'] }); }`)}\n${second}`);
  await kit.notReloaded();
  await kit.sent.first(1);
  t.deepEqual(told(kit), ['exits again']);
  t.is(await kit.call('ham.spam.version'), 'one');
});

test('a handover that throws keeps the old version; a restart replaces it', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one', `  handover() { throw new Error('torn'); }`) });
  await kit.save('ham/spam.ts', versioned('two'));
  await kit.notReloaded({ reason: /handover of the running version failed: torn/ });
  t.is(await kit.call('ham.spam.version'), 'one');
  await kit.host.restartPlugin('ham.spam');
  t.is(await kit.call('ham.spam.version'), 'two');
});

test('a setup that hangs ends at its time limit, and the previous version keeps running', async (t) => {
  const clock = new VirtualClock();
  const kit = await live(t, { 'ham/spam.ts': receives('one') }, { clock, watch: false });
  await kit.save('ham/spam.ts', receives('two', `  setup() { return new Promise<void>(() => undefined); }`));
  const reloaded = t.throwsAsync(kit.host.reloadPlugin('ham.spam'), {
    code: 'PLUGIN_REFUSED',
    message: /setup\(\) took longer than 10000 ms/,
  });
  await kit.seen.event('satellite.state', { state: { type: 'setting-up' } }, 2);
  clock.advance(10_000);
  await reloaded;
  kit.deliver(1);
  await kit.sent.until(() => true);
  t.deepEqual(told(kit), ['one 1']);
});

test('a call in progress is answered by the old version, which exits afterwards', async (t) => {
  const slow = (version: string): string =>
    versioned(version, `  @Exposed() async slow() { await gate('call'); return '${version}'; }`, GATE);
  const kit = await live(t, { 'ham/spam.ts': slow('one') });
  const answer = kit.call('ham.spam.slow');
  await kit.save('ham/spam.ts', slow('two'));
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.version'), 'two');
  t.deepEqual(kit.seen.matching('satellite.state', { state: { type: 'exiting' } }), []);
  open('call');
  t.is(await answer, 'one');
  await kit.seen.event('satellite.state', { state: { type: 'exited' } });
});

test('the satellite of a removed class ends, and messages that waited for it are counted', async (t) => {
  const gone = satelliteSource('Gone', `  async receive() { await gate('gone'); }`, GATE);
  const kit = await live(t, { 'ham/spam.ts': gone });
  for (const n of [1, 2, 3]) kit.deliver(n);
  await arrived('gone');
  await kit.save('ham/spam.ts', versioned('two'));
  await kit.seen.event('inbox.paused', { satellite: 'ham.spam.Gone' });
  open('gone');
  t.like(await kit.seen.event('inbox.dropped'), { plugin: 'ham.spam', satellite: 'ham.spam.Gone', count: 2 });
  t.true(kit.lines.all.includes('warn plugin.ham.spam: dropped 2 queued messages: ham.spam.Gone: it was stopped'));
  t.deepEqual(kit.registry.names(), ['ham.spam.version']);
});

test('a burst of saves is one reload, and saves during a reload are one more', async (t) => {
  const clock = new VirtualClock();
  const kit = await live(t, { 'ham/spam.ts': versioned('one') }, { clock });
  const pass = async (): Promise<void> => {
    await clock.whenPending();
    clock.advance(49);
    t.is(clock.pending, 1, 'not before it is quiet');
    clock.advance(1);
  };
  for (let n = 0; n < 20; n++) await kit.save('ham/spam.ts', versioned(`burst ${n}`));
  await kit.save('ham/spam.ts', `${GATE}\n${versioned('two', `  async setup() { await gate('burst'); }`)}`);
  await pass();
  await arrived('burst');
  for (let n = 0; n < 20; n++) {
    await kit.save('ham/spam.ts', versioned(`three ${n}`));
    await kit.host.rescan();
  }
  open('burst');
  await kit.changed('ham.spam', 'reloaded', 2);
  t.is(await kit.call('ham.spam.version'), 'three 19');
  await kit.host.stop();
  t.is(kit.seen.matching('plugin.version', { plugin: 'ham.spam', change: 'reloaded' }).length, 2);
});

test('reloads, starts and stops of one plugin run one after another', async (t) => {
  const source = versioned(
    'one',
    `  async setup() { this.log('in'); await null; await null; } async exit() { await null; this.log('out'); }`,
  );
  const kit = await live(t, { 'ham/spam.ts': source }, { watch: false });
  const { host } = kit;
  await Promise.all([
    host.reloadPlugin('ham.spam'),
    host.reloadPlugin('ham.spam'),
    host.restartPlugin('ham.spam'),
    host.startPlugin('ham.spam'),
  ]);
  const steps = kit.lines.all.filter((line) => line.startsWith('info plugin.ham.spam')).map((line) => line.split(': ')[1]);
  t.deepEqual(steps, ['in', 'in', 'out', 'in', 'out', 'out', 'in']);
  t.is(kit.status('ham.spam').restarts, 3);
  const { message } = await rejects(t, host.reloadPlugin('ham.spma'), 'INVALID_PARAMS', { reason: 'unknown-name' });
  t.regex(message, /no plugin 'ham\.spma'; did you mean "ham\.spam"\?/);
});

test('a stopped plugin stays stopped whatever is saved, and then starts its current version', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one'), 'ham/eggs.ts': versioned('one') });
  await kit.host.stopPlugin('ham.spam');
  t.deepEqual(kit.registry.names(), ['ham.eggs.version']);
  await kit.save('ham/spam.ts', versioned('two'));
  await kit.save('ham/eggs.ts', versioned('two'));
  await kit.changed('ham.eggs', 'reloaded');
  t.deepEqual(kit.status('ham.spam').state, { type: 'stopped' });
  await rejects(t, kit.host.reloadPlugin('ham.spam'), 'PLUGIN_REFUSED', { reason: 'stopped' });
  await kit.host.startPlugin('ham.spam');
  t.is(await kit.call('ham.spam.version'), 'two');
  await kit.host.stopPlugin('ham.spam');
  await kit.save('ham/spam.ts', 'const a = ;');
  await t.throwsAsync(kit.host.startPlugin('ham.spam'), { code: 'PLUGIN_REFUSED', message: /ham\/spam\.ts:1:11: / });
  t.is(kit.status('ham.spam').state.type, 'not-loaded');
  await kit.remove('ham/spam.ts');
  await kit.changed('ham.spam', 'unloaded');
});

test('actions on a plugin that fail reject with the reason', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one') }, { watch: false });
  await kit.save('ham/spam.ts', 'const a = ;');
  const expected = { code: 'PLUGIN_REFUSED', message: /^plugin ham\.spam: ham\/spam\.ts:1:11: Expression expected/ };
  await t.throwsAsync(kit.host.reloadPlugin('ham.spam'), expected);
  await t.throwsAsync(kit.host.restartPlugin('ham.spam'), expected);
  t.is(await kit.call('ham.spam.version'), 'one');
});

test('a stop during a reload cancels it, delivers the waiting messages, and ends both versions', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': receives('one', `  async exit() { await this.send({ data: ['one exits'] }); }`) });
  await kit.save('ham/spam.ts', receives('two', `  setup() { return new Promise<void>(() => undefined); }`));
  await kit.seen.event('satellite.state', { state: { type: 'setting-up' } }, 2);
  kit.deliver(1);
  await kit.host.stop();
  t.deepEqual(told(kit), ['one 1', 'one exits']);
  t.deepEqual(kit.status('ham.spam').state, { type: 'stopped' });
  t.deepEqual(kit.registry.names(), []);
  t.deepEqual(kit.seen.matching('plugin.problem'), []);
  t.false(kit.lines.all.some((line) => line.startsWith('error')));
  await t.throwsAsync(kit.host.startPlugin('ham.spam'), { code: 'UNAVAILABLE' });
});

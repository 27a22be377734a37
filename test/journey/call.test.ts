/** Calls: a file is dropped into the plugins directory and its methods are called over HTTP; broken files are skipped and reported. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RemoteFault } from '../../src/client/client.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';

const SPAM = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
/** Spam. */
@Satellite()
export class Spam extends Plugin {
  /** Adds two numbers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number) { return a + b; }
  @Exposed() fault() { throw new Fault(42, 'no spam today'); }
  @Exposed() fail() { throw new Error('/secret/path is gone'); }
  @Exposed() async hang() { return new Promise<void>(() => {}); }
  hidden() { return 'not callable'; }
}
`;
const EGGS = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Eggs extends Plugin {
  @Exposed({ params: ['int'] })
  async twice(n: number) { return this.call('ham.spam.add', [n, n]); }
}
`;
const BROKEN = {
  'bad/compile.ts': `import { Plugin } from 'co2-relay';\nexport class A extends Plugin {}\nconst x = ;\n`,
  'bad/throws.ts': `const list: string[] = [];\n\nlist[0]!.trim();\n`,
  'bad/construct.ts': `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Bad extends Plugin {
  constructor() {
    super();
    throw new Error('no luck');
  }
}
`,
};

async function faultOf(call: Promise<unknown>): Promise<RemoteFault> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof RemoteFault) return error;
  throw new Error(`expected a fault, got ${String(error)}`);
}

test('a file copied into a plugins directory is called as ham.spam.add, with help and signature', async (t) => {
  const source = pluginsDir(t, { 'somewhere/else.ts': SPAM });
  const directory = temporaryDir(t);
  mkdirSync(join(directory, 'ham'));
  cpSync(join(source, 'somewhere/else.ts'), join(directory, 'ham/spam.ts'));
  const relay = await startRelay(t, { pluginsDir: directory });
  t.is(await relay.call('ham.spam.add', 2, 3), 5);
  t.true(((await relay.call('co2.get_method_names')) as string[]).includes('ham.spam.add'));
  t.is(await relay.call('co2.get_method_help', 'ham.spam.add'), 'Adds two numbers.');
  t.deepEqual(await relay.call('system.methodSignature', 'ham.spam.add'), [['int', 'int', 'int']]);
  t.like(await relay.call('system.get_properties'), { host_id: relay.hostId, plugins: ['ham.spam'] });
});

test('invalid parameters, unknown names, faults and failures are answered with the right fault codes', async (t) => {
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': SPAM }), callTimeoutMs: 20 });
  t.is((await faultOf(relay.call('ham.spam.add', 2, 'three'))).code, -32602);
  t.is((await faultOf(relay.call('ham.spam.add', 2))).code, -32602);
  for (const name of [
    'ham.spam.hidden',
    'ham.spam.constructor',
    'ham.spam.send',
    'ham.spam',
    'toString',
    '__proto__',
    'ham.spam.add.call',
  ]) {
    t.is((await faultOf(relay.call(name))).code, -32601, name);
  }
  t.like(await faultOf(relay.call('ham.spam.fault')), { code: 42, message: 'no spam today' });
  t.is((await faultOf(relay.call('ham.spam.hang'))).code, 504);
  const failure = await faultOf(relay.call('ham.spam.fail'));
  t.is(failure.code, -32500);
  t.false(failure.message.includes('/secret/path'));
  const id = /error ([0-9a-f]+)/.exec(failure.message)?.[1];
  t.is(relay.log.matching(new RegExp(`^ham\\.spam\\.fail failed \\(error ${id!}\\): .*/secret/path is gone`)).length, 1);
});

test('a plugin calls another one; each call of a multicall gets an answer of its own', async (t) => {
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': SPAM, 'ham/eggs.ts': EGGS }) });
  t.is(await relay.call('ham.eggs.twice', 21), 42);
  t.is(await relay.call('method_call', { method_name: 'ping' }), true);
  const answers = await relay.call('system.multicall', [
    { methodName: 'ham.spam.add', params: [1, 2] },
    { methodName: 'no.such', params: [] },
    { methodName: 'ping', params: [] },
  ]);
  t.like(answers, [[3], { faultCode: -32601 }, [true]]);
});

test('broken plugins are skipped and reported with file and line, and the relay runs with the others', async (t) => {
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { ...BROKEN, 'ham/spam.ts': SPAM }) });
  t.is(await relay.call('ham.spam.add', 1, 1), 2);
  for (const problem of [
    { file: 'bad/compile.ts', line: 3, reason: /\S/ },
    { file: 'bad/throws.ts', line: 3, reason: /trim/ },
    { file: 'bad/construct.ts', line: 6, reason: /no luck/ },
  ])
    t.is(relay.seen.matching('plugin.problem', { outcome: 'not loaded', problem }).length, 1, problem.file);
  t.is(relay.log.matching(/: not loaded: /).length, 3);
  t.is(relay.status().plugins.problems.length, 3);
});

test('a rejected configuration stops the start with the plugin and the reason, and leaves nothing open', async (t) => {
  const sources = {
    'a/first.ts': `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class First extends Plugin<{ note: (text: string) => void }> {
  private note = (_: string): void => {};
  setup(config: { note: (text: string) => void }) { this.note = config.note; this.note('setup'); }
  exit() { this.note('exit'); }
}
`,
    'ham/picky.ts': `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Picky extends Plugin<{ colour?: string }> {
  setup({ colour }: { colour?: string }) { if (colour !== 'blue') throw new Error('colour must be blue'); }
}
`,
  };
  const noted: string[] = [];
  const note = (text: string): void => void noted.push(text);
  const directory = pluginsDir(t, sources);
  const start = (colour: string): ReturnType<typeof startRelay> =>
    startRelay(t, { pluginsDir: directory, plugins: { 'a.first': { note }, 'ham.picky': { colour } }, strictStart: true });
  await t.throwsAsync(start('red'), { code: 'PLUGIN_REFUSED', message: /ham\.picky\.Picky.*colour must be blue.*ham\/picky\.ts/ });
  t.deepEqual(noted, ['setup', 'exit']);
  t.true(await (await start('blue')).call('ping'));
});

test('setup may call plugins that were set up before', async (t) => {
  const first = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class First extends Plugin { @Exposed({ params: [], returns: 'int' }) answer() { return 42; } }`;
  const second = `import { Exposed, Plugin, Satellite, type Value } from 'co2-relay';
@Satellite() export class Second extends Plugin {
  #heard: Value = 0;
  async setup() { this.#heard = await this.call('a.first.answer'); }
  @Exposed({ params: [], returns: 'int' }) heard() { return this.#heard; }
}`;
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'a/first.ts': first, 'b/second.ts': second }) });
  t.is(await relay.call('b.second.heard'), 42);
});

/** The published package: the content of the tarball, the command in an empty directory, types, external plugins, and embedded relays. */
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { join, posix } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import anyTest from 'ava';
import type { ExecutionContext, TestFn } from 'ava';
import { globSync } from 'glob';
import { publint } from 'publint';
import minVersion from 'semver/ranges/min-version.js';
import satisfies from 'semver/functions/satisfies.js';
import ts from 'typescript';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { addCopy, installed, packProject, startInstalled, writeFiles } from './kit.ts';
import type { Packed } from './kit.ts';

const test = anyTest as TestFn<{ packed: Packed }>;

test.before(async (t) => {
  t.timeout(120_000);
  t.context.packed = await packProject();
});

test.after.always((t) => {
  (t.context as Partial<typeof t.context>).packed?.remove();
});

test('a client command imports the client alone', async (t) => {
  const directory = installed(t, t.context.packed);
  const relay = await startInstalled(t, directory);
  const command = join(directory, 'node_modules/.bin/co2');
  const coverage = join(directory, 'coverage');
  const { code, stdout } = await run(t, command, ['ping'], { cwd: directory, env: { NODE_V8_COVERAGE: coverage } }).exit;
  t.is(code, 0);
  t.regex(stdout.join(), new RegExp(`^${new URL(relay.url).host} answered true in`), 'found on its free port');
  const [file = ''] = readdirSync(coverage);
  const { result } = JSON.parse(readFileSync(join(coverage, file), 'utf8')) as { result: { url: string }[] };
  const loaded = result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
  t.true(loaded.length > 0 && loaded.length <= 30, loaded.join('\n'));
  t.deepEqual(
    loaded.filter((url) => !/co2-relay\/(?:bin\/co2\.mjs|dist\/bundle\/[^/]*\.js)$/.test(url)),
    [],
    'no schemas, no relay',
  );
});

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly overrides?: Readonly<Record<string, string>>;
}

interface Scripts {
  readonly scripts: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly engines?: { readonly node?: string };
}

function manifestOf({ directory }: Packed): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
}

/** A page about the project itself, which is read in the repository. */
const FOR_CONTRIBUTORS = new Set(['docs/architecture.md']);

test('the tarball contains what is needed to run and to read, and no sources, tests or local paths', (t) => {
  const { directory, files, builtIn } = t.context.packed;
  const paths = files.map(({ path }) => path);
  const roots = new Set(paths.map((path) => path.split('/', 1)[0]));
  t.deepEqual([...roots].sort(), [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md'],
    ...['bin', 'dist', 'docs', 'examples', 'package.json', 'plugins', 'templates', 'web'],
  ]);
  t.deepEqual(
    paths.filter((path) => path.startsWith('bin/')),
    ['bin/co2.mjs'],
  );
  for (const shipped of ['plugins', 'templates', 'examples']) {
    t.deepEqual(
      paths.filter((path) => path.startsWith(`${shipped}/`)).sort(),
      globSync(`${shipped}/**`, { cwd: PROJECT_DIR, nodir: true, posix: true }).sort(),
    );
  }
  t.deepEqual(
    paths.filter((path) => path.startsWith('docs/')).sort(),
    globSync(['docs/*.md', 'docs/images/*.png'], { cwd: PROJECT_DIR, posix: true })
      .filter((path) => !FOR_CONTRIBUTORS.has(path))
      .sort(),
  );
  t.deepEqual(
    paths.filter((path) => path.startsWith('dist/') && !/(?:\.js|\.d\.ts|\.mjs|\.d\.mts|\/LICENSES\.txt)$/.test(path)),
    [],
  );
  // A build that compiled the tests or the plugins as well would have placed them next to the sources.
  t.deepEqual(
    readdirSync(join(directory, 'dist')).filter(
      (name) => name !== 'bundle' && !existsSync(join(PROJECT_DIR, 'src', name.replace(/\.(?:js|d\.ts)$/, '.ts'))),
    ),
    [],
  );
  for (const path of paths) {
    const text = readFileSync(join(directory, path), 'utf8');
    for (const local of [PROJECT_DIR, builtIn]) t.false(text.includes(local), `${path} names ${local}`);
    // Sources are not published, so a source map would name files that do not exist.
    if (path.startsWith('dist/')) t.notRegex(text, /^\/\/# sourceMappingURL=\S+\.map$/m, path);
  }
});

test('every relative link of a page in the tarball leads to a file in it', (t) => {
  const { directory, files } = t.context.packed;
  const pages = files.map(({ path }) => path).filter((path) => path.endsWith('.md'));
  t.true(pages.length > 8);
  const broken = pages.flatMap((page) => {
    const prose = readFileSync(join(directory, page), 'utf8').replace(/^```[\s\S]*?^```$/gm, '');
    const targets = [...prose.matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)\s]+)?\)/g)].map(([, path = '']) =>
      posix.join(posix.dirname(page), path),
    );
    return targets.filter((target) => !existsSync(join(directory, target))).map((target) => `${page}: ${target}`);
  });
  t.deepEqual(broken, []);
});

test('every entry of the package leads to a file and its types, and the command can be run', (t) => {
  const { directory, files } = t.context.packed;
  const manifest = manifestOf(t.context.packed);
  const has = (path: string): boolean => files.some((file) => `./${file.path}` === path);
  for (const [entry, target] of Object.entries(manifest.exports)) {
    for (const [condition, path] of Object.entries(typeof target === 'string' ? { default: target } : target)) {
      t.true(has(path), `${entry} (${condition}): ${path}`);
    }
    // TypeScript takes the first matching condition, so types must come first.
    if (typeof target !== 'string') t.deepEqual(Object.keys(target), ['types', 'default'], entry);
  }
  t.regex(manifest.engines.node ?? '', /^>=20\./);
  t.deepEqual(manifest.bin, { co2: './bin/co2.mjs' });
  const command = files.find(({ path }) => path === 'bin/co2.mjs');
  t.is((command?.mode ?? 0) & 0o111, 0o111);
  t.true(readFileSync(join(directory, 'bin/co2.mjs'), 'utf8').startsWith('#!/usr/bin/env node\n'));
});

test('publint has no error, warning or suggestion for the tarball', async (t) => {
  const { tarball } = t.context.packed;
  const { messages } = await publint({ pack: { tarball: new Uint8Array(tarball).buffer }, level: 'suggestion' });
  t.deepEqual(messages, []);
});

test('"are the types wrong" finds the types of every entry point of this ESM-only package', async (t) => {
  const result = await checkPackage(createPackageFromTarballData(t.context.packed.tarball));
  if (!result.types) return t.fail('the tarball has no types');
  const entries = Object.keys(result.entrypoints);
  t.deepEqual(entries, Object.keys(manifestOf(t.context.packed).exports));
  // Like attw's profile "esm-only": the oldest resolution ignores exports, and CommonJS can only import() an ES module.
  const isIgnored = (kind: string): boolean => kind === 'node10' || kind === 'node16-cjs';
  t.deepEqual(
    result.problems.filter((problem) => !('resolutionKind' in problem && isIgnored(problem.resolutionKind))),
    [],
  );
});

test('what an installation brings runs on the oldest supported Node and needs no install script', (t) => {
  const { engines, dependencies, optionalDependencies, overrides } = manifestOf(t.context.packed);
  const oldest = minVersion(engines.node ?? '')?.version ?? '';
  const { packages } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package-lock.json'), 'utf8')) as Lock;
  const installed = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  t.true(installed.length > Object.keys({ ...dependencies, ...optionalDependencies }).length);
  const unfit = installed.filter(([, one]) => !satisfies(oldest, one.engines?.node ?? '*'));
  t.deepEqual(
    unfit.map(([path]) => path),
    [],
  );
  // The script of this one only looks for the native module of the platform, which is in the package and found without it too.
  const withScript = installed.filter(([, { hasInstallScript }]) => hasInstallScript === true);
  t.deepEqual(
    withScript.map(([path]) => path),
    ['node_modules/classic-level'],
  );
  const { scripts } = JSON.parse(readFileSync(join(PROJECT_DIR, 'node_modules/classic-level/package.json'), 'utf8')) as Scripts;
  t.is(scripts.install, 'node-gyp-build');
  const native = readdirSync(join(PROJECT_DIR, 'node_modules/classic-level/prebuilds'));
  t.deepEqual(
    ['darwin-x64+arm64', 'linux-arm64', 'linux-x64', 'win32-x64'].filter((platform) => !native.includes(platform)),
    [],
  );
  // Overrides of a dependency have no effect, so the lock file would not be what an installation brings.
  t.is(overrides, undefined);
  for (const version of Object.values({ ...dependencies, ...optionalDependencies })) t.regex(version, /^\d+\.\d+\.\d+$/);
});

test('co2 start runs in an empty directory, reports that there are no plugins, answers and stops', async (t) => {
  const directory = installed(t, t.context.packed);
  const empty = join(directory, 'empty');
  mkdirSync(empty);
  const relay = await startInstalled(t, directory, [], empty);
  t.true(await relay.call('ping'));
  t.false(((await relay.call('co2.get_method_names')) as string[]).some((name) => name.startsWith('example.')));
  relay.kill('SIGTERM');
  const { code, stdout, stderr } = await relay.exit;
  t.is(code, 0);
  t.is(stdout.length, 1);
  t.true(stderr.some((line) => line.includes(`no plugins: there is no directory ${join(empty, 'plugins')}`)));
  t.deepEqual(
    stderr.filter((line) => line.includes(' ERROR ')),
    [],
  );
  t.deepEqual(readdirSync(empty), ['.co2']);
});

const CONSUMER = `
import { Dict, Double, Exposed, Fault, Inject, LOGGER, Plugin, Refusal, RelayPlugin, Satellite } from 'co2-relay';
import type { Carrier, CarrierPeer, Context, HookContext, HookResult, Logger, Receive, RelayHooks } from 'co2-relay';
import { createClient, RelayError, RemoteFault, type ClientOptions, type Value } from 'co2-relay/client';
import { defineConfig } from 'co2-relay/config';
import { createRelay, type RunningRelay } from 'co2-relay/relay';
import { createTestRelay, joinTestRelays, type TestRelay } from 'co2-relay/testing';

@Satellite()
export class Spam extends Plugin<{ colour: string }> {
  constructor(@Inject(LOGGER) private readonly logger: Logger) { super(); }
  override async receive(dict: Dict, context: Context) { this.logger.info(String(dict.data), context.hops + 1); }
  override setup(config: { colour: string }) { this.log(config.colour.toUpperCase()); }
  @Exposed({ params: ['int'], returns: 'double' }) half(a: number) { if (a < 0) throw new Fault(7, 'negative'); return new Double(a / 2); }
}

class Post implements Carrier {
  connect(peer: CarrierPeer, receive: Receive): Promise<void> { return receive(Buffer.from(peer.url.href)).then(() => peer.lost('so soon')); }
  async send(document: Uint8Array): Promise<Uint8Array> { if (document.length > 9) throw new Refusal('too large'); return document; }
  async close() {}
}
@RelayPlugin({ order: 1, carries: 'post' })
export class Filter implements RelayHooks<{ key: string }> {
  setup({ key }: { key: string }) { if (key === '') throw new Refusal('a key is needed'); }
  onForward(dict: Dict, { where, from, to }: HookContext): HookResult { return where === 'origin' && from.kind === 'satellite' ? { ...dict, to: to.join() } : undefined; }
  createCarrier() { return new Post(); }
}

const config = defineConfig({ port: 0, pluginPackages: false, inbox: { maxMessages: 10 }, relayPlugins: [{ use: './filter.ts', config: { key: 'x' } }] });
export const relay: RunningRelay = await createRelay(config);
export const url: string = relay.url;
const options: ClientOptions = { token: 'x', tls: { ca: ['pem'] }, send: { nil: true, doubles: 'exponent' }, limits: { maxDepth: 5 } };
const client = createClient(url, options);
export const sum: Value = await client.call('ham.spam.half', [3, new Double(1)], { signal: AbortSignal.timeout(1000) });
export const same: Value = await client.methods.ham.spam.half(3);
for (const { value, fault } of await client.multicall([{ method: 'ping' }])) console.log(value, fault?.code, fault?.text);
client.listMethods().catch((error: unknown) => RemoteFault.is(error) ? error.code : RelayError.is(error) && error.code === 'TRANSPORT');
const one: TestRelay = await createTestRelay({ plugins: { 'ham.spam': Spam }, config: { callTimeoutMs: 5 } });
joinTestRelays(one, await createTestRelay({ plugins: [Spam], peers: [one] }));
await one.deliver({ data: 1 }).then(() => one.clock.advance(1));
export const heard: unknown = [(await one.nextSent()).data, one.sent[0]?.host_id, one.logs[0]?.level, await one.call('ham.spam.half', [1], { as: 'admin' })];
export const changed: readonly string[] = relay.reconfigure({ maintainer: 'Ada', log: { level: 'warn' } }).tookEffect;
`;
const MISUSE = `
import { Exposed } from 'co2-relay';
import { defineConfig } from 'co2-relay/config';
import { createRelay } from 'co2-relay/relay';
export const config = defineConfig({ port: 'any' });
export class Spam { @Exposed({ params: ['integer'] }) half(a: number) { return a; } }
export const hops: number = (await createRelay()).url;
import 'co2-relay/dist/app.js';
import { createClient } from 'co2-relay/client';
export const client = createClient('http://x/', { timeout: 5 });
client.call('m', 1);
import { RelayPlugin, type RelayHooks } from 'co2-relay';
@RelayPlugin({ carry: 'post' })
export class Filter implements RelayHooks { createCarrier() { return { connect() {} }; } }
`;

test('a TypeScript program compiles strictly against the packed types, and its mistakes are reported', (t) => {
  const directory = installed(t, t.context.packed, { 'package.json': '{"type":"module"}', 'good.ts': CONSUMER, 'bad.ts': MISUSE });
  const program = ts.createProgram([join(directory, 'good.ts'), join(directory, 'bad.ts')], {
    ...{ strict: true, noEmit: true, experimentalDecorators: true, emitDecoratorMetadata: true, target: ts.ScriptTarget.ES2022 },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, lib: ['lib.es2023.d.ts'] },
    ...{ types: ['node'], typeRoots: [join(PROJECT_DIR, 'node_modules/@types')] },
  });
  const ours = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file === undefined || realpathSync(file.fileName).startsWith(directory));
  const diagnostics = ours.map(({ file, start = 0, messageText }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line;
    return { file: file?.fileName.slice(directory.length + 1), line, text: ts.flattenDiagnosticMessageText(messageText, ' ') };
  });
  t.deepEqual(
    diagnostics.filter(({ file }) => file !== 'bad.ts'),
    [],
  );
  t.deepEqual(
    diagnostics.map(({ line }) => line),
    [4, 5, 6, 7, 9, 10, 12, 13],
  );
});

/** Everything that could be affected by which copy of the package it uses. */
const BOTH_WAYS = `
import { Dict, Double, Exposed, Fault, Injectable, Inject, Int64, LOGGER, Logger, Plugin, Satellite, type Context } from 'co2-relay';
import { where } from './_where.ts';

class Scale { factor = 2; }
@Injectable() class Scales { constructor(readonly scale: Scale, readonly logger: Logger) {} }

@Satellite()
export class Spam extends Plugin {
  heard: unknown[] = [];
  constructor(private readonly scales: Scales, readonly plain: Logger, @Inject(LOGGER) private readonly logger: Logger) { super(); }
  receive(dict: Dict, context: Context) { this.heard.push([dict.data, context.hops]); }
  /** Which copy of the package it uses. */
  @Exposed({ params: [], returns: 'string' }) where() { return where; }
  /** Doubles a number. */
  @Exposed({ params: ['int'], returns: 'int' }) twice(a: number) { return a * this.scales.scale.factor; }
  @Exposed() double(): unknown { return [new Double(1), new Int64(5n)]; }
  @Exposed() fail() { throw new Fault(42, 'as I said'); }
  @Exposed({ params: ['string'] }) async say(text: string) { return this.send({ data: text, whole: new Double(3) }); }
  @Exposed() all() { return this.heard; }
  @Exposed() tell() { this.plain.warn('by its type'); this.logger.warn('by its token'); this.scales.logger.warn('in a helper'); this.log('by itself'); }
  @Exposed() typed(_dict: Dict, _text: string): Dict { return _dict; }
}
`;
const WHERE = `export const where: string = import.meta.resolve('co2-relay');`;

for (const [kind, hasCopy] of [
  ['imports the installed package by its name', false],
  ['has a nested copy of the package', true],
] as const) {
  test(`a plugin outside the repository that ${kind}`, async (t) => {
    const files = { 'plugins/ham/spam.ts': BOTH_WAYS, 'plugins/ham/_where.ts': WHERE, 'plugins/ham/eggs.ts': BOTH_WAYS };
    const directory = installed(t, t.context.packed, files);
    if (hasCopy) addCopy(t.context.packed.directory, join(directory, 'plugins/node_modules'));
    const relay = await startInstalled(t, directory);
    const copy = hasCopy ? 'plugins/node_modules' : 'node_modules';
    t.is(await relay.call('ham.spam.where'), `file://${directory}/${copy}/co2-relay/dist/plugin/plugin.js`);
    t.is(await relay.call('ham.spam.twice', 21), 42);
    t.is(await relay.call('system.methodHelp', 'ham.spam.twice'), 'Doubles a number.');
    t.deepEqual(await relay.call('system.methodSignature', 'ham.spam.typed'), [['struct', 'struct', 'string']]);
    await t.throwsAsync(relay.call('ham.spam.twice', 'x'), { code: -32602, message: /expected int/ });
    await t.throwsAsync(relay.call('ham.spam.fail'), { code: 42, message: /as I said/ });
    t.regex(await raw(relay.url, 'ham.spam.double'), /<double>1(?:\.0)?<\/double>.*<i8>5<\/i8>/);
    await relay.call('ham.spam.say', 'hello');
    t.deepEqual(await relay.call('ham.eggs.all'), [['hello', 0]]);
    await relay.call('ham.spam.tell');
    relay.kill('SIGTERM');
    const { code, stderr } = await relay.exit;
    t.is(code, 0);
    for (const text of ['by its type', 'by its token', 'in a helper', 'by itself']) {
      t.true(
        stderr.some((line) => line.includes(`plugin.ham.spam ${text}`) || line.endsWith(`plugin.ham.spam  ${text}`)),
        text,
      );
    }
  });
}

/** The raw response. The request contains an i8, so the response may contain one. */
async function raw(url: string, method: string): Promise<string> {
  const body = `<methodCall><methodName>${method}</methodName><params><param><value><i8>1</i8></value></param></params></methodCall>`;
  const response = await fetch(`${url}/RPC2`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body });
  return response.text();
}

const PLUGIN_PACKAGE = {
  'package.json': '{"dependencies":{"co2-relay":"*","co2-ham":"*"}}',
  'node_modules/co2-ham/package.json':
    '{"type":"module","keywords":["co2-relay-plugin"],"co2":{"package":"ham","modules":{"spam":"dist/spam.js"}}}',
  'node_modules/co2-ham/dist/spam.js': `import { Exposed, Plugin, Satellite } from 'co2-relay';
export class Spam extends Plugin { who() { return this.toString(); } }
Exposed({ params: [], returns: 'string' })(Spam.prototype, 'who', {});
Satellite()(Spam);`,
};

test('an npm package with the keyword loads from the working directory, and from the directory of the configuration file', async (t) => {
  const directory = installed(t, t.context.packed, { ...PLUGIN_PACKAGE, 'config.mjs': 'export default {};', 'subdirectory/none': '' });
  const here = await startInstalled(t, directory, ['--data', 'here']);
  t.is(await here.call('ham.spam.who'), 'ham.spam.Spam');
  const subdirectory = join(directory, 'subdirectory');
  const there = await startInstalled(t, directory, ['--config', join(directory, 'config.mjs'), '--data', 'there'], subdirectory);
  t.is(await there.call('ham.spam.who'), 'ham.spam.Spam');
});

const PROGRAM = `
import { createClient } from 'co2-relay/client';
import { createRelay } from 'co2-relay/relay';

const call = async (relay, method) => {
  const body = '<methodCall><methodName>' + method + '</methodName></methodCall>';
  const response = await fetch(relay.url + '/RPC2', { method: 'POST', headers: { 'content-type': 'text/xml', connection: 'close' }, body });
  console.log(method, /<string>(.*)<\\/string>|<value>([^<]*)<\\/value>|<int>(.*)<\\/int>/.exec(await response.text())?.slice(1).find(Boolean));
};
const one = await createRelay({ port: 0, dataDir: 'state-1', pluginsDir: 'one' });
const two = await createRelay({ port: 0, dataDir: 'state-2', pluginsDir: 'two', peers: [one.url] });
await call(one, 'ham.spam.who');
await call(two, 'ham.spam.who');
await call(one, 'ham.eggs.who');
await call(two, 'ham.eggs.who');
// The first dict opens the link between the two.
await call(two, 'ham.spam.say');
const client = createClient(one.url);
console.log('client', await client.methods.ham.spam.who(), (await client.methodSignature('ham.spam.who')).join());
await client.close();
console.log('satellites', one.status().plugins.satellites.length, two.status().plugins.satellites.length);
console.log(one.reconfigure({ maintainer: 'ann', port: 0, dataDir: 'state-1', pluginsDir: 'one' }));
await Promise.all([one.stop(), two.stop()]);
process.on('exit', () => console.log('the loop is empty'));
`;
const who = (name: string): string => `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Who extends Plugin {
  @Exposed({ params: [], returns: 'string' }) who() { return '${name}'; }
  @Exposed({ params: [], returns: 'string' }) async say() { await this.send({ data: 'hello' }); return 'said'; }
  exit() { console.log('exit ${name}'); }
}`;

/** Runs the compiler in a directory where the package is installed; returns what it reports. */
async function compile(t: ExecutionContext, cwd: string, ...args: readonly string[]): Promise<readonly string[]> {
  return (await run(t, process.execPath, [join(PROJECT_DIR, 'node_modules/typescript/bin/tsc'), ...args], { cwd }).exit).stdout;
}

test.serial('co2 init makes an installation a project that compiles, passes its tests, and runs with the bundled plugins', async (t) => {
  const directory = installed(t, t.context.packed, { 'package.json': '{"dependencies":{"co2-relay":"*"}}' });
  const co2 = join(directory, 'node_modules/.bin/co2');
  const made = await run(t, co2, ['init'], { cwd: directory }).exit;
  t.deepEqual(made.stdout, [
    'wrote config.ts, plugins/ham/spam.ts, plugins/ham/spam.test.ts, tsconfig.json and .gitignore',
    'set "type": "module" in package.json',
    'test it:  npx co2 test',
    'run it:   npx co2 start',
    'call it:  npx co2 call ham.spam.add 2 3',
  ]);
  const more = await run(t, co2, ['new', 'plugin', 'ham/eggs'], { cwd: directory }).exit;
  t.deepEqual(more.stdout.slice(0, 2), [
    'wrote plugins/ham/eggs.ts and plugins/ham/eggs.test.ts',
    'test it:  npx co2 test plugins/ham/eggs.test.ts',
  ]);
  t.deepEqual(await compile(t, directory), []);
  const tested = await run(t, co2, ['test'], { cwd: directory }).exit;
  t.is(tested.code, 0, [...tested.stdout, ...tested.stderr].join('\n'));
  t.true(tested.stdout.includes('# pass 6'));
  const relay = await startInstalled(t, directory);
  t.is(await relay.call('example.echo.add', 2, 3), 5);
  t.is(await relay.call('system.methodHelp', 'example.echo.say'), 'Returns the text that it is given.');
  t.is(await relay.call('ham.spam.add', 2, 3), 5);
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  t.deepEqual(
    stderr.filter((line) => / (?:WARN|ERROR) /.test(line) && !line.includes('Node')),
    [],
  );
});

const STRICT = ['noImplicitOverride', 'noImplicitReturns', 'noUnusedLocals', 'noUnusedParameters', 'noFallthroughCasesInSwitch'];

test.serial('the plugin in README compiles with the configuration of tsc --init, and under strict settings', async (t) => {
  const [, source = ''] = /```ts\n([^`]*class Eggs[^`]*)```/.exec(readFileSync(join(PROJECT_DIR, 'README.md'), 'utf8')) ?? [];
  t.true(source.includes("from 'co2-relay'"));
  const directory = installed(t, t.context.packed, { 'package.json': '{"type":"module"}', 'plugins/ham/spam.ts': source });
  await compile(t, directory, '--init');
  t.deepEqual(await compile(t, directory, '-p', '.', '--noEmit'), []);
  t.deepEqual(await compile(t, directory, '-p', '.', '--noEmit', ...STRICT.flatMap((name) => [`--${name}`, 'true'])), []);
  writeFiles(directory, { 'tsconfig.json': '{"extends":"co2-relay/tsconfig.json"}' });
  t.deepEqual(await compile(t, directory, ...STRICT.flatMap((name) => [`--${name}`, 'true'])), []);
  // The compiler did look at it.
  writeFiles(directory, { 'plugins/ham/spam.ts': source.replace(`returns: 'int'`, `returns: 'integer'`) });
  t.regex((await compile(t, directory)).join('\n'), /spam\.ts.*'"integer"' is not assignable/);
});

test('a program embeds two relays, stops both, and exits without further help', async (t) => {
  const directory = installed(t, t.context.packed, {
    'package.json': '{"type":"module"}',
    'program.js': PROGRAM,
    'one/ham/spam.ts': who('one'),
    'two/ham/spam.ts': who('two'),
    'two/ham/eggs.ts': who('eggs'),
  });
  const { code, signal, stdout, stderr } = await run(t, process.execPath, ['program.js'], { cwd: directory }).exit;
  t.deepEqual({ code, signal }, { code: 0, signal: null });
  // One relay is a satellite of the other, which it cannot tell from a peer that does not list it.
  t.deepEqual(
    stderr.filter((line) => !line.includes('is not one of its peers')),
    [],
  );
  t.deepEqual(stdout.slice(0, 8), [
    'ham.spam.who one',
    'ham.spam.who two',
    'ham.eggs.who -32601',
    'ham.eggs.who eggs',
    'ham.spam.say said',
    'client one string',
    'satellites 1 2',
    "{ tookEffect: [ 'maintainer' ], needsRestart: [] }",
  ]);
  t.deepEqual([...stdout.slice(8, -1)].sort(), ['exit eggs', 'exit one', 'exit two']);
  t.is(stdout.at(-1), 'the loop is empty');
});

/** The commands that ask a running relay, as a person types them: what they print, how they end, and who gets the token. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { urlOfOptions } from '../../src/cli/relay-owner.ts';
import type { Value } from '../../src/values/values.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Exit, RelayProcess } from '../support/processes.ts';
import { freePorts, pluginsDir } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const EAR = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  #heard: unknown[] = [];
  receive(dict: { data: unknown }) { this.#heard.push(dict.data); }
  /** All that was heard. */
  @Exposed({ params: [], returns: 'array' })
  heard() { return this.#heard; }
  /** Names the types of what it gets. */
  @Exposed({ params: ['double', 'int'], returns: 'string' })
  typed(a: number, b: number) { return 'double ' + a + ', int ' + b; }
  @Exposed({ params: [] })
  several() { return { when: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), bytes: Buffer.from('co2'), text: 'a\\nb', list: [1, 2] }; }
  @Exposed({ params: [] })
  fail() { throw new Fault(42, 'no such room'); }
}
`;
const files = { 'plugins/ham/ear.ts': EAR };

// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

const ask = (t: ExecutionContext, relay: RelayProcess, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: [...args, '--url', relay.url], cwd: relay.cwd }).exit;

test.serial('call converts arguments to parameters and prints the result', async (t) => {
  const relay = await startCo2(t, { files });
  const cases: readonly (readonly [words: readonly string[], line: string])[] = [
    [['test', '2'], '2'],
    [['test', 'hello world'], 'hello world'],
    [['test', '"2"'], '"2"'],
    [['test', '[1,2.5,"x",true,{"a":{"b":[]}}]'], '[1,2.5,"x",true,{"a":{"b":[]}}]'],
    [['test', 'a=1', 'b=x=y', 'c={"d":false}'], '{"a":1,"b":"x=y","c":{"d":false}}'],
    [['test', '9223372036854775807'], '{"$i8":"9223372036854775807"}'],
    [['test', '{"$date":"2026-01-31T09:30:00Z"}'], '{"$date":"2026-01-31T09:30:00Z"}'],
    [
      ['test', 'when={"$date":"2026-01-31T09:30:00Z"}', 'bytes={"$base64":"AQI="}'],
      '{"when":{"$date":"2026-01-31T09:30:00Z"},"bytes":{"$base64":"AQI="}}',
    ],
    [['test', 'a.b.c=1', 'x=2', 'a.d=z'], '{"a":{"b":{"c":1},"d":"z"},"x":2}'],

    [['test', '--', '-5'], '-5'],
    [['test', 'null'], 'null'],
    [['test', '{"__proto__":1,"constructor":2}'], '{"__proto__":1,"constructor":2}'],
  ];
  for (const [[method = '', ...words], answer] of cases) {
    const { code, stdout, stderr } = await runCo2(t, { args: ['call', '--json', '--url', relay.url, method, ...words], cwd: relay.cwd })
      .exit;
    t.deepEqual([code, stderr], [0, []], words.join(' '));
    const text = stdout.join('\n');
    t.is(JSON.stringify(JSON.parse(text)), answer === 'hello world' ? '"hello world"' : answer);
  }
  t.deepEqual((await ask(t, relay, 'call', 'ham.ear.typed', '1.0', '1')).stdout, ['double 1, int 1']);
  const answer = await ask(t, relay, 'call', 'ham.ear.several');
  t.deepEqual(answer.stdout, ['when   2026-01-02T03:04:05Z', 'bytes  Y28y', 'text   a', 'b', 'list', '  1', '  2']);
  const shown: readonly (readonly [argument: string, lines: readonly string[]])[] = [
    ['[1,2,3,4]', ['1', '2', '3', '4']],
    ['[[1,2],[3,4]]', ['[1,2]', '[3,4]']],
    ['[["int","string"]]', ['["int","string"]']],
    ['[1,["x"],{"a":[]}]', ['1', '["x"]', '{"a":[]}']],
    ['{"a":[[1],[]],"b":2}', ['a', '  [1]', '  []', 'b  2']],
    ['[{"lamp":"left","level":20},{"lamp":"right","on":true}]', ['lamp   level  on', 'left   20     -', 'right  -      true']],
    ['[{"a":1,"b":{"c":2}},{"a":3}]', ['a  1', 'b', '  c  2', '', 'a  3']],
    ['[{"a":1}]', ['a  1']],
  ];
  for (const [argument, lines] of shown) t.deepEqual((await ask(t, relay, 'call', 'test', argument)).stdout, lines, argument);
  const exact = (await ask(t, relay, 'call', 'ham.ear.several', '--json')).stdout.join('');
  t.regex(exact, /"when": \{ +"\$date": "2026-01-02T03:04:05Z" +\}, +"bytes": \{ +"\$base64": "Y28y" +\}/);
});

test.serial('notify submits a dict, and rejects one without data before any request', async (t) => {
  const relay = await startCo2(t, { files: { ...files, 'words.txt': 'two\nlines\n', 'list.json': '[1, 2]\n' } });
  writeFileSync(join(relay.cwd, 'bytes.bin'), Buffer.from([0xff, 0]));
  t.like(await ask(t, relay, 'notify', 'data=hello', 'topic=x'), { code: 0, stdout: ['accepted'] });
  t.like(await ask(t, relay, 'notify', '{"data":{"n":1}}'), { code: 0 });
  t.like(await ask(t, relay, 'notify', 'hello', 'topic=x'), { code: 0 });
  t.like(await ask(t, relay, 'notify', '@words.txt'), { code: 0 });
  t.like(await ask(t, relay, 'notify', 'data.bytes=@bytes.bin', 'data.list=@list.json'), { code: 0 });
  t.like(await runCo2(t, { args: ['notify', '-', '--url', relay.url], cwd: relay.cwd, input: 'typed\n' }).exit, { code: 0 });
  t.deepEqual(JSON.parse((await ask(t, relay, 'call', 'ham.ear.heard', '--json')).stdout.join('')), [
    ...['hello', { n: 1 }, 'hello', 'two\nlines'],
    { bytes: { $base64: '/wA=' }, list: [1, 2] },
    'typed',
  ]);
  for (const words of [
    [],
    ['topic=x'],
    ['{"a":1}'],
    ['{"data":1}', '2'],
    ['hello', 'data=2'],
    ['a', 'b', 'c'],
    ['@no.such.file'],
    ['-', 'x=-'],
  ]) {
    const end = await ask(t, relay, 'notify', ...words);
    t.like(end, { code: 2, stdout: [] });
    t.regex(
      end.stderr.join('\n'),
      /^co2: .*(data=hello|one dict|duplicate member data|cannot read the file no\.such\.file|standard input)/,
    );
  }
});

test.serial('methods, help, ping, status and peers of a relay', async (t) => {
  const peer = await scriptedPeer(t);
  const relay = await startCo2(t, { files, args: ['--peer', peer.url] });
  const methods = await ask(t, relay, 'methods');
  t.true(methods.stdout.includes('ham.ear.heard') && methods.stdout.includes('notify'));
  t.deepEqual((await ask(t, relay, 'help', 'ham.ear.heard')).stdout, ['array ham.ear.heard()', '', 'All that was heard.']);
  t.regex((await ask(t, relay, 'ping')).stdout.join(), /^127\.0\.0\.1:\d+ answered true in \d+(\.\d)? ms$/);
  const status = JSON.parse((await ask(t, relay, 'status', '--json')).stdout.join('')) as object;
  t.like(status, {
    host_id: relay.hostId,
    plugins_not_loaded: 0,
    dicts: { accepted: 0 },
    satellites: [{ name: 'ham.ear.Ear', state: 'running' }],
  });
  t.false(JSON.stringify(status).includes(relay.cwd), 'no path of the machine');
  const screen = await ask(t, relay, 'status');
  t.is(screen.code, 0);
  t.true(screen.stdout.length < 10, screen.stdout.join('\n'));
  for (const line of [
    new RegExp(`^co2-relay \\S+ at ${new URL(relay.url).host}, host_id ${relay.hostId}$`),
    /^up \d+ s since \d{4}-/,
    /^dicts {7}0 accepted \(0\/s\), 0 sent \(0\/s\), 0 duplicates, 0 origin refused, 0 hop limited$/,
    /^peers {7}http:\/\/127\.0\.0\.1:\d+\S* {2}up, trusted by address, 0 forwarded$/,
    /^plugins {5}1, all well$/,
  ])
    t.true(
      screen.stdout.some((text) => line.test(text)),
      `${String(line)} in\n${screen.stdout.join('\n')}`,
    );
  t.regex((await ask(t, relay, 'status', '--all')).stdout.join('\n'), /kept_versions/);
  const [head, row] = (await ask(t, relay, 'peers')).stdout;
  t.regex(head!, /^peer +state +down_ms +waiting +forwarded/);
  t.true(row!.startsWith(peer.url.replace(/\/$/, '')));
});

test.serial('status names the plugins that are not well, and counts what is not loaded', async (t) => {
  const relay = await startCo2(t, { files: { 'plugins/ham/bad.ts': 'const a = ;' } });
  const { stdout } = await ask(t, relay, 'status');
  t.true(
    stdout.some((line) => /ham\.bad +not-loaded/.test(line)),
    stdout.join('\n'),
  );
  t.false(
    stdout.some((line) => line.startsWith('not loaded')),
    'it is listed above',
  );
  writeFileSync(
    join(relay.cwd, 'plugins/ham/good.ts'),
    `${EAR}\n@Satellite() export class Bad extends Plugin { constructor() { super(); throw new Error('no ear'); } }`,
  );
  await relay.stderr.line(/ham\.good loaded/);
  const more = (await ask(t, relay, 'status')).stdout;
  t.true(more.includes('not loaded  1 file or class; the log of the relay says why'), more.join('\n'));
});

test.serial('an older version that runs is shown by status, page and metrics until the file is repaired; the relay is ready', async (t) => {
  const relay = await startCo2(t, { files });
  const seen = async (): Promise<readonly string[]> => {
    const [page, metrics, ready] = await Promise.all(
      ['/', '/metrics', '/readyz'].map(async (path) => (await fetch(relay.url + path, { headers: { accept: 'text/html' } })).text()),
    );
    const [, older = ''] = /^co2_plugin_older_version\{plugin="ham\.ear"\} (\d)$/m.exec(metrics!) ?? [];
    return [older, page!.includes('>older version<') ? 'older version' : '', ready!.trim()];
  };
  t.deepEqual(await seen(), ['0', '', 'ready']);
  writeFileSync(join(relay.cwd, 'plugins/ham/ear.ts'), `${EAR}\nconst a = ;\n`);
  await relay.stderr.line(/not reloaded, the previous version keeps running/);
  const { stdout } = await ask(t, relay, 'status');
  const place = `ham/ear.ts:${EAR.split('\n').length + 1}:11`;
  t.true(stdout.includes('plugins     0 of 1 are well; not well:'), stdout.join('\n'));
  t.true(stdout.includes(`  ham.ear  runs an older version: ${place}: Expression expected`), stdout.join('\n'));
  t.deepEqual(await seen(), ['1', 'older version', 'ready']);
  writeFileSync(join(relay.cwd, 'plugins/ham/ear.ts'), `${EAR}\n`);
  await relay.stderr.line(/ham\.ear reloaded/);
  t.true((await ask(t, relay, 'status')).stdout.includes('plugins     1, all well'));
  t.like(JSON.parse((await ask(t, relay, 'plugin', 'info', 'ham.ear', '--json')).stdout.join('')), { last_error: '', reload_error: '' });
  t.deepEqual(await seen(), ['0', '', 'ready']);
});

test.serial('help without a name prints the help of the program', async (t) => {
  const { code, stdout } = await runCo2(t, { args: ['help'] }).exit;
  t.is(code, 0);
  for (const word of ['start', 'call', 'notify', 'ping', 'status'])
    t.true(
      stdout.some((line) => line.trimStart().startsWith(word)),
      word,
    );
});

test.serial('exit codes: 1 fault, 2 invalid usage, 3 no relay, each with a one-line error', async (t) => {
  const relay = await startCo2(t, { files });
  const [port] = await freePorts(1);
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['call', 'ham.ear.fail'], 1, /^co2: fault 42: no such room$/],
    [['call', 'no.such'], 1, /^co2: fault -32601: no method is named 'no\.such'; co2 methods lists them all$/],
    [['call', 'ham.ear.herd'], 1, /^co2: fault -32601: no method is named 'ham\.ear\.herd'; did you mean "ham\.ear\.heard"\?$/],
    [['help', 'ham.ear.herd'], 1, /^co2: fault -32601: no method is named 'ham\.ear\.herd'; did you mean "ham\.ear\.heard"\?$/],
    [['help', 'watsh'], 2, /^co2: there is no command and no method 'watsh'; did you mean "watch"$/],
    [['call'], 2, /missing required argument 'method'; see co2 call --help$/],
    [['call', 'test', 'a=1', 'a=2'], 2, /duplicate member a/],
    [['call', 'test', '9223372036854775808'], 2, /does not fit 64 bits/],
    [['call', 'test', '1e999'], 2, /too large for a double/],
    [['ping', '--url', 'relay.example'], 2, /--url: found 'relay\.example', expected a URL/],
    [['ping', '--timeout', 'soon'], 2, /--timeout.*expected seconds.*86400; see co2 ping --help$/],
    [['ping', 'cellar', 'me'], 2, /too many arguments/],
    [['pong'], 2, /unknown command 'pong'; did you mean "ping"; see co2 --help$/],
    [['ping', '--url', `http://127.0.0.1:${port}`], 3, /connection refused; is the relay running\? \(co2 start\)$/],
    [['ping', '--token', 'wrong'], 1, /^co2: fault 401: the presented token is wrong/],
    [
      ['status', '--data', 'nowhere'],
      1,
      /^co2: fault 403: relay\.get_status needs the right 'admin'.*; no admin\.token in \/.*\/nowhere; set the relay's state directory with --data$/,
    ],
  ];
  for (const [args, code, says] of cases) {
    const target = args.includes('--url') || args[0] === 'pong' ? [] : ['--url', relay.url];
    const end = await runCo2(t, { args: [...args, ...target], cwd: relay.cwd }).exit;
    t.is(end.code, code, args.join(' '));
    t.deepEqual(end.stdout, []);
    t.is(end.stderr.length, 1, end.stderr.join('\n'));
    t.regex(end.stderr[0]!, says);
  }
});

test.serial('without --url, commands call the configured relay with its token', async (t) => {
  const [port, nobody] = await freePorts(2);
  const config = (port: number): string => `export default { port: ${port}, dataDir: 'state' };`;
  const cwd = pluginsDir(t, {
    'config.ts': config(port!),
    'other.ts': `export default { port: ${nobody}, dataDir: 'other' };`,
    'broken.ts': 'export default {',
  });
  await startCo2(t, { cwd, args: ['--port', String(port)] });
  const cases: readonly (readonly [args: readonly string[], env: Readonly<Record<string, string>>, code: number, says: RegExp])[] = [
    [['status'], {}, 0, /host_id/],
    [['status', '--config', 'other.ts'], {}, 3, new RegExp(`127\\.0\\.0\\.1:${nobody}: connection refused`)],
    [['ping'], { CO2_PORT: String(nobody) }, 3, new RegExp(`127\\.0\\.0\\.1:${nobody}: connection refused`)],
    [['status'], { CO2_DATA_DIR: 'elsewhere' }, 1, /fault 403.*no admin\.token in \/.*\/elsewhere;/],
    [['ping'], { CO2_PROT: '1' }, 2, /CO2_PROT: unknown option; did you mean "CO2_PORT"/],
    [['ping'], { CO2_PORT: '0' }, 0, /answered true/],
    [['ping', '--data', 'none'], { CO2_PORT: '0' }, 3, /no relay runs on \/.*\/none; start it/],
    [['ping'], { CO2_CONFIG: 'broken.ts' }, 2, /cannot load broken\.ts/],
    // Whoever says where the relay is may ask, whatever lies in his directory.
    [['ping', '--url', `http://127.0.0.1:${port}`], { CO2_CONFIG: 'broken.ts' }, 0, /answered true/],
    [['ping', '--url', `http://127.0.0.1:${port}`, '--config', 'broken.ts'], {}, 2, /cannot load broken\.ts/],
    [['status', '--url', `http://127.0.0.1:${port}`], { CO2_CONFIG: 'broken.ts', CO2_DATA_DIR: 'state' }, 0, /host_id/],
  ];
  for (const [args, env, code, says] of cases) {
    const end = await runCo2(t, { args, env, cwd }).exit;
    t.is(end.code, code, [...args, ...end.stderr].join(' '));
    t.regex([...end.stdout, ...end.stderr].join('\n'), says);
  }
});

test.serial('--url accepts the unix socket of a local relay and sends its token', async (t) => {
  const cwd = pluginsDir(t, { 'config.ts': "export default { unixSocket: 'co2.sock' };" });
  await startCo2(t, { cwd });
  const socket = join(cwd, 'co2.sock');
  const elsewhere = pluginsDir(t, {});
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['ping', '--url', `http+unix:${socket}`], 0, new RegExp(`^${socket} answered true in \\d+(\\.\\d)? ms$`)],
    [['ping', '--url', `http+unix://${encodeURIComponent(socket)}/RPC2`], 0, /answered true/],
    [['status', '--url', `http+unix:${socket}`, '--data', join(cwd, '.co2')], 0, /host_id/],
    [['status', '--url', `http+unix:${socket}`], 1, /fault 403.*no admin\.token in/],
    [['gen', 'client', '--out', '-', '--url', `http+unix:${socket}`], 0, new RegExp(`http\\+unix:${socket}`)],
    [['ping', '--url', `http+unix:${socket}2`], 3, /co2\.sock2: there is no such socket; is the server running/],
    [['ping', '--url', 'http+unix:co2.sock'], 2, /--url: found 'http\+unix:co2\.sock', expected a URL like .* or http\+unix:\/run/],
    [['ping', '--url', 'http+unix:/%zz'], 2, /--url: found/],
    [['ping', '--url', `unix:${socket}`], 0, /answered true/],
    [['--help'], 0, /unix:\/path\/of\.socket/],
  ];
  for (const [args, code, says] of cases) {
    const end = await runCo2(t, { args, cwd: elsewhere }).exit;
    t.is(end.code, code, [...args, ...end.stderr].join(' '));
    t.regex([...end.stdout, ...end.stderr].join('\n'), says);
  }
});

test('the URL of a relay as seen from its own machine', (t) => {
  const tls = { certFile: 'c', keyFile: 'k' };
  const cases: readonly (readonly [options: Parameters<typeof urlOfOptions>[0], url: string])[] = [
    [{ host: '127.0.0.1', port: 2004 }, 'http://127.0.0.1:2004/'],
    [{ host: '0.0.0.0', port: 5 }, 'http://127.0.0.1:5/'],
    [{ host: '::', port: 5 }, 'http://[::1]:5/'],
    [{ host: ['192.0.2.5', '127.0.0.1'], port: 5, tls }, 'https://192.0.2.5:5/'],
    [{ host: 'relay.example', port: 5 }, 'http://relay.example:5/'],
  ];
  for (const [options, url] of cases) t.is(urlOfOptions(options).href, url);
  t.throws(() => urlOfOptions({ host: '127.0.0.1', port: 0 }), { message: /--url/ });
});

test.serial('a result cannot control the terminal', async (t) => {
  const relay = await startCo2(t);
  const { stdout } = await ask(t, relay, 'call', 'test', '{"a\\u009b2J":"b\\u202ex"}');
  t.deepEqual(stdout, ['a\ufffd2J  b\ufffdx']);
});

test.serial('JSON cannot control the terminal, and keeps its meaning', async (t) => {
  const relay = await startCo2(t, { files });
  const steering = [
    '\u007f',
    '\u0080',
    '\u009b2J',
    '\u009f',
    '\u061c',
    '\u200e',
    '\u200f',
    '\u2028',
    '\u2029',
    '\u202a',
    '\u202e',
    '\u2066',
    '\u2069',
    '\ufeff',
  ];
  const value = { 'a\u009b2J': steering, plain: 'Gr\u00fc\u00dfe \u{1f680} "quoted" back\\slash \\u009b' };
  const { stdout } = await ask(t, relay, 'call', '--json', 'test', JSON.stringify(value));
  t.deepEqual(JSON.parse(stdout.join('\n')), value);
  t.notRegex(stdout.join(''), STEERING);
  t.true(stdout.join('').includes('\\u009b2J') && stdout.join('').includes('\u{1f680}'));
  const fault = await ask(t, relay, 'call', '--json', 'no\u009b.such\u202e');
  t.is(fault.code, 1);
  t.notRegex(fault.stderr.join(''), STEERING);
  const shown = await runCo2(t, { args: ['config', 'show', '--json'], cwd: relay.cwd, env: { CO2_MAINTAINER: 'x\u009b\u202e' } }).exit;
  t.notRegex(shown.stdout.join(''), STEERING);
  t.is((JSON.parse(shown.stdout.join('\n')) as Record<string, { value: unknown }>).maintainer?.value, 'x\u009b\u202e');
});

test.serial('what people type at once: -h, -v, version, help COMMAND, options before the command', async (t) => {
  const cwd = pluginsDir(t, {});
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['-v'], 0, /^\d+\.\d+\.\d+$/],
    [['version'], 0, /^\d+\.\d+\.\d+$/],
    [['version', '--json'], 0, /"co2_relay": "\d/],
    [['-h'], 0, /check-plugin[^]*--token-file[^]*--port <number>/],
    [['ping', '-h'], 0, /^Usage: co2 ping/],
    [['help', 'plugin', 'list'], 0, /^Usage: co2 plugin list/],
    [['help', 'plugin', 'lst'], 2, /^co2: plugin has no command 'lst'; did you mean "list"$/],
    [['plugin', 'lst'], 2, /^co2: unknown command 'lst'; did you mean "list"; see co2 plugin --help$/],
    [['peers', '--json', 'lst'], 2, /unknown command 'lst'; did you mean \\"list\\"; see co2 peers --help/],
    [['outbox', 'cellar'], 2, /^co2: unknown command 'cellar'; see co2 outbox --help$/],
    [['--jsn', 'ping'], 2, /unknown option '--jsn'/],
    [['ping', '--jsn'], 2, /^co2: unknown option '--jsn'; did you mean "--json"; see co2 ping --help$/],
    [['t2'], 2, /^co2: unknown command 't2'; see co2 --help$/],
    [
      ['--json', '--port', '0', 'pong'],
      2,
      /^\{"error":\{"kind":"usage","code":"USAGE","message":"unknown command 'pong'; did you mean \\"ping\\"/,
    ],
    [
      ['--json', 'ping', '--url', ':1'],
      3,
      /^\{"error":\{"kind":"failed","code":"TRANSPORT","message":"http:\/\/127\.0\.0\.1:1: connection refused/,
    ],
    [['ping'], 3, /^co2: http:\/\/127\.0\.0\.1:2004: connection refused|answered true/],
  ];
  for (const [args, code, says] of cases) {
    const end = await runCo2(t, { args, cwd }).exit;
    const text = [...end.stdout, ...end.stderr].join('\n');
    t.regex(text, says, args.join(' '));
    if (!text.includes('answered')) t.is(end.code, code, args.join(' '));
  }
  t.deepEqual(readdirSync(cwd), [], 'no command leaves anything behind');
  // Global options are in the help of the program alone.
  t.notRegex((await runCo2(t, { args: ['ping', '--help'], cwd }).exit).stdout.join('\n'), /^ +--token/m);
});

test.serial('the command finds the running relay on any port, without its configuration, and stops it', async (t) => {
  const relay = await startCo2(t, { files: { ...files, 'config.ts': "export default { maintainer: 'ann' };", 'token.txt': 'wrong\n' } });
  const { cwd, url, port } = relay;
  const host = `127.0.0.1:${port}`;
  const other = pluginsDir(t, {});
  const cases: readonly (readonly [
    args: readonly string[],
    options: { cwd?: string; env?: Record<string, string> },
    code: number,
    says: RegExp,
  ])[] = [
    [['status', '--json'], {}, 0, /host_id/],
    [['--data', join(cwd, '.co2'), 'ping'], { cwd: other }, 0, new RegExp(`^${host} answered true`)],
    [['ping'], { cwd: other, env: { CO2_DATA_DIR: join(cwd, '.co2') } }, 0, /answered true/],
    [['ping'], { cwd: other, env: { CO2_URL: host } }, 0, /answered true/],
    [['ping', '--url', `:${port}`], { cwd: other, env: { CO2_URL: 'http://127.0.0.1:1' } }, 0, /answered true/],
    [['ping'], { cwd: other, env: { CO2_URL: 'nonsense' } }, 2, /^co2: CO2_URL: found 'nonsense', expected a URL/],
    [['ping', '--url', host], { cwd: other, env: { CO2_TOKEN: 'wrong' } }, 1, /fault 401/],
    [['ping', '--url', host, '--token-file', join(cwd, 'token.txt')], { cwd: other }, 1, /fault 401/],
    [['ping', '--url', host, '--token-file', 'none'], { cwd: other }, 2, /^co2: --token-file: cannot read none/],
    [['status', '--json', '--url', host, '--token-file', join(cwd, '.co2/admin.token')], { cwd: other }, 0, /host_id/],
    [
      ['methods', 'ham.*'],
      {},
      0,
      /^ham\.ear\.fail\narray ham\.ear\.heard\(\)\nham\.ear\.several\nstring ham\.ear\.typed\(a: double, b: int\)$/,
    ],
    [['--json', 'methods', 'ham.ear.t*'], {}, 0, /^\[\s*"ham\.ear\.typed"\s*\]$/],
    [['methods', 'ham'], {}, 0, /^ham\.ear\.fail\n/],
    [['methods', '*.h*rd'], {}, 0, /^array ham\.ear\.heard\(\)$/],
    [['methods', 'pnig'], {}, 1, /^co2: no method matches 'pnig'; did you mean "ping"$/],
    [['help', '--method', 'ping'], {}, 0, /^boolean ping\(\)/],
    [['help', 'ping'], {}, 0, /^Usage: co2 ping/],
    [['log'], {}, 0, /info {2}plugin-host {2}satellites running: 1/],
    [['--json', 'call', 'ham.ear.fail'], {}, 1, /^\{"error":\{"kind":"fault","code":42,"message":"no such room"\}\}$/],
    [['stop', '--url', url], {}, 2, /select it with --data/],
    [['stop', '--data', '.co2'], { cwd: other }, 3, /^co2: no relay runs on .*\.co2; start it/],
    [['stop', '--json'], {}, 0, new RegExp(`"stopped": ${relay.pid}`)],
    [['stop'], {}, 3, /^co2: no relay runs on .*\.co2; start it/],
  ];
  for (const [args, options, code, says] of cases) {
    const end = await runCo2(t, { args, ...{ cwd, ...options } }).exit;
    t.regex([...end.stdout, ...end.stderr].join('\n'), says, args.join(' '));
    t.is(end.code, code, args.join(' '));
  }
  t.is((await relay.exit).code, 0);
  t.deepEqual(readdirSync(other), []);
});

test.serial('watch prints dicts with filters, and events to an admin', async (t) => {
  const relay = await startCo2(t, { files });
  const target = ['--url', relay.url];
  const other = pluginsDir(t, {});
  const filtered = runCo2(t, { args: ['watch', 'topic=x', 'data.n=1', '--count', '1', '--json', ...target], cwd: other });
  const patterned = runCo2(t, { args: ['listen', 'topic=a*c', '--count', '2', ...target], cwd: other });
  const everything = runCo2(t, { args: ['watch', ...target], cwd: relay.cwd });
  // They show what passes from this line on.
  for (const { stderr } of [filtered, patterned, everything]) await stderr.line(/^watching dicts at /);
  await relay.call('notify', { data: { n: 2 }, topic: 'x' });
  await relay.call('notify', { data: { n: 1 }, topic: 'x' });
  for (let times = 0; times < 2; times++) await relay.call('notify', { data: 3.5, topic: 'abc' });
  const [one, two] = [await filtered.exit, await patterned.exit];
  const began = [`watching dicts at ${new URL(relay.url).host}`];
  t.deepEqual([one.code, two.code, one.stderr, two.stderr], [0, 0, began, began]);
  t.like(JSON.parse(one.stdout[0]!), { sender: '', recipients: 1, dict: { data: { n: 1 }, topic: 'x' } });
  t.regex(two.stdout[0]!, /^\d\d:\d\d:\d\d {2}\w+@127\.0\.0\.1:0 {2}\{"data":3\.5,"topic":"abc"\}$/);
  t.regex(await everything.stdout.line(/"n":2/), /\{"data":\{"n":2\},"topic":"x"\}/);
  const watching = runCo2(t, { args: ['watch', 'topic=x', '--count', '1', ...target], cwd: other });
  await watching.stderr.line(/watching dicts/);
  // The relay accepts a depth of 64, and the list of dicts around it takes three more.
  const deep = JSON.parse(`${'['.repeat(62)}${']'.repeat(62)}`) as Value;
  await relay.call('notify', { data: deep });
  const hidden = /dict \w+\.\w+ cannot be shown: dict\.data.*: arrays and structs deeper than 64 cannot be sent$/;
  t.regex(await everything.stdout.line(/cannot be shown/), hidden);
  await relay.call('notify', { data: 4, topic: 'x' });
  t.regex((await watching.exit).stderr[1] ?? '', hidden, 'nobody knows whether it matches the filter');
  writeFileSync(join(relay.cwd, 'plugins/ham/new.ts'), EAR);
  t.regex(await everything.stdout.line(/plugin\.version/), / {2}\[plugin\.version\] ham\.new loaded$/);
  writeFileSync(join(relay.cwd, 'plugins/ham/new.ts'), `${EAR}\nconst a = ;\n`);
  t.regex(
    await everything.stdout.line(/plugin\.problem/),
    /\[plugin\.problem\] ham\.new not reloaded.*: ham\/new\.ts:\d+:11: Expression expected$/,
  );
  const denied = await runCo2(t, { args: ['watch', '--events', ...target], cwd: other }).exit;
  t.is(denied.code, 1);
  t.regex(denied.stderr.at(-1) ?? '', /^co2: fault 403: relay\.watch_events needs the right 'admin'/);
  const wrong = await runCo2(t, { args: ['watch', 'topic', ...target], cwd: other }).exit;
  t.deepEqual([wrong.code, wrong.stderr], [2, ["co2: 'topic' is not a filter: write member=value, such as topic=x"]]);
});

test.serial('status has a line each for work, recordings and services, if there are any', async (t) => {
  const config = `export default {
    bundled: ['sense', 'task', 'watch'],
    services: { web: { watchers: { told: { type: 'watch.http' } }, reactors: {} } },
  };`;
  const relay = await startCo2(t, { files: { 'config.ts': config } });
  const none = await ask(t, relay, 'status');
  t.regex(none.stdout.join('\n'), /^services {4}1 running, 0 up, 0 down$/m);
  t.notRegex(none.stdout.join('\n'), /^(?:work|recordings)/m);
  t.is((await ask(t, relay, 'call', 'watch.http.report', 'web', '{"a": {"status": "up"}, "b": {"status": "down"}}')).code, 0);
  t.is((await ask(t, relay, 'work', 'submit', 'task.sleep:execute', 'seconds=0', '--follow')).code, 0);
  t.is((await ask(t, relay, 'call', 'recording.start', 'sense.random:record')).code, 0);
  const { stdout } = await ask(t, relay, 'status');
  const shown = stdout.join('\n');
  t.regex(shown, /^work {8}1 kept$/m);
  t.regex(shown, /^recordings {2}1 recording, \d+ frames$/m);
  t.regex(shown, /^services {4}1 running, 1 up, 1 down$/m);
  const { stdout: json } = await ask(t, relay, 'status', '--json');
  const status = JSON.parse(json.join('\n')) as { services: unknown; recordings: readonly Record<string, unknown>[] };
  t.deepEqual(status.services, [{ name: 'web', state: 'running', reason: '', up: 1, down: 1 }]);
  t.like(status.recordings[0], { name: 'sense.random:record', state: 'recording', reason: '' });
});

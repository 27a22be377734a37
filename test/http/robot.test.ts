/** `/robot` of a running relay: keywords are described and run, failures are results, and rights and limits are those of any call. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { ACCESS_CLASSES } from '../../src/core/core.ts';
import { Double } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import { request } from './raw.ts';

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  /** Adds. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a, b) { return a + b; }
  @Exposed() echo(...all) { return all; }
  @Exposed() silent() {}
  @Exposed() faults() { throw new Fault(42, 'no such\\u0000 room'); }
  @Exposed() breaks() { throw new Error('/etc/secret'); }
  @Exposed() unwritable() { return [NaN]; }
  @Exposed({ access: 'admin' }) wipe() { return 'gone'; }
}`;

type Robot = (method: string, ...params: Sendable[]) => Promise<ParsedResponse>;

async function startRobot(t: ExecutionContext, config: Config = {}, token?: string): Promise<Robot> {
  const { url } = await startRelay(t, {
    pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }),
    access: { local: ACCESS_CLASSES },
    ...config,
  });
  const headers = { 'content-type': 'text/xml', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  return async (method, ...params) => {
    const { status, body } = await request(url, { path: '/robot', headers, body: serialiseCall(method, params, { nil: true, i8: true }) });
    t.is(status, 200);
    return parseResponse(body);
  };
}

function valueOf(answer: ParsedResponse): Value {
  if (answer.kind === 'value') return answer.value;
  throw new Error(`fault ${answer.code}: ${answer.text}`);
}

/** A struct as a plain object. */
function plain(value: Value | undefined): unknown {
  return JSON.parse(JSON.stringify(value));
}

function textOf(value: Value | undefined): string {
  if (typeof value === 'string') return value;
  throw new Error('no text');
}

const PASS = { status: 'PASS', output: '', error: '', traceback: '' };

test('every introspection call of Robot Framework is answered', async (t) => {
  const robot = await startRobot(t);
  const names = ['add', 'breaks', 'echo', 'faults', 'silent', 'unwritable', 'wipe'].map((name) => `ham.spam.${name}`);
  t.deepEqual(valueOf(await robot('get_keyword_names')), names);
  const all = valueOf(await robot('get_library_information')) as Dict;
  t.deepEqual(Object.keys(all), [...names, '__intro__', '__init__']);
  const add = { args: ['arg1', 'arg2'], types: { arg1: 'int', arg2: 'int' }, doc: 'Adds.', tags: ['ham.spam', 'call'] };
  t.deepEqual(plain(all['ham.spam.add']), add);
  t.deepEqual(valueOf(await robot('get_keyword_arguments', 'Ham.Spam.Add')), add.args);
  t.deepEqual(plain(valueOf(await robot('get_keyword_types', 'ham.spam.add'))), add.types);
  t.is(valueOf(await robot('get_keyword_documentation', 'ham.spam.add')), 'Adds.');
  t.deepEqual(valueOf(await robot('get_keyword_tags', 'ham.spam.wipe')), ['ham.spam', 'admin']);
  t.regex(textOf(valueOf(await robot('get_keyword_documentation', '__intro__'))), /co2-relay/);
  t.is(valueOf(await robot('get_keyword_documentation', '__init__')), '');
  t.deepEqual(valueOf(await robot('get_keyword_arguments', 'ham.spam.echo')), ['*args']);
});

test('a passing keyword returns its value, of any type', async (t) => {
  const robot = await startRobot(t);
  t.deepEqual(plain(valueOf(await robot('run_keyword', 'ham.spam.add', [2, 3]))), { ...PASS, return: 5 });
  const when = new Date(Date.UTC(2024, 1, 3));
  const sent = [null, Buffer.from([0, 255]), when, 'ä', 2 ** 40, new Double(1.5), [[]]];
  const answer = valueOf(await robot('run_keyword', 'Ham.Spam.ECHO', sent, { color: 'red' })) as Dict;
  t.is(answer.status, 'PASS');
  const [none, bytes, date, text, long, double, list, named] = answer.return as readonly Value[];
  t.deepEqual([none, bytes, text, long, double, list], [null, Buffer.from([0, 255]), 'ä', 2 ** 40, 1.5, [[]]]);
  t.true(date instanceof Date);
  t.is((named as Dict).color, 'red');
  t.is((valueOf(await robot('run_keyword', 'ham.spam.silent', [])) as Dict).return, true);
});

const FAILURES: readonly (readonly [what: string, params: readonly Sendable[], error: RegExp])[] = [
  ['a fault of the method', ['ham.spam.faults', []], /^no such\ufffd room$/],
  [
    'an error of the method',
    ['ham.spam.breaks', []],
    /^ham\.spam\.breaks failed \(error [0-9a-f]{8}\): the log of the plugin has the reason \(co2 plugin log ham\.spam\)$/,
  ],
  ['an answer that cannot be written', ['ham.spam.unwritable', []], /^ham\.spam\.unwritable: result\.return\[0\]: NaN/],
  ['parameters that do not fit', ['ham.spam.add', ['2', '3']], /parameter 1 is a string, expected int/],
  ['no such keyword', ['ham.spam.none', []], /^no keyword is named 'ham\.spam\.none'/],
  ['a method of the relay, which is no keyword', ['system.listMethods', []], /^no keyword is named/],
  ['no list of arguments', ['ham.spam.add'], /^run_keyword takes/],
  ['no struct of named arguments', ['ham.spam.add', [], 1], /^run_keyword takes/],
  ['more than that', ['ham.spam.add', [], {}, 1], /^run_keyword takes/],
];

test('a failing keyword reports the reason but no details of the machine', async (t) => {
  const robot = await startRobot(t, { access: { local: ['read', 'message', 'call'] } });
  for (const [what, params, error] of FAILURES) {
    const { error: text, ...rest } = valueOf(await robot('run_keyword', ...params)) as Dict;
    t.deepEqual(rest, { status: 'FAIL', output: '', return: '', traceback: '', continuable: false, fatal: false }, what);
    t.regex(textOf(text), error, what);
    t.notRegex(textOf(text), /secret|\.ts/, what);
  }
});

test('unknown keywords cause a fault; the relay cannot be stopped remotely, and no path is disclosed', async (t) => {
  const robot = await startRobot(t);
  for (const method of ['stop_remote_server', 'get_keyword_source', 'ham.spam.add', 'system.listMethods', '__proto__'])
    t.like(await robot(method, 'x'), { kind: 'fault', code: -32601 }, method);
  t.like(await robot('get_keyword_tags', 'ham.spam.none'), { kind: 'fault', code: -32601 });
  t.like(await robot('get_keyword_tags'), { kind: 'fault', code: -32602 });
});

test('a caller sees and runs only the keywords that it may call', async (t) => {
  const robot = await startRobot(t, { access: { local: { classes: ['call'], methods: ['ham.spam.add', 'ham.spam.wipe'] } } });
  t.deepEqual(valueOf(await robot('get_keyword_names')), ['ham.spam.add']);
  t.deepEqual(Object.keys(valueOf(await robot('get_library_information')) as Dict), ['ham.spam.add', '__intro__', '__init__']);
  t.like(await robot('get_keyword_tags', 'ham.spam.wipe'), { kind: 'fault', code: -32601 });
  t.like(valueOf(await robot('run_keyword', 'ham.spam.add', [1, 1])), { status: 'PASS', return: 2 });
  for (const name of ['ham.spam.wipe', 'ham.spam.echo']) {
    const answer = valueOf(await robot('run_keyword', name, [])) as Dict;
    t.is(answer.status, 'FAIL');
    t.regex(textOf(answer.error), /needs the right 'admin'|not among the methods/);
  }
});

test('a caller with a wrong token learns nothing', async (t) => {
  const robot = await startRobot(t, {}, 'wrong');
  t.like(await robot('get_keyword_names'), { kind: 'fault', code: 401 });
  t.like(await robot('run_keyword', 'ham.spam.add', [1, 1]), { kind: 'fault', code: 401 });
});

test('each request is counted once, whether it runs a keyword, lists keywords or is invalid', async (t) => {
  const robot = await startRobot(t, { limits: { local: { perSecond: 0.001, burst: 4 } } });
  await robot('run_keyword', 'ham.spam.add', [1, 1]);
  await robot('run_keyword', 'ham.spam.none', []);
  await robot('get_keyword_names');
  await robot('stop_remote_server');
  t.like(await robot('get_keyword_names'), { kind: 'fault', code: 429 });
});

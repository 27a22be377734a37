/** nil and i8 in answers: only to callers that used them, or that say by URL, header, token or configuration that they read them. */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { createRelay } from '../../src/create-relay.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { addToken } from '../../src/access/access.ts';
import { LogRecord } from '../support/log-record.ts';
import { freePorts, pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { request } from './raw.ts';
import type { RawRequest } from './raw.ts';

const PLUGIN = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Gaps extends Plugin {
  @Exposed() gap() { return { name: 'ann', since: null }; }
  @Exposed() long() { return { list: [1, 2n ** 60n] }; }
  @Exposed() whole() { return [2 ** 40, -(2 ** 40), 5, 2 ** 53, -0, 1.5]; }
  @Exposed({ params: ['any'], returns: 'any' }) echo(value: unknown) { return value; }
  @Exposed({ params: ['any'], returns: 'double' }) double(value: number) { return value; }
  @Exposed({ params: [], returns: 'any' }) async inside() { return this.call('gap.child.echo', [[2n ** 40n]]); }
}`;
const CHILD = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite({ isolation: 'child' }) export class Child extends Plugin {
  @Exposed({ params: ['any'], returns: 'any' }) echo(value: unknown) { return value; }
}`;

const start = (t: ExecutionContext, config: Config = {}): Promise<TestRelay> =>
  startRelay(t, { pluginsDir: pluginsDir(t, { 'gap/gaps.ts': PLUGIN }), ...config });

const ask = async (url: string, method: string, what: RawRequest = {}): Promise<string> =>
  (await request(url, { body: serialiseCall(method, []), ...what })).body.toString();

const NIL = '<member><name>since</name><value><nil/></value></member>';
const LONG = '<value><i8>1152921504606846976</i8></value>';

const WAYS: Readonly<Record<string, RawRequest>> = {
  'the query': { path: '/RPC2?nil=1&i8=1' },
  'the query in another order': { path: '/?i8=1&nil=1' },
  'the query with the value true and other parameters': { path: '/RPC2?x=1&nil=true&i8=TRUE' },
  'a header': { headers: { 'Accept-XMLRPC-Extensions': 'nil, i8' } },
  'a header in another case and order, with an unknown entry': { headers: { 'accept-xmlrpc-extensions': 'I8 ,dom,NIL' } },
  'a header twice': {
    more: [
      ['Accept-XMLRPC-Extensions', 'i8'],
      ['Accept-XMLRPC-Extensions', 'nil'],
    ],
  },
  'the query for one and the header for the other': { path: '/?nil=1', headers: { 'Accept-XMLRPC-Extensions': 'i8' } },
  'the query, on the general path': { path: '/RPC2?nil=1&i8=1', headers: { Expect: '100-continue' } },
};

for (const [way, what] of Object.entries(WAYS)) {
  test(`nil and i8 are sent to a caller that accepts them by ${way}`, async (t) => {
    const { url } = await start(t);
    t.true((await ask(url, 'gap.gaps.gap', what)).includes(NIL));
    t.true((await ask(url, 'gap.gaps.long', what)).includes(LONG));
    const calls = ['gap', 'long'].map((name) => ({ methodName: `gap.gaps.${name}`, params: [] }));
    const many = await ask(url, 'ping', { ...what, body: serialiseCall('system.multicall', [calls]) });
    t.true(many.includes(NIL) && many.includes(LONG), many);
  });
}

const NOT_SAID: Readonly<Record<string, RawRequest>> = {
  'nothing is accepted': {},
  'only i8 is accepted': { path: '/?i8=1' },
  'nil is turned off': { path: '/RPC2?nil=0' },
  'the query names another option': { path: '/RPC2?nilly=1' },
  'the header names another extension': { headers: { 'Accept-XMLRPC-Extensions': 'nil2, i8' } },
};

for (const [what, how] of Object.entries(NOT_SAID)) {
  test(`a fault names the member and the option, and no stack is logged, if ${what}`, async (t) => {
    const { url, log } = await start(t);
    const text = await ask(url, 'gap.gaps.gap', how);
    t.regex(
      text,
      /<int>-32603<\/int>.*<string>gap\.gaps\.gap: result\.since: null cannot be written: .*\?nil=1.*Accept-XMLRPC-Extensions: nil</,
    );
    t.notRegex(text, /\(error [0-9a-f]+\)/);
    const calls = [
      { methodName: 'ping', params: [] },
      { methodName: 'gap.gaps.gap', params: [] },
    ];
    const many = await ask(url, 'ping', { ...how, body: serialiseCall('system.multicall', [calls]) });
    t.regex(
      many,
      /<boolean>1<.*faultString<\/name><value><string>gap\.gaps\.gap: result\[1\]\[0\]\.since: null cannot be written: .*\?nil=1/,
    );
    t.deepEqual(
      log.lines.all.filter(({ level }) => level !== 'info' && level !== 'debug'),
      [],
    );
  });
}

test('a 64-bit integer for a caller that does not accept i8 causes a fault that names ?i8=1', async (t) => {
  const { url } = await start(t);
  t.regex(
    await ask(url, 'gap.gaps.long'),
    /result\.list\[1\]: an integer of 64 bits cannot be written: .*\?i8=1.*Accept-XMLRPC-Extensions: i8</,
  );
});

test('the same options apply over the unix socket', async (t) => {
  const unixSocket = join(temporaryDir(t), 'co2.sock');
  await start(t, { unixSocket });
  const over = async (path: string, headers: Readonly<Record<string, string>>): Promise<string> => {
    const sent = httpRequest({ socketPath: unixSocket, path, method: 'POST', headers: { 'content-type': 'text/xml', ...headers } });
    sent.end(serialiseCall('gap.gaps.gap', []));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return Buffer.concat((await answer.toArray()) as Buffer[]).toString();
  };
  t.true((await over('/RPC2?nil=1', {})).includes(NIL));
  t.true((await over('/RPC2', { 'accept-xmlrpc-extensions': 'nil' })).includes(NIL));
  t.regex(await over('/RPC2', {}), /result\.since: null/);
});

test('a token of the state directory or of the configuration may declare what its holder accepts', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const log = new LogRecord();
  const config = {
    ...{ port: 0, dataDir, pluginsDir: pluginsDir(t, { 'gap/gaps.ts': PLUGIN }) },
    access: { tokens: { ours: { env: 'OURS', reads: ['nil'] }, others: { env: 'OTHERS' } } },
  } as const satisfies Config;
  const env = { OURS: 'a-secret-of-ours-1234', OTHERS: 'a-secret-of-others-1234' };
  const first = await createRelay(config, { logs: log.source, env });
  await first.stop();
  const stored = await addToken(
    dataDir,
    { name: 'stored', classes: ['read', 'call'], methods: ['*'], reads: ['i8', 'nil'] },
    undefined,
    new Date(),
  );
  const relay = await createRelay(config, { logs: log.source, env });
  t.teardown(() => relay.stop());
  const by = (token: string, method: string): Promise<string> =>
    ask(relay.url, `gap.gaps.${method}`, { headers: { Authorization: `Bearer ${token}` } });
  t.true((await by(stored, 'gap')).includes(NIL));
  t.true((await by(stored, 'long')).includes(LONG));
  t.true((await by(env.OURS, 'gap')).includes(NIL));
  t.regex(await by(env.OURS, 'long'), /\?i8=1/);
  t.regex(await by(env.OTHERS, 'gap'), /\?nil=1/);
});

test('a peer whose send options allow nil gets nil in responses', async (t) => {
  const [port] = await freePorts(1);
  const reads = await start(t, { peers: [{ url: `http://127.0.0.1:${port}`, send: { nil: true } }] });
  t.true((await ask(reads.url, 'gap.gaps.gap')).includes(NIL));
  t.regex(await ask(reads.url, 'gap.gaps.long'), /\?i8=1/);
  const plain = await start(t, { peers: [`http://127.0.0.1:${port}`] });
  t.regex(await ask(plain.url, 'gap.gaps.gap'), /\?nil=1/);
});

const callWith = (method: string, ...inner: readonly string[]): string =>
  `<methodCall><methodName>${method}</methodName><params>${inner.map((xml) => `<param><value>${xml}</value></param>`).join('')}</params></methodCall>`;
const list = (...inner: readonly string[]): string => `<array><data>${inner.map((xml) => `<value>${xml}</value>`).join('')}</data></array>`;
const WHOLE = '<i8>1099511627776</i8>';

test('an i8 beyond 32 bits is returned as i8, also in a multicall; -0, numbers beyond 2^53 and declared doubles stay doubles', async (t) => {
  const { url } = await start(t);
  const answer = async (body: string): Promise<string> =>
    /<param><value>(.*)<\/value><\/param>/.exec((await request(url, { body })).body.toString())?.[1] ?? 'a fault';
  const values = [WHOLE, '<i8>-1099511627776</i8>', '<i8>9007199254740993</i8>', '<i8>2147483648</i8>', '<ex:i8>1099511627776</ex:i8>'];
  for (const value of values) t.is(await answer(callWith('gap.gaps.echo', value)), value.replaceAll('ex:', ''));
  t.is(await answer(callWith('gap.gaps.echo', '<i8>5</i8>')), '<int>5</int>');
  t.is(await answer(callWith('gap.gaps.double', WHOLE)), '<double>1099511627776.0</double>');
  const doubles = list('<double>9007199254740992.0</double>', '<double>-0.0</double>', '<double>1.5</double>');
  t.is(await answer(callWith('gap.gaps.echo', list(WHOLE, doubles))), list(WHOLE, doubles));
  const member = (name: string, inner: string): string => `<member><name>${name}</name><value>${inner}</value></member>`;
  const inner = `<struct>${member('methodName', '<string>gap.gaps.echo</string>')}${member('params', list(WHOLE))}</struct>`;
  t.is(await answer(callWith('system.multicall', list(inner))), list(list(WHOLE)));
  t.is(
    await answer(callWith('method_call', `<struct>${member('method_name', 'test')}${member('n', WHOLE)}</struct>`)),
    `<struct>${member('method_name', '<string>test</string>')}${member('n', WHOLE)}</struct>`,
  );
});

test('callers that neither used nor accept i8 get doubles for integers beyond 32 bits; JSON has neither type', async (t) => {
  const { url } = await start(t);
  const numbers = (xml: string): string[] => [...xml.matchAll(/<(int|i8|double)>([^<]*)</g)].map(([, type, text]) => `${type} ${text}`);
  const rest = ['int 5', 'double 9007199254740992.0', 'double -0.0', 'double 1.5'];
  t.deepEqual(numbers(await ask(url, 'gap.gaps.whole')), ['double 1099511627776.0', 'double -1099511627776.0', ...rest]);
  t.deepEqual(numbers(await ask(url, 'gap.gaps.whole', { path: '/?i8=1' })), ['i8 1099511627776', 'i8 -1099511627776', ...rest]);
  const json = await request(url, {
    path: '/api/gap.gaps.echo?i8=1',
    body: '[[1099511627776]]',
    headers: { 'content-type': 'application/json' },
  });
  t.is(json.body.toString(), '[1099511627776.0]');
});

test('an i8 passes through a plugin in a separate process, also when another plugin calls it', async (t) => {
  const { url } = await start(t, { pluginsDir: pluginsDir(t, { 'gap/gaps.ts': PLUGIN, 'gap/child.ts': CHILD }) });
  const answer = (
    await request(url, { body: callWith('gap.child.echo', list(WHOLE, '<i8>7</i8>', '<double>1.0</double>')) })
  ).body.toString();
  t.true(answer.includes(list(WHOLE, '<int>7</int>', '<int>1</int>')), answer);
  t.true(
    (await ask(url, 'gap.child.echo', { body: callWith('gap.child.echo', '<double>1099511627776</double>') })).includes(
      '<double>1099511627776.0<',
    ),
  );
  t.true((await ask(url, 'gap.gaps.inside', { path: '/?i8=1' })).includes(list(WHOLE)));
});

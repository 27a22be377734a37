/** JSON-RPC 2.0 at the endpoints of a running relay: the examples of its specification, ids, batches, limits and statuses. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { exchange, request, requestBytes } from './raw.ts';
import type { RawAnswer, RawRequest } from './raw.ts';

const SPECIFICATION = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Rpc extends Plugin {
  @Exposed() subtract(a, b) { return typeof a === 'object' ? a.minuend - a.subtrahend : a - b; }
  @Exposed() sum(...all) { return all.reduce((a, b) => a + b, 0); }
  @Exposed() get_data() { return ['hello', 5]; }
  @Exposed() update() { return null; }
  @Exposed() nothing() {}
  @Exposed({ returns: 'double' }) one() { return 1; }
  @Exposed() date() { return new Date('2026-11-21T09:30:00.123Z'); }
  @Exposed() fails() { throw new Error('/etc/secret'); }
  @Exposed() faults() { throw new Fault(403, 'no such room'); }
  @Exposed() unwritable() { return () => 1; }
  @Exposed() large() { return 'x'.repeat(30 * 1024 * 1024); }
}`;

function startWithPlugin(t: ExecutionContext, config: Config = {}): Promise<TestRelay> {
  return startRelay(t, { pluginsDir: pluginsDir(t, { 'spec/rpc.ts': SPECIFICATION }), ...config });
}

const JSON_TYPE = { 'content-type': 'application/json' };

function post(url: string, body: unknown, what: RawRequest = {}): Promise<RawAnswer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return request(url, { ...what, body: text, headers: { ...JSON_TYPE, ...what.headers } });
}

function parsed({ body }: RawAnswer): unknown {
  return JSON.parse(body.toString());
}

/** The answer with the texts of its errors left out: they are ours. */
function bare(answer: RawAnswer): unknown {
  return JSON.parse(answer.body.toString(), (key, value: unknown) => (key === 'message' ? '' : value));
}

const error = (code: number, id: unknown = null): object => ({ jsonrpc: '2.0', error: { code, message: '' }, id });
const result = (value: unknown, id: unknown): object => ({ jsonrpc: '2.0', result: value, id });

// Section 7 of the specification, in its order; its methods live in a plugin. `undefined`: nothing is answered.
const EXAMPLES: readonly (readonly [what: string, sent: string, answered: unknown])[] = [
  ['positional 1', '{"jsonrpc": "2.0", "method": "spec.rpc.subtract", "params": [42, 23], "id": 1}', result(19, 1)],
  ['positional 2', '{"jsonrpc": "2.0", "method": "spec.rpc.subtract", "params": [23, 42], "id": 2}', result(-19, 2)],
  ['named 1', '{"jsonrpc": "2.0", "method": "spec.rpc.subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}', result(19, 3)],
  ['named 2', '{"jsonrpc": "2.0", "method": "spec.rpc.subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}', result(19, 4)],
  ['notification', '{"jsonrpc": "2.0", "method": "spec.rpc.update", "params": [1,2,3,4,5]}', undefined],
  ['notification of no method', '{"jsonrpc": "2.0", "method": "foobar"}', undefined],
  ['no such method', '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', error(-32601, '1')],
  ['invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', error(-32700)],
  ['invalid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', error(-32600)],
  [
    'batch of invalid JSON',
    '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
    error(-32700),
  ],
  ['empty batch', '[]', error(-32600)],
  ['invalid batch, not empty', '[1]', [error(-32600)]],
  ['invalid batch', '[1,2,3]', [error(-32600), error(-32600), error(-32600)]],
  [
    'batch',
    `[{"jsonrpc": "2.0", "method": "spec.rpc.sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "spec.rpc.update", "params": [7]},
      {"jsonrpc": "2.0", "method": "spec.rpc.subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "spec.rpc.get_data", "id": "9"}]`,
    [result(7, '1'), result(19, '2'), error(-32600), error(-32601, '5'), result(['hello', 5], '9')],
  ],
  [
    'batch of notifications',
    '[{"jsonrpc": "2.0", "method": "spec.rpc.sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "spec.rpc.update", "params": [7]}]',
    undefined,
  ],
];

test('every example of the specification works at / and at /RPC2', async (t) => {
  const { url } = await startWithPlugin(t);
  for (const [what, sent, answered] of EXAMPLES) {
    for (const path of ['/', '/RPC2']) {
      const answer = await post(url, sent, { path });
      if (answered === undefined) {
        t.is(answer.status, 204, what);
        t.is(answer.body.length, 0);
        t.is(answer.headers['transfer-encoding'], undefined);
        continue;
      }
      t.is(answer.status, 200, what);
      t.deepEqual(bare(answer), answered, what);
      t.regex(answer.headers['content-type']!, /^application\/json/);
      t.is(answer.headers['content-length'], String(answer.body.length));
    }
  }
});

test('an id is returned unchanged: strings, integers, fractions, large numbers and null', async (t) => {
  const { url } = await startRelay(t);
  for (const id of [
    '1',
    '0',
    '-7',
    '1.5',
    '9007199254740993',
    '-9223372036854775808',
    '"x"',
    '""',
    '"ä\\u0000\\"</script>"',
    'null',
    '1e300',
    '1E+2',
    '1.0',
    '-0',
    '10000000000000000000000',
    '4294967296',
    '"\\u0041\\/"',
  ]) {
    const call = `{"id": ${id}\n,"jsonrpc":"2.0","method":"test","params":{"id":{"id":5}}}`;
    const answer = `{"jsonrpc":"2.0","result":{"id":{"id":5}},"id":${id}}`;
    t.is((await post(url, call)).body.toString(), answer);
    t.is((await post(url, `[ ${call},\t${call} ]`)).body.toString(), `[${answer},${answer}]`);
    const failed = await post(url, `{"jsonrpc":"2.0","method":"no.such","params":[{"id":5}],"id":\n${id} }`);
    t.true(failed.body.toString().endsWith(`},"id":${id}}`), failed.body.toString());
  }
});

test('an invalid id or request returns -32600, with the id if there is one', async (t) => {
  const { url } = await startRelay(t);
  const call = { jsonrpc: '2.0', method: 'ping', id: 7 };
  const cases: readonly (readonly [unknown, unknown])[] = [
    [{ ...call, id: true }, null],
    [{ ...call, id: [1] }, null],
    [{ ...call, id: {} }, null],
    [{ ...call, id: { $i8: '7' } }, null],
    [{ ...call, id: { $$i8: '7' } }, null],
    [{ ...call, id: { $date: '2026-11-21T09:30:00Z' } }, null],
    [{ ...call, params: { $i8: '7' } }, 7],
    [{ ...call, jsonrpc: '1.0' }, 7],
    [{ ...call, jsonrpc: 2 }, 7],
    [{ method: 'ping', id: 7 }, 7],
    [{ jsonrpc: '2.0', id: 7 }, 7],
    [{ ...call, method: null }, 7],
    [{ ...call, params: 'x' }, 7],
    [{ ...call, params: null }, 7],
    [{ ...call, params: 1 }, 7],
    [{ ...call, params: { $base64: 'AQI=' } }, 7],
    [{ jsonrpc: '2.0', method: 'ping', params: 1 }, null],
    ['x', null],
    [null, null],
    [true, null],
    [1, null],
  ];
  for (const [body, id] of cases) {
    const answer = await post(url, JSON.stringify(body));
    t.deepEqual(bare(answer), error(-32600, id), JSON.stringify(body));
    t.is(answer.status, 200);
    t.regex((parsed(answer) as { error: { message: string } }).error.message, /a call is \{"jsonrpc": "2\.0"/);
  }
});

test('an empty body, invalid UTF-8 and duplicate names return -32700; excessive depth returns 413', async (t) => {
  const { url } = await startRelay(t);
  for (const body of [' ', '{"jsonrpc":"2.0","method":"ping","method":"test","id":1}', Buffer.from([0x22, 0xff, 0x22])]) {
    const answer = await request(url, { body, headers: JSON_TYPE });
    t.deepEqual(bare(answer), error(-32700), String(body));
    t.is(answer.status, 200);
  }
  const empty = await request(url, { body: '', headers: { ...JSON_TYPE, 'content-length': '0' } });
  t.deepEqual(bare(empty), error(-32700));
  const deep = await post(url, '['.repeat(100));
  t.deepEqual(bare(deep), error(413));
  t.is(deep.status, 413);
});

test('results and errors of methods have the documented types, codes and texts', async (t) => {
  const { url } = await startWithPlugin(t);
  const ask = async (method: string, params: unknown = []): Promise<string> => {
    const answer = await post(url, { jsonrpc: '2.0', method, params, id: 1 });
    t.is(answer.status, 200, method);
    return answer.body.toString().replace(/^\{"jsonrpc":"2\.0",(.*),"id":1\}$/, '$1');
  };
  t.is(await ask('spec.rpc.nothing'), '"result":true');
  t.is(await ask('spec.rpc.update'), '"result":null');
  t.is(await ask('spec.rpc.one'), '"result":1.0');
  t.is(await ask('spec.rpc.date'), '"result":{"$date":"2026-11-21T09:30:00.123Z"}');
  t.is(await ask('test', [{ $base64: 'AAH/' }]), '"result":{"$base64":"AAH/"}');
  t.is(await ask('test', [{ $i8: '9007199254740993' }]), '"result":{"$i8":"9007199254740993"}');
  t.is(await ask('test', { $$date: 'x' }), '"result":{"$$date":"x"}');
  t.is(await ask('test', ['a\0b']), '"result":"a\\u0000b"');
  t.regex(await ask('test', [1, 2]), /^"error":\{"code":-32602,"message":"test takes one parameter"\}$/);
  t.regex(await ask('spec.rpc.faults'), /^"error":\{"code":403,"message":"no such room"\}$/);
  const broken = await ask('spec.rpc.fails');
  t.regex(broken, /"code":-32500,.*error [0-9a-f]{8}/);
  t.notRegex(broken, /secret/);
  t.regex(await ask('spec.rpc.unwritable'), /"code":-32603,"message":"spec\.rpc\.unwritable: result: a function cannot be sent/);
});

test('wrong credentials, missing rights and rate limits set the HTTP status', async (t) => {
  const { url } = await startRelay(t, { trustedProxies: ['127.0.0.0/8'], limits: { anonymous: { perSecond: 0.01, burst: 2 } } });
  const wrong = await post(url, 'garbage', { headers: { authorization: 'Bearer wrong' } });
  t.like(wrong, { status: 401, headers: { 'www-authenticate': 'Bearer' } });
  t.deepEqual(bare(wrong), error(401));
  const headers = { 'x-forwarded-for': '198.51.100.7' };
  const denied = await post(url, { jsonrpc: '2.0', method: 'notify', params: { data: 1 }, id: 5 }, { headers });
  t.is(denied.status, 403);
  t.deepEqual(bare(denied), error(403, 5));
  t.is(
    (await post(url, { jsonrpc: '2.0', method: 'notify', params: { data: 1 } }, { headers })).status,
    204,
    'a notification is not answered',
  );
  const often = await post(url, { jsonrpc: '2.0', method: 'ping', id: 6 }, { headers });
  t.is(often.status, 429);
  t.true(Number(often.headers['retry-after']) > 0);
});

test('a batch runs in order, with the limit of a multicall; calls are counted and authorized separately and cannot be nested', async (t) => {
  const { url } = await startRelay(t, {
    maxMulticall: 5,
    trustedProxies: ['127.0.0.0/8'],
    limits: { anonymous: { perSecond: 0.001, burst: 7 } },
  });
  const call = (method: string, id: number, params: unknown = []): object => ({ jsonrpc: '2.0', method, params, id });
  const headers = { 'x-forwarded-for': '198.51.100.7' };
  const mixed = [
    call('ping', 1),
    call('notify', 2, { data: 1 }),
    call('system.multicall', 3, [[]]),
    call('method_call', 4, { method_name: 'ping' }),
    call('web.method_call', 5, { method_name: 'ping' }),
  ];
  const answer = await post(url, mixed, { headers });
  t.is(answer.status, 200);
  t.deepEqual(bare(answer), [result(true, 1), error(403, 2), error(-32602, 3), error(-32602, 4), error(-32602, 5)]);
  // Of the seven calls two are gone; what is no call costs one, too.
  t.deepEqual(bare(await post(url, [1, call('ping', 1), [], call('ping', 2), call('ping', 3)], { headers })), [
    error(-32600),
    result(true, 1),
    error(-32600),
    result(true, 2),
    result(true, 3),
  ]);
  const often = await post(url, [call('ping', 1)], { headers });
  t.is(often.status, 429);
  const many = await post(
    url,
    Array.from({ length: 6 }, (_, id) => call('ping', id)),
  );
  t.is(many.status, 413);
  t.deepEqual(bare(many), error(413));
  t.regex(many.body.toString(), /maxMulticall/);
});

test('the total size of the responses of a batch is bounded', async (t) => {
  const { url } = await startWithPlugin(t);
  const call = (id: number): object => ({ jsonrpc: '2.0', method: 'spec.rpc.large', id });
  const answer = await post(url, [call(1), call(2), call(3), { jsonrpc: '2.0', method: 'ping', id: 4 }]);
  t.true(answer.body.length < 64 * 1024 * 1024 + 1000);
  const answers = parsed(answer) as { id: number; error?: { code: number; message: string } }[];
  t.deepEqual(
    answers.map(({ id, error: failure }) => [id, failure?.code]),
    [
      [1, undefined],
      [2, undefined],
      [3, -32603],
      [4, undefined],
    ],
  );
});

test('a dict sent as JSON is forwarded to peers with the number types of its JSON', async (t) => {
  const peer = await scriptedPeer(t);
  const { url, received } = await startRelay(t, { peers: [peer.url] });
  const members =
    '"double":1.0,"int":1,"long":{"$i8":"5"},"wide":4294967296,"bytes":{"$base64":"AAH/"},"at":{"$date":"2026-11-21T09:30:00Z"}';
  const answer = await post(url, `{"jsonrpc":"2.0","method":"notify","params":{"data":{${members}}},"id":1}`);
  t.deepEqual(parsed(answer), result(true, 1));
  const [first] = await received.first(1);
  t.like(first?.dict.data, { double: 1, int: 1, long: 5, wide: 4294967296, at: new Date('2026-11-21T09:30:00Z') });
  const [xml = ''] = await peer.bodies.first(1);
  for (const [name, written] of [
    ['double', '<double>1.0</double>'],
    ['int', '<int>1</int>'],
    ['long', '<i8>5</i8>'],
    ['wide', '<i8>4294967296</i8>'],
    ['bytes', '<base64>AAH/</base64>'],
    ['at', '<dateTime.iso8601>20261121T09:30:00</dateTime.iso8601>'],
  ])
    t.true(xml.includes(`<name>${name}</name><value>${written}</value>`), name);
  const refused = await post(url, { jsonrpc: '2.0', method: 'notify', params: { data: '\0' }, id: 2 });
  t.deepEqual(bare(refused), error(-32602, 2));
  t.regex(refused.body.toString(), /cannot travel as XML-RPC/);
});

test('one connection serves several JSON-RPC and XML-RPC requests', async (t) => {
  const { url } = await startRelay(t);
  const keep = { ...JSON_TYPE, connection: 'keep-alive' };
  const notification = requestBytes(url, { body: '{"jsonrpc":"2.0","method":"ping"}', headers: keep });
  const call = requestBytes(url, { body: '{"jsonrpc":"2.0","method":"ping","id":1}', headers: keep });
  const xml = requestBytes(url);
  const all = await exchange(url, Buffer.concat([call, notification, notification, call, xml]));
  t.deepEqual(
    all.map(({ status }) => status),
    [200, 204, 204, 200, 200],
  );
});

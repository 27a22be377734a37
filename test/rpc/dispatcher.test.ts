/** What every server answers: ping, introspection, nested calls, and faults that tell no secrets. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { Accepted, Fault, RelayError, systemClock } from '../../src/core/core.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { addNestedCalls } from '../../src/rpc/nested-calls.ts';
import { MethodRegistry } from '../../src/rpc/rpc.ts';
import { relayDefaults } from '../../src/relay/options.ts';
import { asReceived, callerOf, makeHeart, received } from '../relay/heart.ts';

const list = (...elements: readonly Sendable[]): readonly Value[] => received({ list: elements }).list as readonly Value[];

// The methods of co2 and their synonyms.
const SYNONYMS: readonly (readonly [name: string, synonyms: readonly string[], params: readonly Value[]])[] = [
  ['ping', ['web.ping'], []],
  ['test', ['web.test'], ['echo']],
  ['method_call', ['web.method_call'], [received({ method_name: 'ping' })]],
  ['co2.get_method_names', ['system.listMethods', 'web.get_method_names'], []],
  ['co2.get_method_help', ['system.methodHelp', 'web.get_method_help'], ['notify']],
  ['co2.get_method_signature', ['web.get_method_signature'], ['notify']],
];

for (const [name, synonyms, params] of SYNONYMS) {
  for (const synonym of synonyms) {
    test(`${synonym} answers as ${name}`, async (t) => {
      const { call } = makeHeart();
      t.deepEqual(await call(synonym, params), await call(name, params));
      t.true(((await call('system.listMethods')) as string[]).includes(synonym));
    });
  }
}

test('ping answers true, with an empty struct too', async (t) => {
  const { call } = makeHeart();
  t.is(await call('ping'), true);
  t.is(await call('ping', [received({})]), true);
  t.is(await call('ping', [], callerOf('anonymous')), true);
});

test('test answers what arrives', async (t) => {
  const { call } = makeHeart();
  for (const value of [1, 'x', null, [1, [2]], received({ a: { b: 1 } })] as Value[]) t.is(await call('test', [value]), value);
  t.deepEqual(Object.keys((await call('test')) as object), []);
  await t.throwsAsync(call('test', [1, 2]));
});

test('the names are sorted, and a plugin method is among them', async (t) => {
  const names = (await makeHeart({}, [{}]).call('system.listMethods')) as string[];
  t.deepEqual(names, [...names].sort());
  t.is(new Set(names).size, names.length);
  for (const name of ['ham.spam.run', 'notify', 'relay.relay', 'system.multicall', 'system.get_properties'])
    t.true(names.includes(name), name);
});

test('help is a string for every method, signature a list of lists of type names or "undef"', async (t) => {
  const { call } = makeHeart({}, [
    { name: 'a.b.typed', help: 'It\nhelps.', signature: [['int', 'int', 'string']] },
    { name: 'a.b.untyped' },
  ]);
  for (const name of (await call('system.listMethods')) as string[]) {
    const help = await call('system.methodHelp', [name]);
    t.is(typeof help, 'string', name);
    if (!name.startsWith('a.b.')) t.regex(help as string, /^[A-Z].{10,}\.$/s, name);
    const signature = await call('system.methodSignature', [name]);
    if (signature === 'undef') continue;
    t.true(Array.isArray(signature) && signature.length > 0, name);
    for (const one of signature as unknown[])
      t.true(Array.isArray(one) && one.length > 0 && one.every((type) => /^[a-zA-Z0-9.]+$/.test(String(type))), name);
  }
  t.is(await call('system.methodHelp', ['a.b.typed']), 'It\nhelps.');
  t.is(await call('system.methodHelp', ['a.b.untyped']), '');
  t.deepEqual(await call('system.methodSignature', ['a.b.typed']), [['int', 'int', 'string']]);
  t.is(await call('system.methodSignature', ['a.b.untyped']), 'undef');
  t.is(await call('co2.get_method_signature', ['a.b.typed']), 'int a.b.typed(int, string)');
  t.is(await call('co2.get_method_signature', ['a.b.untyped']), 'a.b.untyped(...)');
});

test('names of parameters are in the description of how to call a method, and for generators', async (t) => {
  const { call } = makeHeart({}, [
    { name: 'a.b.copy', help: 'Copies.', signature: [['int', 'string', 'double'], ['int']], paramNames: ['from', '', 'more'] },
    { name: 'a.b.untyped', paramNames: ['x', 'y'] },
  ]);
  t.is(await call('co2.get_method_signature', ['a.b.copy']), 'int a.b.copy(from: string, double)\nint a.b.copy()');
  t.is(await call('co2.get_method_signature', ['a.b.untyped']), 'a.b.untyped(x, y)');
  t.deepEqual(await call('system.methodSignature', ['a.b.copy']), [['int', 'string', 'double'], ['int']]);
  t.is(await call('system.methodHelp', ['a.b.copy']), 'Copies.');
  const [copy] = (await call('system.describeMethods', [['a.b.copy']])) as object[];
  t.like(copy, {
    help: 'Copies.',
    signatures: [
      { returns: 'int', params: [{ type: 'string', name: 'from' }, { type: 'double' }] },
      { returns: 'int', params: [] },
    ],
  });
});

test('describeMethods says of every method, or of those that are named, what a generator needs', async (t) => {
  const { call } = makeHeart({}, [
    { name: 'a.b.typed', help: 'It\nhelps.', access: 'admin', signature: [['int', 'int', 'string'], ['double']] },
    { name: 'a.b.untyped' },
  ]);
  const all = (await call('system.describeMethods')) as { name: string; help: string; access: string; signatures: object[] }[];
  t.deepEqual(
    all.map(({ name }) => name),
    await call('system.listMethods'),
  );
  const [typed, untyped] = all;
  t.deepEqual(typed, {
    name: 'a.b.typed',
    help: 'It\nhelps.',
    access: 'admin',
    signatures: [
      { returns: 'int', params: [{ type: 'int' }, { type: 'string' }] },
      { returns: 'double', params: [] },
    ],
  });
  t.deepEqual(untyped, { name: 'a.b.untyped', help: '', access: 'call', signatures: [] });
  t.like(
    all.find(({ name }) => name === 'notify'),
    { access: 'message', signatures: [{ returns: 'boolean', params: [{ type: 'struct' }] }] },
  );
  t.deepEqual(await call('system.describeMethods', [['a.b.untyped', 'a.b.typed', 'a.b.untyped']]), [untyped, typed]);
  t.deepEqual(await call('system.describeMethods', [[]]), []);
  t.like(await t.throwsAsync(call('system.describeMethods', [['ping', 'no.such']])), { code: 'NO_SUCH_METHOD' });
  for (const params of [['ping'], [[1]], [null], [['ping'], []], [received({})]] as Value[][]) {
    t.like(await t.throwsAsync(call('system.describeMethods', params)), { code: 'INVALID_PARAMS' });
  }
});

test('the fault for an unknown name suggests a similar one to callers who may list the names, but not to each call of a batch', async (t) => {
  const { call } = makeHeart({ access: { anonymous: { classes: ['call'] } } }, [{ name: 'ham.spam.vote' }]);
  const listed = `no method is named 'ham.spam.voet'; co2.get_method_names lists them all`;
  const suggested = `no method is named 'ham.spam.voet'; did you mean "ham.spam.vote"?`;
  await t.throwsAsync(call('ham.spam.voet', [], callerOf('local')), { code: 'NO_SUCH_METHOD', message: suggested });
  await t.throwsAsync(call('system.methodHelp', ['ham.spam.voet']), { code: 'NO_SUCH_METHOD', message: suggested });
  await t.throwsAsync(call('ham.spam.voet', [], callerOf('anonymous')), { code: 'NO_SUCH_METHOD', message: listed });
  const batch = [received({ methodName: 'ham.spam.voet', params: [] })];
  t.deepEqual(await call('system.multicall', [batch], callerOf('local')), [{ faultCode: -32601, faultString: listed }]);
  await t.throwsAsync(call('completely.else', [], callerOf('local')), {
    code: 'NO_SUCH_METHOD',
    message: /'completely\.else'; co2\.get_method_names lists them all$/,
  });
});

test('getCapabilities names each specification that is followed, with its place and version', async (t) => {
  const capabilities = (await makeHeart().call('system.getCapabilities')) as Record<string, { specUrl: string; specVersion: number }>;
  t.deepEqual(Object.keys(capabilities).sort(), ['faults_interop', 'introspection', 'nil', 'system.multicall', 'xmlrpc']);
  for (const { specUrl, specVersion } of Object.values(capabilities)) {
    t.true(URL.canParse(specUrl));
    t.true(Number.isInteger(specVersion));
  }
});

test('to ask about a method takes one name', async (t) => {
  const { call } = makeHeart();
  for (const params of [[], [5], [null], ['ping', 'ping'], [['ping']], [received({ name: 'ping' })]] as Value[][]) {
    for (const name of ['system.methodHelp', 'system.methodSignature', 'co2.get_method_signature']) {
      t.like(await t.throwsAsync(call(name, params)), { code: 'INVALID_PARAMS' });
    }
  }
});

test('properties say what this server is', async (t) => {
  const properties = (await makeHeart({ maintainer: 'Ada' }).call('system.get_properties')) as Record<string, unknown>;
  t.like(properties, { host_id: 'self@192.0.2.1:2004', host: '192.0.2.1', port: 2004, maintainer: 'Ada', plugins: ['ham.spam'] });
  t.like(properties.versions, { co2_relay: '1.2.3' });
  t.true(properties.start_time instanceof Date && properties.server_time instanceof Date);
  t.true(Number.isInteger(properties.uptime));
});

test('multicall answers in order, one result in a list each, whatever becomes of the others', async (t) => {
  const { call } = makeHeart({}, [
    { name: 'a.b.nothing', invoke: async () => undefined },
    { name: 'a.b.faults', invoke: async () => Promise.reject(new Fault(42, 'no such room')) },
    { name: 'a.b.breaks', invoke: async () => Promise.reject(new Error('/etc/secret')) },
  ]);
  const one = (methodName: Sendable, params: Sendable = []): Sendable => ({ methodName, params });
  const results = asReceived(
    await call('system.multicall', [
      list(
        one('ping'),
        one('test', ['x']),
        one('test', [[1]]),
        one('nobody.has.this'),
        one('a.b.nothing'),
        one('a.b.faults'),
        one('a.b.breaks'),
        'no struct',
        { params: [] },
        one(5),
        { methodName: 'ping' },
        one('ping', 'x'),
        one('system.multicall', [[]]),
        one('method_call', [{ method_name: 'ping' }]),
        one('web.method_call', [{ method_name: 'ping' }]),
        one('test', ['last']),
      ),
    ]),
  ) as unknown[];
  const codes = results.map((result) => (Array.isArray(result) ? 'ok' : (result as Dict).faultCode));
  const invalid = -32602;
  t.deepEqual(codes, [
    'ok',
    'ok',
    'ok',
    -32601,
    'ok',
    42,
    -32500,
    invalid,
    invalid,
    invalid,
    invalid,
    invalid,
    invalid,
    invalid,
    invalid,
    'ok',
  ]);
  t.deepEqual([results[0], results[1], results[2], results[4], results[15]], [[true], ['x'], [[1]], [true], ['last']]);
  t.is((results[5] as Dict).faultString, 'no such room');
  t.notRegex(JSON.stringify(results), /secret/);
  t.regex((results[12] as { faultString: string }).faultString, /cannot be called inside another call/);
});

test('multicall: the calls run one after the other, and the limit is of their number', async (t) => {
  let running = 0;
  let most = 0;
  const invoke = async (): Promise<boolean> => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
    return true;
  };
  const { call } = makeHeart({ maxMulticall: 3 }, [{ name: 'a.b.c', invoke }]);
  const element = { methodName: 'a.b.c', params: [] };
  t.is(((await call('system.multicall', [list(element, element, element)])) as unknown[]).length, 3);
  t.is(most, 1);
  t.deepEqual(await call('system.multicall', [[]]), []);
  await t.throwsAsync(call('system.multicall', [list(element, element, element, element)]), { code: 'LIMIT', message: /maxMulticall/ });
  for (const params of [[], ['x'], [received({})], [[], []]] as Value[][]) {
    t.like(await t.throwsAsync(call('system.multicall', params)), { code: 'INVALID_PARAMS' });
  }
});

for (const code of ['RATE_LIMITED', 'UNAVAILABLE', 'TIMEOUT', 'STATE_DIRECTORY'] as const) {
  test(`multicall: after a dict of a peer that is refused for now (${code}), the next ones are refused, too, to keep their order`, async (t) => {
    const registry = new MethodRegistry();
    const accepted: Value[] = [];
    const callNestedAtOnce = async (_name: string, [data = '']: readonly Value[]): Promise<Sendable> => {
      if (data === 'b') throw new RelayError(code, 'not now');
      accepted.push(data);
      return true;
    };
    const faultFor = (error: unknown) => ({ code: (error as RelayError).fault, text: 'not now' });
    addNestedCalls(registry, { callNestedAtOnce, faultFor }, () => 10);
    const dicts = ['a', 'b', 'c'].map((data) => ({ methodName: 'notify', params: [data] }));
    const results = await registry.find('system.multicall').invoke([list(...dicts)], { ...callerOf('local'), isPeer: true });
    t.deepEqual(accepted, ['a']);
    t.is((results as readonly unknown[]).length, 3);
  });
}

test('multicall: a result that cannot be written is the fault of its element alone', async (t) => {
  const unwritable = (() => 1) as unknown as Sendable;
  const { call } = makeHeart({}, [{ name: 'a.b.c', invoke: async () => unwritable }]);
  const results = asReceived(
    await call('system.multicall', [list({ methodName: 'a.b.c', params: [] }, { methodName: 'ping', params: [] })]),
  ) as unknown[];
  t.like(results[0], { faultCode: -32603 });
  t.deepEqual(results[1], [true]);
});

test('method_call hands the same struct on', async (t) => {
  const seen: (readonly Value[])[] = [];
  const { call } = makeHeart({}, [{ name: 'a.b.c', invoke: async (params) => seen.push(params) }]);
  const dict = received({ method_name: 'a.b.c', x: 1 });
  t.is(await call('method_call', [dict]), 1);
  t.is(seen[0]?.[0], dict);
  t.is(seen[0]?.length, 1);
  for (const name of ['method_call', 'web.method_call', 'system.multicall']) {
    await t.throwsAsync(call('method_call', [received({ method_name: name })]), { code: 'INVALID_PARAMS', message: /inside another call/ });
  }
  for (const params of [[], ['ping'], [received({})], [received({ method_name: 5 })], [dict, dict]] as Value[][]) {
    t.like(await t.throwsAsync(call('method_call', params)), { code: 'INVALID_PARAMS' });
  }
});

test('a method of a plugin that hangs times out by name, and its answer is undefined no longer', async (t) => {
  const { call, dispatcher } = makeHeart({ callTimeoutMs: 1 }, [{ name: 'a.b.hangs', invoke: () => new Promise(() => undefined) }]);
  const error = await t.throwsAsync(call('a.b.hangs'), { code: 'TIMEOUT', message: /a\.b\.hangs .*1 ms \(callTimeoutMs\)/ });
  t.is(dispatcher.faultFor(error, 'a.b.hangs').code, 504);
});

test('of an unknown error only an id goes out, and the log has the whole under it', (t) => {
  const { dispatcher, log } = makeHeart();
  for (const error of [new Error('cannot open /etc/secret'), new TypeError('secret'), 'secret', { secret: 1 }, undefined]) {
    const { code, text } = dispatcher.faultFor(error, 'a.b.c');
    t.is(code, -32500);
    t.notRegex(text, /secret|\/etc/);
    const id = /error ([0-9a-f]{8})/.exec(text)?.[1];
    t.is(log.matching(new RegExp(`error ${id ?? 'none'} in a\\.b\\.c`)).length, 1);
  }
  t.is(log.matching(/cannot open \/etc\/secret/).length, 1);
});

test('an error that throws when somebody looks at it is one as well', (t) => {
  const { dispatcher, log } = makeHeart();
  const never = (): never => {
    throw new Error('nobody looks');
  };
  const closed = new Proxy({}, { get: never, getPrototypeOf: never });
  const unspeakable = Object.defineProperty(new Error('x'), 'message', { get: never });
  for (const error of [closed, unspeakable, { [Symbol.for('nodejs.util.inspect.custom')]: never }])
    t.is(dispatcher.faultFor(error, 'a.b.c').code, -32500);
  t.is(log.matching(/^error [0-9a-f]{8} in a\.b\.c/).length, 3);
});

test('what goes out of the others', (t) => {
  const { dispatcher, log } = makeHeart();
  t.deepEqual(dispatcher.faultFor(new Fault(42, 'no <such> room'), 'm'), { code: 42, text: 'no <such> room' });
  t.deepEqual(dispatcher.faultFor(new RelayError('FORBIDDEN', 'not you'), 'm'), { code: 403, text: 'not you' });
  const mark = { [Symbol.for('co2-relay.Fault')]: true, code: 7, message: 'of another copy' };
  t.deepEqual(dispatcher.faultFor(mark, 'm'), { code: 7, text: 'of another copy' });
  t.deepEqual(
    log.lines.all.map(({ level, text }) => `${level} ${text}`),
    ['debug refused m: not you'],
  );
  const internal = dispatcher.faultFor(
    new RelayError('INTERNAL', 'a.b: the answer cannot be written', { cause: new Error('secret') }),
    'm',
  );
  t.is(internal.code, -32603);
  t.regex(internal.text, /^a\.b: the answer cannot be written \(error [0-9a-f]{8}\)$/);
  t.regex(dispatcher.faultFor(new Error('x'), `\n\u001b${'m'.repeat(5000)}`).text, /^[\x20-\uffff]{1,250}$/);
});

test('multicall: the dicts of a peer are accepted one after the other and wait for the disk together, until one is refused for now', async (t) => {
  const registry = new MethodRegistry();
  const accepted: Value[] = [];
  let fail: (error: RelayError) => void = () => undefined;
  const onDisk = new Promise<Sendable>((_resolve, reject) => (fail = reject));
  const callNestedAtOnce = (_name: string, [data = '']: readonly Value[]): Sendable | Accepted<Sendable> => {
    if (data === 'c') throw new RelayError('UNAVAILABLE', 'not now');
    accepted.push(data);
    // The disk has the last one first; the answers are in the order of the calls all the same.
    return new Accepted(data === 'a' ? onDisk : Promise.resolve(true));
  };
  const faultFor = (error: unknown) => ({ code: (error as RelayError).fault, text: 'not now' });
  addNestedCalls(registry, { callNestedAtOnce, faultFor }, () => 10);
  const dicts = ['a', 'b', 'c', 'd'].map((data) => ({ methodName: 'notify', params: [data] }));
  const answer = registry.find('system.multicall').invoke([list(...dicts)], { ...callerOf('local'), isPeer: true });
  await nextTurn();
  t.deepEqual(accepted, ['a', 'b'], 'b does not wait for the disk, and d is not taken before c');
  fail(new RelayError('STATE_DIRECTORY', 'the write failed'));
  const results = (await answer) as readonly Sendable[];
  t.deepEqual(
    results.map((result) => (result as Dict).faultCode),
    [522, undefined, 503, 503],
  );
});

test('a peer may send a thousand dicts in one multicall, others as many calls as maxMulticall says', async (t) => {
  const { call, delivered } = makeHeart({ maxMulticall: 3 });
  const dicts = (count: number): readonly Value[] =>
    list(...Array.from({ length: count }, (_, data) => ({ methodName: 'notify', params: [{ data, host_id: 'a@192.0.2.5:1' }] })));
  t.is(((await call('system.multicall', [dicts(1000)], callerOf('peer'))) as unknown[]).length, 1000);
  t.is(delivered.length, 1000);
  await t.throwsAsync(call('system.multicall', [dicts(1001)], callerOf('peer')), { code: 'LIMIT', message: /1000/ });
  await t.throwsAsync(call('system.multicall', [dicts(4)]), { code: 'LIMIT', message: /3/ });
});

test('of a batch of a peer no dict is taken behind one that is to come later, so that order stays', async (t) => {
  const peer = { perSecond: 1000, burst: 4 };
  // The bucket is full again as soon as one was refused.
  const clock = { ...systemClock, now: (): number => (log.matching(/calls per second/).length > 0 ? 2_000 : 1_000) };
  const { call, delivered, log } = makeHeart({ limits: { ...relayDefaults.limits, peer } }, [], true, clock);
  const notify = (data: number): Sendable => ({ methodName: 'notify', params: [{ data, host_id: 'a@192.0.2.5:1' }] });
  const results = (await call('system.multicall', [list(...[0, 1, 2, 3, 4, 5].map(notify))], callerOf('peer'))) as readonly Dict[];
  t.deepEqual(
    results.map(({ faultCode }) => faultCode),
    [undefined, undefined, undefined, 429, 429, 429],
  );
  t.is(delivered.length, 3);
});

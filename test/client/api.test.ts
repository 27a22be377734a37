/** The public client: the results of its methods, how it connects, and what it rejects before it connects. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Double, Int64, RemoteFault, createClient } from '../../src/client/client.ts';
import type { ClientOptions, Sendable, XmlRpcClient } from '../../src/client/client.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { refuses, rejects } from '../support/relay-error.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';

interface Answering {
  readonly url: string;
  readonly calls: Gate<ParsedCall>;
  readonly requests: IncomingMessage[];
  readonly server: Server;
}

/** A server that responds with the result of `work`, with a fault if it throws, and not at all for undefined. */
async function answering(
  t: ExecutionContext,
  work: (call: ParsedCall) => Sendable | undefined,
  at: number | string = 0,
): Promise<Answering> {
  const calls = new Gate<ParsedCall>();
  const requests: IncomingMessage[] = [];
  const respond = (request: IncomingMessage, response: ServerResponse, body: Buffer): void => {
    const call = parseCall(body);
    requests.push(request);
    response.setHeader('content-type', 'text/xml');
    try {
      const value = work(call);
      if (value !== undefined) response.end(serialiseResponse(value, { nil: true, i8: true }));
    } catch (error) {
      response.end(serialiseFault(7, String(error)));
    }
    calls.push(call);
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      respond(request, response, Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const url = typeof address === 'string' ? `http+unix:${address}` : `http://127.0.0.1:${address!.port}`;
  return { url, calls, requests, server };
}

function clientOf(t: ExecutionContext, url: string, options: ClientOptions = {}): XmlRpcClient {
  const client = createClient(url, options);
  t.teardown(() => client.close());
  return client;
}

test('calls, multicall and introspection with a relay', async (t) => {
  const relay = await startRelay(t);
  const client = clientOf(t, relay.url, { send: { nil: true, i8: true } });
  t.true(await client.call('ping'));
  t.true((await client.listMethods()).includes('system.listMethods'));
  t.regex(await client.methodHelp('system.listMethods'), /./);
  t.deepEqual(await client.methodSignature('system.methodHelp'), [['string', 'string']]);
  const results = await client.multicall([{ method: 'ping' }, { method: 'no.such.method', params: [1] }]);
  t.is(results[0]?.value, true);
  t.like(results[1]?.fault, { code: -32601 });
  t.true(RemoteFault.is(results[1]?.fault));
  t.deepEqual(await client.multicall([]), []);
});

test('a fault has a code and a text, and is identified by its mark', async (t) => {
  const { url } = await answering(t, () => {
    throw new Error('no room');
  });
  const fault = await t.throwsAsync(clientOf(t, url).call('x'));
  t.like(fault, { name: 'RemoteFault', code: 7, text: 'Error: no room', message: 'Error: no room' });
  t.true(RemoteFault.is(fault));
  t.true(RemoteFault.is({ [Symbol.for('co2-relay.RemoteFault')]: true }), 'of another copy');
  t.false(RemoteFault.is(new Error('x')));
});

test('methods as functions: the dotted name is called with the parameters', async (t) => {
  const { url, calls } = await answering(t, () => true);
  const { methods } = clientOf(t, url);
  t.true(await methods.ping?.());
  t.true(await methods.ham?.spam?.add?.(1, 'x'));
  t.true(await methods.a?.call(2), 'names of functions too');
  t.deepEqual(
    calls.all.map(({ methodName, params }) => [methodName, params]),
    [
      ['ping', []],
      ['ham.spam.add', [1, 'x']],
      ['a.call', [2]],
    ],
  );
});

test('methods as functions are not promises, have no JSON form and cannot be modified', async (t) => {
  const { url, calls } = await answering(t, () => true);
  const { methods } = clientOf(t, url);
  const ham = methods.ham!;
  t.is(await (methods as unknown), methods);
  t.is(await (ham as unknown), ham);
  t.is(JSON.stringify({ ham, methods }), '{"methods":{}}');
  for (const [what, text] of [
    [ham, '[method ham]'],
    [ham.spam, '[method ham.spam]'],
    [methods, '[methods]'],
  ] as unknown as readonly (readonly [string, string])[]) {
    t.is(''.concat(what), text);
    t.is(`is ${what}`, `is ${text}`);
    t.is(new Error(what).message, text);
    t.is(inspect([what], { showHidden: true }), `[ ${text}, [length]: 1 ]`);
    t.is(what.toLocaleString(), text);
    t.true(Number.isNaN(Number(what)));
    const looks: readonly ((what: object) => unknown)[] = [
      ...[Object.freeze, Object.seal, Object.isFrozen, Object.entries, Object.getOwnPropertyDescriptors],
      (from) => Object.assign({}, from),
    ];
    for (const [index, look] of looks.entries()) t.notThrows(() => look(what as unknown as object), `${text} ${index}`);
    t.throws(() => Object.defineProperty(what, 'x', { value: 1 }), { instanceOf: TypeError });
  }
  t.is(calls.all.length, 0, 'nothing was called');
  t.throws(() => Object.assign(ham, { x: 1 }), { instanceOf: TypeError });
  t.throws(() => Object.assign(methods, { x: 1 }), { instanceOf: TypeError });
  t.deepEqual(Object.keys(ham), []);
  t.false('x' in ham);
  for (const name of ['then', 'catch', 'toJSON', 'constructor', 'prototype', '__proto__', Symbol.iterator, Symbol.toPrimitive]) {
    t.is((ham as unknown as Record<string | symbol, unknown>)[name], undefined, String(name));
  }
  t.is(calls.all.length, 0, 'nothing was called');
});

test('unexpected results of introspection and multicall are errors that name the server', async (t) => {
  let said: Sendable = 0;
  const { url } = await answering(t, () => said);
  const client = clientOf(t, url, { answers: 'strict' });
  const wrong = async (value: Sendable, ask: () => Promise<unknown>, expected: RegExp): Promise<void> => {
    said = value;
    const { message } = await rejects(t, ask(), 'TRANSPORT', { reason: 'unexpected-result' });
    t.regex(message, expected);
    t.true(message.includes(new URL(url).host));
  };
  const two = [{ method: 'a' }, { method: 'b' }];
  for (const value of [
    true,
    [],
    [[1]],
    [[1], [2], [3]],
    [[1], []],
    [[1], [1, 2]],
    [[1], { faultCode: 1 }],
    [[1], { faultCode: '1', faultString: 'x' }],
    [[1], { faultCode: new Double(4), faultString: 'x' }],
    [[1], { faultString: 'x', faultCode: new Double(4) }],
    [[1], { faultCode: new Int64(4n), faultString: 'x' }],
    [[1], { faultCode: 4.5, faultString: 'x' }],
    [[1], { faultCode: 4, faultString: 5 }],
    // Another int does not make a faultCode an int.
    [[{ faultCode: 4, faultString: 'x' }], { faultCode: new Double(4), faultString: 'x' }],
    [[1], { faultCode: [4], faultString: 'x' }],
    [[1], { faultCode: { faultCode: 4 }, faultString: 'x' }],
  ])
    await wrong(value, () => client.multicall(two), /system\.multicall/);
  await wrong([[1], { faultCode: 1, faultString: 'x', more: 1 }], () => client.multicall(two), /system\.multicall/);
  said = [{ faultString: 'x', faultCode: 4 }, [{ faultCode: new Double(4), faultString: 'a value, no fault' }]];
  t.like((await client.multicall(two))[0]?.fault, { code: 4, text: 'x' });
  t.like((await client.multicall(two))[1]?.value, { faultCode: 4 });
  await wrong(['a', 1], () => client.listMethods(), /an array of names/);
  await wrong(1, () => client.methodHelp('x'), /a text/);
  await wrong([['int'], [1]], () => client.methodSignature('x'), /type names/);
  await wrong([], () => client.getCapabilities(), /a struct/);
  await wrong({ x: { specUrl: 1, specVersion: 1 } }, () => client.getCapabilities(), /specUrl/);
  said = 'undef';
  t.is(await client.methodSignature('x'), undefined);
  // supervisord returns one signature as a flat list.
  said = ['boolean', 'string'];
  t.deepEqual(await client.methodSignature('x'), [['boolean', 'string']]);
  said = [];
  t.deepEqual(await client.methodSignature('x'), []);
  said = { xmlrpc: { specUrl: 'http://xmlrpc.com/', specVersion: 1 } };
  t.deepEqual([...(await client.getCapabilities())], [['xmlrpc', { specUrl: 'http://xmlrpc.com/', specVersion: 1 }]]);
});

test('the option `send` controls how values are written', async (t) => {
  const { url, calls } = await answering(t, () => true);
  t.regex((await rejects(t, clientOf(t, url).call('m', [null]), 'INTERNAL')).message, /^params\[0\]: .*nil/);
  await clientOf(t, url, { send: { nil: true, i8: true } }).call('m', [null, 2n ** 60n]);
  t.deepEqual(calls.all[0]?.params, [null, 2n ** 60n]);
});

test('credentials: a token as Bearer, user and password in the URL as Basic, the token if there are both', async (t) => {
  const { url, requests } = await answering(t, () => true);
  const mine = url.replace('//', '//us%40er:p%C3%A4ss@');
  await clientOf(t, url, { token: 'secret-1' }).call('m');
  await clientOf(t, mine).call('m');
  await clientOf(t, mine, { token: 'secret-2' }).call('m');
  await clientOf(t, url).call('m');
  t.deepEqual(
    requests.map(({ headers }) => headers.authorization),
    ['Bearer secret-1', `Basic ${Buffer.from('us@er:päss').toString('base64')}`, 'Bearer secret-2', undefined],
  );
});

test('a unix socket, given by the URL or by an option', async (t) => {
  const path = join(temporaryDir(t), 'rpc.sock');
  const { url, requests } = await answering(t, () => true, path);
  t.is(url, `http+unix:${path}`);
  t.true(await clientOf(t, url).call('m'));
  t.true(await clientOf(t, `http+unix://${encodeURIComponent(path)}/deep?x=1`).call('m'));
  t.true(await clientOf(t, 'http://ignored.invalid/here', { socketPath: path }).call('m'));
  t.deepEqual(
    requests.map((request) => [request.url, request.headers.host]),
    [
      ['/RPC2', 'localhost'],
      ['/deep?x=1', 'localhost'],
      ['/here', 'ignored.invalid'],
    ],
  );
  const { message } = await rejects(t, clientOf(t, 'http+unix:/no/such.sock').call('m'), 'TRANSPORT', { systemCode: 'ENOENT' });
  t.regex(message, /^\/no\/such\.sock: there is no such socket/);
});

test('calls made together arrive in order; a waiting call delays those behind it, but none on a second connection', async (t) => {
  const { url, calls } = await answering(t, ({ methodName }) => (methodName === 'wait' ? undefined : methodName));
  const one = clientOf(t, url);
  const names = ['a', 'b', 'c', 'd', 'e'];
  t.deepEqual(await Promise.all(names.map((name) => one.call(name))), names);
  const stopped = [one.call('wait'), one.call('behind')].map((call) => t.throwsAsync(call));
  const two = clientOf(t, url, { maxConnections: 2 });
  const alsoStopped = t.throwsAsync(two.call('wait'));
  await calls.until(({ methodName }) => methodName === 'wait', 2);
  t.is(await two.call('beside'), 'beside');
  t.deepEqual(
    calls.all.map(({ methodName }) => methodName),
    [...names, 'wait', 'wait', 'beside'],
  );
  await Promise.all([one.close(), two.close()]);
  await Promise.all([...stopped, alsoStopped]);
});

test('a long poll and other calls at the same time', async (t) => {
  const relay = await startRelay(t);
  const client = clientOf(t, relay.url, { token: relay.adminToken, maxConnections: 2 });
  const { next } = (await client.call('plugin.subscribe_state', [0, 1])) as { next: number };
  const abort = new AbortController();
  const news = t.throwsAsync(client.call('plugin.subscribe_state', [next, 60_000], { signal: abort.signal }));
  t.true(await client.call('ping'));
  abort.abort(new Error('heard enough'));
  t.regex((await news).message, /heard enough/);
});

test('connections and pending calls are limited', async (t) => {
  const { url, calls, server } = await answering(t, () => undefined);
  let connections = 0;
  server.on('connection', () => connections++);
  const client = clientOf(t, url, { maxConnections: 3, maxPendingCalls: 10 });
  const pending = Array.from({ length: 10 }, () => rejects(t, client.call('m'), 'TRANSPORT', { reason: 'client-closed' }));
  await calls.first(3);
  const { message } = await rejects(t, client.call('m'), 'RATE_LIMITED', { option: 'maxPendingCalls' });
  t.regex(message, /^127\.0\.0\.1:\d+: 10 calls /);
  t.is(connections, 3);
  await client.close();
  for (const ended of await Promise.all(pending)) t.regex(ended.message, /the client is closed/);
  await rejects(t, client.call('m'), 'TRANSPORT', { reason: 'client-closed' });
});

test('a call that is aborted before or while it runs rejects with the reason and frees its connection', async (t) => {
  let isSilent = true;
  const { url, calls } = await answering(t, () => (isSilent ? undefined : true));
  const client = clientOf(t, url, { timeoutMs: 600_000 });
  const reason = new Error('changed my mind');
  t.is(await t.throwsAsync(client.call('m', [], { signal: AbortSignal.abort(reason) })), reason);
  t.is(calls.all.length, 0);
  const abort = new AbortController();
  const call = t.throwsAsync(client.call('m', [], { signal: abort.signal }));
  await calls.first(1);
  abort.abort(reason);
  t.is(await call, reason);
  isSilent = false;
  t.true(await client.call('m'));
});

test('the total timeout ends a call, also while it waits for a connection', async (t) => {
  const { url } = await answering(t, () => undefined);
  const client = clientOf(t, url, { totalTimeoutMs: 100 });
  const both = await Promise.all(['a', 'b'].map((name) => rejects(t, client.call(name), 'TIMEOUT', { option: 'totalTimeoutMs' })));
  for (const error of both) t.regex(error.message, /^127\.0\.0\.1:\d+: no complete response within 100 ms/);
});

const WRONG: readonly (readonly [url: string, options: object, text: RegExp])[] = [
  ['nonsense', {}, /^the URL of the server: expected http:/],
  ['ftp://user:hunter2@host/', {}, /^the URL of the server/],
  ['http://user:hunter2@[', {}, /^the URL of the server/],
  ['http://user:hunter%zz@host/', {}, /write %25/],
  ['http+unix:relative.sock', {}, /^the path of the unix socket/],
  ['http://host/', { token: 'two words' }, /^token: /],
  ['http://host/', { token: 'a\r\nX: hunter2' }, /^token: /],
  ['http://host/', { timeoutMs: 0 }, /^timeoutMs: found 0/],
  ['http://host/', { bodyTimeoutMs: 1.5 }, /^bodyTimeoutMs: found 1.5/],
  ['http://host/', { totalTimeoutMs: 2 ** 31 }, /^totalTimeoutMs: /],
  ['http://host/', { maxConnections: NaN }, /^maxConnections: found NaN/],
  ['http://host/', { maxResponseBytes: '5' }, /^maxResponseBytes: found '5'/],
];

for (const [url, options, text] of WRONG) {
  test(`rejected before connecting: ${url} ${JSON.stringify(options)}`, (t) => {
    const [option] = Object.keys(options);
    const { message } = refuses(t, () => createClient(url, options), 'CONFIG_INVALID', option === undefined ? {} : { option });
    t.regex(message, text);
    t.notRegex(message, /hunter/);
  });
}

test('calls that wait for a connection can be aborted, and no longer count as pending', async (t) => {
  const { url, calls } = await answering(t, () => undefined);
  const client = clientOf(t, url, { timeoutMs: 600_000, maxPendingCalls: 30 });
  const stuck = t.throwsAsync(client.call('m'));
  await calls.first(1);
  const abort = new AbortController();
  const reason = new Error('changed my mind');
  const waiting = Array.from({ length: 29 }, () => t.throwsAsync(client.call('m', [], { signal: abort.signal })));
  await rejects(t, client.call('m'), 'RATE_LIMITED', { option: 'maxPendingCalls' });
  abort.abort(reason);
  for (const error of await Promise.all(waiting)) t.is(error, reason);
  const late = new AbortController();
  const again = t.throwsAsync(client.call('m', [], { signal: late.signal }));
  late.abort(reason);
  t.is(await again, reason);
  await client.close();
  await stuck;
});

/** The door of programs: real requests with the token of a program, against a relay with a desk that notes. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ProgramServer } from '../../src/http/http.ts';
import type { ProgramToken } from '../../src/http/http.ts';
import { ACCESS_CLASSES, RelayError } from '../../src/core/core.ts';
import { Double, Int64, dictOf } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import { addProgramMethods } from '../../src/relay/relay.ts';
import type { ProgramCall } from '../../src/plugin-host/plugin-host.ts';
import type { ProgramPort } from '../../src/relay/relay.ts';
import { describeMethods } from '../../src/rpc/rpc.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { SELF, makeHeart } from '../relay/heart.ts';
import type { Heart } from '../relay/heart.ts';
import { call, everything, open, request, requestBytes } from './raw.ts';
import type { RawRequest } from './raw.ts';

const TOKEN = 'thermo-secret';
const tokenOf = (name: string, secret: string): ProgramToken => ({ name, sha256: createHash('sha256').update(secret).digest('hex') });
const basic = (secret: string): string => `Basic ${Buffer.from(`plugin:${secret}`).toString('base64')}`;

class Desk implements ProgramPort {
  readonly noted: unknown[] = [];
  readonly waiting = new Gate<{ readonly waitMs: number; readonly gone: AbortSignal | undefined }>();
  next: ProgramCall | undefined;

  async nextCall(program: string, waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined> {
    this.waiting.push({ waitMs, gone });
    if (waitMs > 0 && gone && !this.next) await once(gone, 'abort');
    this.noted.push(['next', program]);
    return this.next;
  }

  answerCall(program: string, id: string, answer: unknown): void {
    if (id !== 'c1') throw new RelayError('INVALID_PARAMS', `no call ${id} waits for an answer`);
    this.noted.push(['answer', program, id, answer]);
  }

  async pushItems(...push: readonly unknown[]): Promise<boolean> {
    this.noted.push(['push', ...push]);
    return Promise.resolve(true);
  }

  programLog(...line: readonly unknown[]): void {
    this.noted.push(line);
  }
}

interface Kit {
  readonly url: string;
  readonly heart: Heart;
  readonly desk: Desk;
  tokens: readonly ProgramToken[];
  readonly ask: (method: string, params?: readonly Sendable[], secret?: string) => ReturnType<typeof call>;
}

async function doorOf(t: ExecutionContext, methods: Parameters<typeof makeHeart>[1] = [], requestTimeoutMs = 30_000): Promise<Kit> {
  const heart = makeHeart({ limits: { ...NO_CALLS } }, methods);
  const desk = new Desk();
  addProgramMethods(heart.dispatcher.registry, desk, heart.dispatcher);
  const kit = { tokens: [tokenOf('thermo', TOKEN), tokenOf('other', 'other-secret')] };
  const door = new ProgramServer({ dispatcher: heart.dispatcher, tokens: () => kit.tokens, maxBodyBytes: 100_000, requestTimeoutMs });
  t.is(door.url, undefined);
  await door.start();
  t.teardown(() => door.stop());
  const url = door.url ?? '';
  return Object.assign(kit, {
    ...{ url, heart, desk },
    ask: (method: string, params: readonly Sendable[] = [], secret = TOKEN) =>
      call(url, 'ping', [], {
        body: serialiseCall(method, params, { nil: true, i8: true }),
        headers: { authorization: basic(secret) },
      }),
  });
}

/** Whoever is counted may not call at all: what a program calls must not be. */
const NONE = { perSecond: 0.001, burst: 1 };
const NO_CALLS = { anonymous: NONE, local: NONE, peer: NONE, satellite: NONE, token: NONE };

test('a program sends as its satellite: the dict is unchanged, has our host_id and does not return to the sender', async (t) => {
  const { ask, heart } = await doorOf(t);
  const dict = { host_id: 'forged@192.0.2.77:1', co2: { id: 'forged' }, data: [new Double(1), new Int64(5n), null] };
  t.like(await ask('relay.relay', [dict]), { kind: 'value', value: true });
  const { message, except } = heart.delivered[0]!;
  t.is(except, 'thermo');
  t.is(message.hostId, SELF);
  t.is(message.verdict, 'local');
  t.not(message.id, 'forged');
  t.regex(message.payload.toString(), /<double>1\.0<\/double>.*<i8>5<\/i8>.*<nil\/>/s);
  t.deepEqual(Object.keys(message.frozen().dict), ['host_id', 'client_address', 'data']);
  t.is(heart.forwarded[0], message);
});

test('relay.relay with options returns the id of the message', async (t) => {
  const { ask, heart } = await doorOf(t);
  const answer = await ask('relay.relay', [{ data: 1 }, { durable: true }]);
  t.like(answer, { kind: 'value', value: heart.delivered[0]!.message.id });
  t.like(await ask('relay.relay', [1]), { kind: 'fault', code: -32602 });
  t.like(await ask('relay.relay', [{ data: 1 }, {}, {}]), { kind: 'fault', code: -32602 });
  t.like(await ask('relay.relay', [{}]), { kind: 'fault', code: -32602 });
});

test('relay.call calls on behalf of the plugin and returns the result of the method, including nil', async (t) => {
  const { ask } = await doorOf(t, [{ invoke: (params) => [new Double(2), null, ...params] }]);
  t.like(await ask('relay.call', ['ham.spam.run', ['x']]), { kind: 'value', value: [2, null, 'x'] });
  t.like(await ask('relay.call', ['ham.spam.run', [], { node: 'b7' }]), { kind: 'fault', code: 404 });
  t.like(await ask('relay.call', ['no.such', []]), { kind: 'fault', code: -32601 });
  t.like(await ask('relay.call', ['relay.call', ['ping', []]]), { kind: 'fault', code: -32602 });
  t.like(await ask('relay.call', ['system.multicall', [[{ methodName: 'relay.call', params: ['ping', []] }]]]), {
    value: [{ faultCode: -32602 }],
  });
  t.like(await ask('relay.call', ['relay.get_status', []]), { kind: 'fault', code: 403 });
  for (const params of [[], [1], ['ping', {}], ['ping', [], 1], ['ping', [], {}, 1], ['ping', [], { node: 1 }]] as Sendable[][])
    t.like(await ask('relay.call', params), { kind: 'fault', code: -32602 }, JSON.stringify(params));
});

test('a query in the URL is ignored, and an i8 reaches the method and returns', async (t) => {
  const { url } = await doorOf(t, [{ invoke: (params) => [null, ...params] }]);
  const asked = async (path: string, params: readonly Sendable[]): Promise<string> => {
    const body = serialiseCall('relay.call', ['ham.spam.run', params], { nil: true, i8: true });
    return (await request(url, { path, body, headers: { authorization: basic(TOKEN) } })).body.toString();
  };
  const NIL = '<value><nil/></value>';
  t.true((await asked('/RPC2?nil=1', [2n ** 40n])).includes(`${NIL}<value><i8>1099511627776</i8></value>`));
  t.true((await asked('/RPC2', [2 ** 40])).includes(`${NIL}<value><double>1099511627776.0</double></value>`));
});

test('relay.log writes to the log of the program; relay.push_items reaches its stream, or is refused', async (t) => {
  const { ask, desk } = await doorOf(t);
  t.like(await ask('relay.log', ['warn', 'it is hot']), { value: true });
  t.deepEqual(desk.noted, [['thermo', 'warn', 'it is hot']]);
  for (const params of [['loud', 'x'], ['warn'], ['warn', 1], ['warn', 'x', 'y']] as Sendable[][])
    t.like(await ask('relay.log', params), { kind: 'fault', code: -32602 });
  const items = [{ whole: new Double(1) }, 'two'];
  t.like(await ask('relay.push_items', ['s1', items, { end: true }]), { value: true });
  t.deepEqual(desk.noted[1], ['push', 'thermo', 's1', { items, end: true }]);
  for (const params of [['s1'], ['s1', 'x'], ['s1', [], { ende: true }], ['s1', [], { error: 1 }], [1, []]] as Sendable[][])
    t.like(await ask('relay.push_items', params), { kind: 'fault', code: -32602 });
});

test('a program without a server polls for its calls and answers them', async (t) => {
  const { ask, desk } = await doorOf(t);
  t.like(await ask('plugin.next', [0]), { kind: 'value', value: dictOf() });
  desk.next = { id: 'c1', method: 'thermo.read', params: ['celsius', null] };
  const answer = await ask('plugin.next');
  t.like(answer, { value: { id: 'c1', method: 'thermo.read', params: ['celsius', null] } });
  t.is(desk.waiting.all[1]!.waitMs, 25_000);
  t.like(await ask('plugin.answer', ['c1', [1, 2]]), { value: true });
  t.like(await ask('plugin.answer_fault', ['c1', 42, 'too cold']), { value: true });
  t.deepEqual(desk.noted.slice(2), [
    ['answer', 'thermo', 'c1', { value: [1, 2], exact: [1, 2] }],
    ['answer', 'thermo', 'c1', { fault: { code: 42, text: 'too cold' } }],
  ]);
  t.like(await ask('plugin.answer', ['c2', 1]), { kind: 'fault', code: -32602 });
  for (const params of [[1, 1], ['c1'], ['c1', 1, 1]] as Sendable[][]) t.like(await ask('plugin.answer', params), { code: -32602 });
  for (const params of [
    ['c1', 1],
    ['c1', 'x', 'y'],
    ['c1', 1, 'y', 1],
  ] as Sendable[][])
    t.like(await ask('plugin.answer_fault', params), { code: -32602 });
  for (const wait of [-1, 60_001, 'long', new Double(0.5)] as Sendable[]) t.is((await ask('plugin.next', [wait, 1])).kind, 'fault');
});

test('a poll ends when its connection closes', async (t) => {
  const { url, desk } = await doorOf(t);
  const bytes = requestBytes(url, { body: serialiseCall('plugin.next', [60_000]), headers: { authorization: basic(TOKEN) } });
  const socket = open(url, bytes);
  const [poll] = await desk.waiting.first(1);
  t.false(poll!.gone!.aborted);
  const aborted = once(poll!.gone!, 'abort');
  socket.destroy();
  await aborted;
  t.pass();
});

test('requests without the token of a program, or with invalid bytes, are rejected', async (t) => {
  const kit = await doorOf(t);
  const { url, ask } = kit;
  for (const headers of [{}, { authorization: basic('guess') }, { authorization: '' }] as RawRequest['headers'][])
    t.like(await call(url, 'ping', [], { headers: headers! }), { kind: 'fault', code: 401 });
  const authorization = basic(TOKEN);
  const statuses = async (what: RawRequest): Promise<number> =>
    (await request(url, { ...what, headers: { authorization, ...what.headers } })).status;
  t.is(await statuses({ path: '/' }), 404);
  t.is(await statuses({ method: 'GET' }), 405);
  t.is(await statuses({ headers: { 'content-type': 'application/json' } }), 415);
  t.is(await statuses({ headers: { 'content-encoding': 'gzip' } }), 415);
  t.is(await statuses({ headers: { 'content-length': '100001' } }), 413);
  kit.tokens = [tokenOf('other', 'other-secret')];
  t.like(await ask('ping'), { kind: 'fault', code: 401 }, 'the token of a program that ended');
  t.like(await ask('ping', [], 'other-secret'), { value: true });
});

test('a program may call every method without the admin right and is not rate-limited', async (t) => {
  const { ask, heart, desk } = await doorOf(
    t,
    ACCESS_CLASSES.map((access) => ({ name: `ham.spam.${access}`, access, invoke: () => 1 })),
  );
  desk.next = { id: 'c1', method: 'thermo.read', params: [] };
  const described = describeMethods(heart.dispatcher.registry);
  t.true(described.length > 20);
  for (const { name, access } of described) {
    const answer = await ask(name);
    const isDenied = answer.kind === 'fault' && answer.code === 403;
    t.is(isDenied, access === 'admin', `${name} (${access})`);
  }
});

test('connections with no request or an incomplete one are closed after a timeout', async (t) => {
  const { url } = await doorOf(t, [], 100);
  for (const said of ['', 'POST /RPC2 HTTP/1.1\r\nHost: x\r\n']) {
    const socket = open(url, Buffer.from(said));
    await everything(socket);
    t.true(socket.readableEnded || socket.destroyed);
  }
});

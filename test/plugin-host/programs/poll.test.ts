/** Programs without a server: their calls are queued until they fetch them. */
import test from 'ava';
import { Fault } from '../../../src/core/core.ts';
import type { RelayError } from '../../../src/core/core.ts';
import type { ProgramCall } from '../../../src/plugin-host/plugin-host.ts';
import { messageOf } from '../kit.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { programOf } from './kit.ts';
import type { KitOptions, ProgramKit } from './kit.ts';

/** Starts a program whose calls the test fetches in its place, and answers its start sequence. */
async function polling(
  options: KitOptions & { readonly t: Parameters<typeof programOf>[0] },
): Promise<ProgramKit & { fetch: () => Promise<ProgramCall> }> {
  const kit = programOf(options.t, 'poll', options);
  const fetch = async (): Promise<ProgramCall> => (await kit.programs.nextCall('ham', 25_000)) ?? { id: '', method: 'none', params: [] };
  const starting = kit.start();
  const seen: string[] = [];
  for (const value of [true, { version: '2.0.0' }, { capabilities: ['receive'], methods: [{ name: 'ham.add' }] }, true]) {
    const call = await fetch();
    seen.push(call.method);
    kit.programs.answerCall('ham', call.id, { value: value as never });
  }
  await starting;
  options.t.deepEqual(seen, ['plugin.push_version', 'plugin.get_version', 'plugin.describe', 'plugin.setup']);
  return { ...kit, fetch };
}

test('a program fetches its calls and sends the answers', async (t) => {
  const kit = await polling({ t });
  const adding = kit.call('add', 1, 2);
  const call = await kit.fetch();
  t.like(call, { method: 'ham.add', params: [1, 2] });
  kit.programs.answerCall('ham', call.id, { value: 3 });
  t.is(await adding, 3);
  const failing = kit.call('add', 'x');
  kit.programs.answerCall('ham', (await kit.fetch()).id, { fault: { code: 7, text: 'no number' } });
  await t.throwsAsync(failing, { instanceOf: Fault, code: 7, message: 'no number' } as never);
});

test('messages are delivered as calls of notify, with their values and metadata', async (t) => {
  const kit = await polling({ t });
  const source = '<struct><member><name>data</name><value><i8>5</i8></value></member></struct>';
  kit.deliver(messageOf(5, { id: 'id.1', source, clientAddress: ['10.0.0.1', 7] }));
  const { id, method, params } = await kit.fetch();
  t.is(method, 'notify');
  const dict = Object.fromEntries(params[0] as Map<string, unknown>);
  t.like(dict, { host_id: 'x@127.0.0.1:1', client_address: ['10.0.0.1', 7] });
  t.like(dict.co2, { id: 'id.1', hops: 0, redelivered: false });
  kit.programs.answerCall('ham', id, { value: true });
  await kit.seen.event('inbox.delivered', { satellite: 'ham', id: 'id.1' });
});

test('a call that is not fetched or not answered times out, and its late answer is rejected', async (t) => {
  const clock = new VirtualClock();
  const kit = await polling({ t, clock });
  const [fetched, waiting] = [kit.call('add', 1), kit.call('add', 2)];
  const { id } = await kit.fetch();
  clock.advance(60_000);
  await t.throwsAsync(fetched, { code: 'TIMEOUT' } as never);
  await t.throwsAsync(waiting, { code: 'TIMEOUT' } as never);
  const error = t.throws<RelayError>(() => {
    kit.programs.answerCall('ham', id, { value: 1 });
  });
  t.is(error.code, 'INVALID_PARAMS');
  t.regex(error.message, /no call '\d+' is under way: it was answered already, or it timed out/);
});

test('a long poll ends without a call after its timeout; fetching is a sign of life', async (t) => {
  const clock = new VirtualClock();
  const kit = await polling({ t, clock });
  const waiting = kit.programs.nextCall('ham', 20_000);
  for (let quiet = 0; quiet < 4; quiet++) clock.advance(5_000);
  t.is(await waiting, undefined);
  t.is(kit.plugin.status.state.type, 'ready');
  clock.advance(5_000);
  clock.advance(5_000);
  t.deepEqual(await kit.until('unresponsive'), { type: 'unresponsive', missed: 1 });
});

test('more than a thousand calls in flight are rejected', async (t) => {
  const kit = await polling({ t });
  const calls = Array.from({ length: 1_000 }, () => kit.call('add').catch((error: unknown) => error));
  await t.throwsAsync(kit.call('add'), { code: 'RATE_LIMITED', message: 'ham: 1000 calls are already running or waiting' } as never);
  await kit.plugin.stop();
  t.is(((await calls[0]) as RelayError).code, 'TRANSPORT');
});

test('plugin.stop is fetched like any other call', async (t) => {
  const kit = await polling({ t });
  const stopping = kit.plugin.stop();
  const { id, method } = await kit.fetch();
  t.is(method, 'plugin.stop');
  kit.programs.answerCall('ham', id, { value: true });
  process.kill(kit.plugin.status.pid ?? 0, 'SIGTERM');
  await stopping;
  t.is(kit.plugin.status.state.type, 'stopped');
});

test('a program with a server cannot fetch calls, nor can an unknown one', async (t) => {
  const kit = programOf(t, 'good');
  await t.throwsAsync(kit.programs.nextCall('ham', 1), { code: 'UNAVAILABLE', message: 'ham has been stopped' } as never);
  await t.throwsAsync(kit.programs.nextCall('haam', 1), {
    code: 'INVALID_PARAMS',
    message: /there is no program 'haam'; did you mean "ham"/,
  } as never);
  await kit.start();
  await t.throwsAsync(kit.programs.nextCall('ham', 1), { code: 'INVALID_PARAMS', message: /it has a server/ } as never);
});

test('a token is valid while its process runs, and the next process gets another one', async (t) => {
  const kit = programOf(t, 'good');
  t.deepEqual(kit.programs.tokens(), []);
  await kit.start();
  const tokens = kit.programs.tokens();
  t.is(tokens.length, 1);
  t.like(tokens[0], { name: 'ham' });
  t.is(kit.programs.tokens(), tokens);
  await kit.plugin.stop();
  t.deepEqual(kit.programs.tokens(), []);
  await kit.start();
  t.not(kit.programs.tokens()[0]?.sha256, tokens[0]?.sha256);
});

test('lines that a program logs keep their level', (t) => {
  const kit = programOf(t, 'good');
  kit.programs.log('ham', 'warn', 'careful\u001b[2J');
  t.like(kit.log.lines.all.at(-1), { level: 'warn', category: 'plugin.ham', text: 'careful\ufffd[2J' });
  t.throws(
    () => {
      kit.programs.log('ham', 'fatal', 'x');
    },
    { code: 'INVALID_PARAMS', message: /there is no level 'fatal'/ },
  );
});

/** The test kit as used by the author of a plugin, imported by the name of the package. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'ava';
import { Exposed, Fault, Plugin, Satellite, Work, WorkContext } from 'co2-relay';
import type { Context, Dict } from 'co2-relay';
import { RemoteFault, createTestRelay } from 'co2-relay/testing';
import type { TestRelay, TestRelayOptions } from 'co2-relay/testing';
import type { ExecutionContext } from 'ava';
import { z } from 'zod';
import { ERRORS } from '../../src/core/core.ts';
import { rejects } from '../support/relay-error.ts';

@Satellite()
class Pong extends Plugin<{ readonly word?: string }> {
  #word = 'pong';

  override setup({ word }: { readonly word?: string }): void {
    this.#word = word ?? this.#word;
  }

  override async receive(dict: Dict, context: Context): Promise<void> {
    if (dict.data === 'ping') await this.send({ data: { [this.#word]: dict.host_id, hops: context.hops } });
    if (dict.data === 'fail') throw new Error('not today');
  }

  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }

  @Exposed()
  make(): object {
    return { list: [{ a: 1 }], bytes: Buffer.from('x'), when: new Date(0) };
  }

  @Exposed({ params: ['string'] })
  fail(kind: string): never {
    throw kind === 'fault' ? new Fault(42, 'as I said') : new TypeError('a secret of the plugin');
  }

  @Exposed({ params: [], access: 'admin' })
  reset(): boolean {
    return true;
  }
}

/** Its receive ends when its signal aborts. */
@Satellite()
class Slow extends Plugin {
  override async receive(dict: Dict, { signal }: Context): Promise<void> {
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    this.log('ended', dict.data);
  }
}

async function relayOf(t: ExecutionContext, options: TestRelayOptions): Promise<TestRelay> {
  const relay = await createTestRelay(options);
  t.teardown(() => relay.stop());
  return relay;
}

test('deliver resolves once every receive has ended, and the dicts sent meanwhile are recorded', async (t) => {
  const relay = await relayOf(t, { plugins: [Pong] });
  const id = await relay.deliver({ data: 'ping', host_id: 'ann@192.0.2.7:99' });
  t.regex(id, /^[0-9a-f]+\.1$/);
  t.deepEqual(relay.sent, [
    { host_id: relay.hostId, client_address: [relay.hostId.replace(/.*@|:.*/g, ''), 2004], data: { pong: 'ann@192.0.2.7:99', hops: 0 } },
  ]);
  const next = await relay.nextSent();
  // Stricter than ava: it distinguishes objects without a prototype from others.
  t.notThrows(() => {
    assert.deepEqual(next.data, { pong: 'ann@192.0.2.7:99', hops: 0 });
  });
  t.deepEqual(relay.errors, []);
});

test('a satellite may answer another, and a test can wait for future messages', async (t) => {
  @Satellite()
  class Chain extends Plugin {
    override async receive(dict: Dict): Promise<void> {
      if (typeof dict.data === 'number' && dict.data > 0) await this.send({ data: dict.data - 1 });
    }
  }
  const relay = await relayOf(t, { plugins: { 'one.chain': Chain, 'other.chain': class extends Chain {} } }).catch(
    (error: unknown) => error,
  );
  t.regex(String(relay), /TypeError: plugins: a class has no name/);
  @Satellite()
  class Link extends Chain {}
  const both = await relayOf(t, { plugins: { 'one.chain': Chain, 'other.chain': [Link] } });
  const [first, second] = [both.nextSent(), both.nextSent()];
  await both.deliver({ data: 3 });
  t.deepEqual([(await first).data, (await second).data], [2, 2]);
  // Both send 2 and receive each other's: two messages with 1, two with 0.
  t.deepEqual(both.sent.map(({ data }) => data).sort(), [0, 0, 1, 1, 2, 2]);
});

test('plugins are configured as in config.ts, and errors name the wrong option', async (t) => {
  const relay = await relayOf(t, { plugins: { 'ham.spam': Pong }, config: { plugins: { 'ham.spam': { word: 'bong' } } } });
  await relay.deliver({ data: 'ping' });
  t.like(relay.sent[0]?.data, { hops: 0 });
  t.true(Object.hasOwn(relay.sent[0]?.data as object, 'bong'));
  const { message } = await rejects(t, createTestRelay({ config: { retry: { minMS: 1 } } as object }), 'CONFIG_INVALID', {
    option: 'retry.minMS',
  });
  t.regex(message, /createTestRelay: config\.retry\.minMS: there is no such option; did you mean "retry\.minMs"\?/);
});

test('a call is handled like that of a client: parameters are checked, structs are plain, faults have their cause', async (t) => {
  const relay = await relayOf(t, { plugins: { 'ham.spam': Pong } });
  t.is(await relay.call('ham.spam.add', [2, 3]), 5);
  t.deepEqual(await relay.call('ham.spam.make'), { list: [{ a: 1 }], bytes: Buffer.from('x'), when: new Date(0) } as never);
  const wrong = await t.throwsAsync<RemoteFault>(relay.call('ham.spam.add', ['2', 3]));
  t.is(wrong.code, ERRORS.INVALID_PARAMS.fault);
  const own = await t.throwsAsync<RemoteFault>(relay.call('ham.spam.fail', ['fault']));
  t.true(RemoteFault.is(own));
  t.like(own, { code: 42, message: 'as I said' });
  const other = await t.throwsAsync<RemoteFault>(relay.call('ham.spam.fail', ['else']));
  t.is(other.code, -32500);
  t.false(other.message.includes('secret'));
  t.like(other.cause, { name: 'TypeError', message: 'a secret of the plugin' });
  t.is((await t.throwsAsync<RemoteFault>(relay.call('ham.spam.nothing'))).code, -32601);
});

test('a call has the rights of the given caller', async (t) => {
  const relay = await relayOf(t, { plugins: { 'ham.spam': Pong } });
  t.is((await t.throwsAsync<RemoteFault>(relay.call('ham.spam.reset'))).code, 403);
  t.true(await relay.call('ham.spam.reset', [], { as: 'admin' }));
  t.is((await t.throwsAsync<RemoteFault>(relay.call('ham.spam.add', [1, 2], { as: 'anonymous' }))).code, 403);
  t.true(await relay.call('ping', [], { as: 'anonymous' }));
});

test('time passes only when the test advances it', async (t) => {
  const relay = await relayOf(t, { plugins: [Slow], config: { receiveTimeoutMs: 60_000 } });
  const delivered = relay.deliver({ data: 'x' });
  const ended = (): boolean => relay.logs.some(({ text }) => text === 'ended x');
  await relay.clock.advance(59_999);
  t.false(ended());
  await relay.clock.advance(1);
  await delivered;
  t.true(ended());
  t.regex(relay.errors.join(), /delivery of \S+ to test\.slow\.Slow failed: it took longer than 60000 ms/);
  await t.throwsAsync(relay.clock.advance(-1), { name: 'RangeError' });
});

test('the error names a dict that is never settled or never sent', async (t) => {
  // The start has to fit in it, too, on a loaded machine.
  const relay = await relayOf(t, { plugins: [Slow, Pong], patienceMs: 1_500 });
  const late = await rejects(t, relay.deliver({ data: 'x' }), 'TIMEOUT');
  t.is(
    late.message,
    'not settled after 1500 ms: receive() has not ended for 1 message (satellites: test.pong.Pong, test.slow.Slow); if it waits for a timer of the relay, call clock.advance()',
  );
  const none = await rejects(t, relay.nextSent(), 'TIMEOUT');
  t.is(none.message, 'no satellite sent a dict within 1500 ms; before that: none');
});

test('errors of receive are recorded in errors and affect no other satellite', async (t) => {
  const relay = await relayOf(t, { plugins: { 'ham.spam': Pong } });
  const id = await relay.deliver({ data: 'fail' });
  t.deepEqual(relay.errors, [`delivery of ${id} to ham.spam.Pong failed: not today`]);
  t.true(relay.logs.some(({ level, category }) => level === 'error' && category === 'plugin.ham.spam'));
  t.is(await relay.call('ham.spam.add', [1, 1]), 2);
});

test('a dict that the relay rejects causes an error', async (t) => {
  const relay = await relayOf(t, {});
  await rejects(t, relay.deliver({ topic: 'x' }), 'INVALID_PARAMS');
  await t.throwsAsync(relay.deliver('hello'), { instanceOf: TypeError });
});

@Satellite({ inbox: { overflow: 'merge', key: () => 'the one state' } })
class Merging extends Plugin {
  override async receive(dict: Dict): Promise<void> {
    await this.send({ data: dict.data });
  }
}

test('settled does not wait for a dict that was merged into a later one', async (t) => {
  const relay = await relayOf(t, { plugins: [Merging] });
  await Promise.all([1, 2, 3].map((data) => relay.deliver({ data })));
  t.deepEqual(
    relay.sent.map(({ data }) => data),
    [3],
  );
});

@Satellite()
class Baker extends Plugin {
  @Work({ params: z.strictObject({ burn: z.boolean().default(false) }) })
  async *bake(payload: Buffer, { params, submitter }: WorkContext<{ readonly burn: boolean }>) {
    yield { bread: payload.toString(), for: submitter };
    if (params.burn) throw new Error('it burnt');
    yield await Promise.resolve('done');
  }

  @Work()
  async *wait(_payload: Buffer, { signal }: WorkContext) {
    await once(signal, 'abort');
    yield 'too late';
  }
}

test('work runs here, and its end and its results are there to look at', async (t) => {
  const relay = await createTestRelay({ plugins: { 'ham.baker': Baker }, patienceMs: 1_500 });
  t.teardown(() => relay.stop());
  const baked = await relay.work('ham.baker:bake', { payload: 'rye' });
  t.like(baked, { state: 'succeeded', reason: '' });
  t.deepEqual(baked.results, [{ bread: 'rye', for: 'local caller 127.0.0.1' }, 'done']);
  const burnt = await relay.work('ham.baker:bake', { payload: Buffer.from('rye'), params: { burn: true }, as: 'admin' });
  t.like(burnt, { state: 'failed', reason: 'it burnt' });
  t.is(burnt.results.length, 1);
  t.regex((await relay.work('ham.baker:bake', { params: { burn: 'yes' } })).reason, /burn/);
  await t.throwsAsync(relay.work('ham.baker:toast'), { instanceOf: RemoteFault, code: ERRORS.INVALID_PARAMS.fault } as never);
  t.regex((await rejects(t, relay.work('ham.baker:wait'), 'TIMEOUT')).message, /did not end within 1500 ms/);
});

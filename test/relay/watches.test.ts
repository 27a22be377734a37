/** Watches: their queue loses nothing between polls and never grows without limit, and one that nobody polls ends. */
import test from 'ava';
import { EventStream } from '../../src/events/events.ts';
import type { Message } from '../../src/message/message.ts';
import { TRANSIENT_RELAY_EVENTS } from '../../src/relay/relay.ts';
import type { RelayEvent } from '../../src/relay/relay.ts';
import { Watches } from '../../src/relay/watches.ts';
import { startRelay } from '../support/relays.ts';
import type { Value } from '../../src/values/values.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const DICTS = ['message.routed'] as const;

function makeWatches() {
  const clock = new VirtualClock();
  const events = new EventStream<RelayEvent>({ clock, transient: TRANSIENT_RELAY_EVENTS });
  const watches = new Watches(events, clock);
  const route = (id: string, bytes = 10): void => {
    const message = { id, payload: Buffer.alloc(bytes) } as unknown as Message;
    events.emit({ type: 'message.routed', message, sender: undefined, recipients: 0 });
  };
  const poll = async (id: string | undefined, waitMs = 0, gone?: AbortSignal) => {
    const batch = await watches.poll(DICTS, { id, waitMs, gone });
    return { ...batch, ids: batch.events.flatMap(({ event }) => (event.type === 'message.routed' ? [event.message.id] : [])) };
  };
  return { clock, events, watches, route, poll };
}

test('a watch answers what came between two polls, once and in order', async (t) => {
  const { events, route, poll } = makeWatches();
  t.false(events.isWatched('message.routed'), 'a relay that nobody watches builds no events');
  const { id } = await poll(undefined);
  t.true(events.isWatched('message.routed'));
  route('a');
  route('b');
  t.like(await poll(id), { ids: ['a', 'b'], missed: 0 });
  t.like(await poll(id), { ids: [], missed: 0 });
  const waiting = poll(id, 1000);
  route('c');
  t.deepEqual((await waiting).ids, ['c']);
});

test('a poll ends when its time is over, its caller goes, or the relay stops', async (t) => {
  const { clock, events, poll } = makeWatches();
  const { id } = await poll(undefined);
  const late = poll(id, 1000);
  clock.advance(1000);
  t.deepEqual((await late).ids, []);
  const gone = new AbortController();
  const left = poll(id, 1000, gone.signal);
  await t.throwsAsync(poll(id, 1000), { code: 'LIMIT', message: /polled already/ });
  gone.abort();
  t.deepEqual((await left).ids, []);
  const stopped = poll(id, 1000);
  events.close();
  t.deepEqual((await stopped).ids, []);
});

test('a full queue drops the oldest and reports how many; large answers are divided', async (t) => {
  const { route, poll } = makeWatches();
  const { id } = await poll(undefined);
  for (let n = 0; n < 1003; n++) route(String(n));
  const { ids, missed } = await poll(id);
  t.deepEqual([ids.length, ids[0], missed], [1000, '3', 3]);
  t.is((await poll(id)).missed, 0, 'reported once');
  for (let n = 0; n < 20; n++) route(String(n), 600_000);
  const sizes: number[] = [];
  let dropped = 0;
  for (let batch = await poll(id); batch.ids.length > 0; batch = await poll(id)) {
    sizes.push(batch.ids.length);
    dropped += batch.missed;
  }
  t.deepEqual([new Set(sizes), sizes.length, dropped], [new Set([1]), 13, 7], '8 MiB are kept, and 1 MiB is answered at a time');
});

test('a watch that is not polled for a minute ends, and there are at most twenty', async (t) => {
  const { clock, events, watches, route, poll } = makeWatches();
  const { id } = await poll(undefined);
  clock.advance(61_000);
  route('x');
  t.false(events.isWatched('message.routed'));
  await t.throwsAsync(poll(id), { code: 'INVALID_PARAMS', message: /no such watch/ });
  for (let n = 0; n < 20; n++) await poll(undefined);
  await t.throwsAsync(poll(undefined), { code: 'LIMIT', message: /20 callers are watching/ });
  clock.advance(61_000);
  const { id: dicts } = await poll(undefined);
  await t.throwsAsync(watches.poll(['plugin.state'], { id: dicts, waitMs: 0, gone: undefined }), { code: 'INVALID_PARAMS' });
});

test('a dict that a caller cannot be sent is replaced by the reason, and the others arrive', async (t) => {
  const relay = await startRelay(t);
  const post = async (path: string, type: string, body: string): Promise<string> => {
    const answer = await fetch(`${relay.url}${path}`, { method: 'POST', headers: { 'content-type': type }, body });
    return answer.text();
  };
  const json = async (method: string, ...params: unknown[]) =>
    JSON.parse(await post(`/api/${method}`, 'application/json', JSON.stringify(params))) as { watch: string; dicts: unknown[] };
  const [{ watch: first }, { watch: second }] = [await json('relay.watch'), await json('relay.watch')];
  await json('notify', { data: 'before' });
  // The relay accepts a depth of 64, and the list of dicts around it takes three more.
  await relay.call('notify', { data: JSON.parse(`${'['.repeat(62)}${']'.repeat(62)}`) as Value });
  await json('notify', { data: null });
  await json('notify', { data: 'after' });
  const { dicts } = await json('relay.watch', { watch: first });
  t.like(dicts, [{ dict: { data: 'before' } }, { sender: '', recipients: 1 }, { dict: { data: null } }, { dict: { data: 'after' } }]);
  t.regex((dicts[1] as { not_shown: string }).not_shown, /^dict\.data(\[0\])+: arrays and structs deeper than 64 cannot be sent$/);
  t.deepEqual(
    dicts.map((entry) => Object.keys(entry as object).filter((name) => name === 'dict' || name === 'not_shown')),
    [['dict'], ['not_shown'], ['dict'], ['dict']],
  );
  // Inside system.multicall, to a caller that has not shown that it reads nil.
  const param = `<struct><member><name>watch</name><value>${second}</value></member></struct>`;
  const call = `<struct><member><name>methodName</name><value>relay.watch</value></member><member><name>params</name><value><array><data><value>${param}</value></data></array></value></member></struct>`;
  const body = `<methodCall><methodName>system.multicall</methodName><params><param><value><array><data><value>${call}</value></data></array></value></param></params></methodCall>`;
  const answer = await post('/RPC2', 'text/xml', body);
  t.regex(answer, /before.*not_shown.*deeper than 64.*not_shown.*dict\.data: null cannot be written: nil is an extension.*after/s);
  t.false(answer.includes('fault'));
});

/** `/work/<unit>/...` over real sockets: payloads and results as plain bytes, events, and what is refused. */
import { once } from 'node:events';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { temporaryDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { arriving } from '../../src/http/streamed-bodies.ts';
import { runCo2 } from '../support/processes.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { everything, open, request, requestBytes } from '../http/raw.ts';

type Struct = Readonly<Record<string, Value>>;

const PROGRAMS = {
  'shell.cat': { exec: 'cat' },
  // Prints a line, waits for the file that is its parameter, and prints another.
  'shell.wait': {
    ...{ exec: 'sh', args: ['-c', 'echo one; while [ ! -e "$CO2_PARAM_FILE" ]; do sleep 0.05; done; echo two; exit 3'], params: ['file'] },
  },
};

// Differs from all other time limits of a relay.
const LIMIT_MS = 25_000;

async function submitted(relay: TestRelay, id: string, more: Record<string, Sendable> = {}): Promise<string> {
  const submission = { type: 'shell.cat', id, ...more };
  await relay.call('work.submit', submission);
  return id;
}

async function ended(relay: TestRelay, unit: string): Promise<Struct> {
  return (await relay.call('work.status', { unit, waitMs: 30_000 })) as Struct;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

function ask(relay: TestRelay, method: string, path: string, headers: Record<string, string> = {}): ClientRequest {
  const asked = httpRequest(`${relay.url}/work/${path}`, { method, headers, agent: false });
  // A relay that refuses a body closes the connection while it is still written.
  return asked.on('error', () => undefined);
}

async function answerTo(asked: ClientRequest): Promise<Answer> {
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const chunks = (await answer.toArray()) as Buffer[];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) };
}

async function get(relay: TestRelay, path: string, headers?: Record<string, string>, method = 'GET'): Promise<Answer> {
  return answerTo(ask(relay, method, path, headers).end());
}

async function put(relay: TestRelay, unit: string, body: Buffer | string, headers?: Record<string, string>): Promise<Answer> {
  return answerTo(ask(relay, 'PUT', `${unit}/payload`, headers).end(body));
}

/** Bytes that differ from place to place. */
function patternOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

test('a payload larger than any call goes up, and the results come down, whole and in ranges', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  const unit = await submitted(relay, 'u1', { upload: true });
  const payload = patternOf(12 * 1024 * 1024 + 3);
  const stored = await put(relay, unit, payload, { 'content-type': 'image/jpeg' });
  t.is(stored.status, 200);
  t.is((JSON.parse(stored.body.toString()) as Struct).payload_bytes, payload.length);
  t.is((await ended(relay, unit)).state, 'succeeded');

  const whole = await get(relay, 'u1/stdout');
  t.is(whole.status, 200);
  t.true(whole.body.equals(payload));
  t.like(whole.headers, {
    'content-length': String(payload.length),
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'x-content-type-options': 'nosniff',
    'co2-work-state': 'succeeded',
  });
  const ranges: readonly (readonly [range: string, from: number, to: number])[] = [
    ['bytes=0-0', 0, 1],
    ['bytes=70000-200000', 70_000, 200_001],
    ['bytes=12582912-', 12_582_912, payload.length],
    ['bytes=-5', payload.length - 5, payload.length],
    [`bytes=5-${payload.length + 9}`, 5, payload.length],
  ];
  for (const [range, from, to] of ranges) {
    const part = await get(relay, 'u1/stdout', { range });
    t.is(part.status, 206, range);
    t.is(part.headers['content-range'], `bytes ${from}-${to - 1}/${payload.length}`);
    t.true(part.body.equals(payload.subarray(from, to)), range);
  }
  for (const range of ['bytes=1-0', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=x'])
    t.is((await get(relay, 'u1/stdout', { range })).status, 200, range);
  for (const range of [`bytes=${payload.length}-`, 'bytes=-0']) {
    const refused = await get(relay, 'u1/stdout', { range });
    t.is(refused.status, 416, range);
    t.is(refused.headers['content-range'], `bytes */${payload.length}`);
  }
  const rest = await get(relay, `u1/stdout?offset=${payload.length - 3}&follow=1`);
  t.true(rest.body.equals(payload.subarray(-3)));
  const head = await get(relay, 'u1/stdout', {}, 'HEAD');
  t.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(payload.length), 0]);
  const empty = await get(relay, 'u1/stderr');
  t.deepEqual([empty.status, empty.headers['content-length'], empty.body.length], [200, '0', 0]);
});

test('what cannot be uploaded is refused, and says why', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS, workLimits: { maxBytes: 1_000_000 } });
  await submitted(relay, 'ready', { payload: 'x' });
  await submitted(relay, 'waits', { upload: true });
  const cases: readonly (readonly [path: string, headers: Record<string, string>, body: string, status: number, detail: RegExp])[] = [
    ['nothing/payload', {}, 'x', 404, /no unit 'nothing' of yours/],
    ['ready/payload', {}, 'x', 409, /does not wait for a payload; submit one with upload: true/],
    ['waits/payload', { 'content-encoding': 'gzip' }, 'x', 415, /Content-Encoding 'gzip'/],
    ['waits/payload', { 'content-range': 'bytes 0-1/5' }, 'x', 400, /Content-Range/],
    ['waits/payload', { 'transfer-encoding': 'chunked' }, 'x'.repeat(1_000_001), 413, /workLimits\.maxBytes/],
    ['waits/stdout', {}, 'x', 405, /PUT is not allowed here/],
  ];
  for (const [path, headers, body, status, detail] of cases) {
    const refused = await answerTo(ask(relay, 'PUT', path, headers).end(body));
    t.is(refused.status, status, path);
    t.regex((JSON.parse(refused.body.toString()) as { detail: string }).detail, detail);
    t.regex(refused.headers['content-type'] ?? '', /^application\/problem\+json/);
  }
  t.is((await request(relay.url, { method: 'PUT', path: '/work/waits/payload' })).status, 411);
  // Nothing is read of a body that cannot fit, and nobody is asked to send it.
  const large = { 'Content-Length': '1000001', Expect: '100-continue', Connection: undefined };
  const refused = await request(relay.url, { method: 'PUT', path: '/work/waits/payload', headers: large });
  t.is(refused.status, 413);
  const posted = await request(relay.url, { path: '/work/waits/payload' });
  t.deepEqual([posted.status, posted.headers.allow], [405, 'PUT']);
  t.is((await put(relay, 'waits', 'fits')).status, 200, 'it waited all the time');
  t.is((await get(relay, 'waits/stdout?follow=1')).body.toString(), 'fits');
});

test('a wrong credential is refused before the body, and units of others are not shown', async (t) => {
  const token = (env: string, classes: readonly ('call' | 'read')[]) => ({ env, classes });
  const access = { tokens: { ann: token('ANN', ['call']), bob: token('BOB', ['call']), cid: token('CID', ['read']) } };
  const env = { ANN: 'a'.repeat(32), BOB: 'b'.repeat(32), CID: 'c'.repeat(32), PATH: process.env.PATH };
  const relay = await startRelay(t, { work: PROGRAMS, access }, { env });
  const as = (letter: string): Record<string, string> => ({ authorization: `Bearer ${letter.repeat(32)}` });
  const call = await request(relay.url, {
    path: '/api/work.submit',
    headers: { 'Content-Type': 'application/json', Authorization: as('a').authorization },
    body: '{"type": "shell.cat", "id": "anns", "upload": true}',
  });
  t.is(call.status, 200, call.body.toString());
  const expecting = { 'Content-Length': '5', Expect: '100-continue' };
  for (const [letter, status] of [
    ['x', 401],
    ['b', 404],
    ['c', 403],
  ] as const) {
    const bytes = requestBytes(relay.url, {
      method: 'PUT',
      path: '/work/anns/payload',
      headers: { ...expecting, Authorization: as(letter).authorization },
    });
    const said = (await everything(open(relay.url, bytes))).toString();
    t.true(said.startsWith(`HTTP/1.1 ${status} `), `${letter}: ${said}`);
    for (const path of ['anns/stdout', 'anns/events', 'anns/payload']) {
      const method = path === 'anns/payload' ? 'PUT' : 'GET';
      t.is((await answerTo(ask(relay, method, path, as(letter)).end())).status, status, `${letter} ${path}`);
    }
  }
  t.is((await put(relay, 'anns', 'hello', as('a'))).status, 200);
  t.is((await get(relay, 'anns/stdout?follow=1', as('a'))).body.toString(), 'hello');
});

test('a body that is cut off leaves the unit waiting for its payload', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  await submitted(relay, 'u1', { upload: true });
  const socket = open(
    relay.url,
    requestBytes(relay.url, { method: 'PUT', path: '/work/u1/payload', headers: { 'Content-Length': '100', Expect: '100-continue' } }),
  );
  await once(socket, 'data');
  // While it arrives nobody else may send it.
  t.is((await put(relay, 'u1', 'other')).status, 409);
  socket.write('ten bytes.');
  socket.destroy();
  let again = await put(relay, 'u1', 'the whole payload');
  while (again.status === 409) again = await put(relay, 'u1', 'the whole payload');
  t.is(again.status, 200);
  t.is((await get(relay, 'u1/stdout?follow=1')).body.toString(), 'the whole payload');
  t.is((await ended(relay, 'u1')).state, 'succeeded');
});

test('an upload without progress ends with 408', async (t) => {
  const clock = new VirtualClock();
  const relay = await startRelay(t, { work: PROGRAMS, requestTimeoutMs: LIMIT_MS }, { clock });
  await submitted(relay, 'stuck', { upload: true });
  const stuck = ask(relay, 'PUT', 'stuck/payload', { 'content-length': '100' });
  stuck.write('slow');
  // The relay waits for what was written, and then for the rest.
  await clock.set.until((ms) => ms === LIMIT_MS, 2);
  clock.advance(LIMIT_MS);
  t.is((await answerTo(stuck)).status, 408);
});

test('an upload may take as long as it makes progress', async (t) => {
  const clock = new VirtualClock();
  const body = Object.assign(new PassThrough(), { socket: {} });
  const chunks = arriving(body as unknown as IncomingMessage, 1_000, clock);
  const piece = Buffer.alloc(70_000, 'x');
  for (let sent = 0; sent < 6; sent++) {
    const next = chunks.next();
    clock.advance(900);
    body.write(piece);
    t.is((await next).value?.length, piece.length);
  }
  const late = t.throwsAsync(chunks.next(), { code: 'TIMEOUT' });
  clock.advance(1_000);
  await late;
});

test('what a unit puts out can be followed until it ends, and a snapshot taken meanwhile', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  const file = join(temporaryDir(t), 'go');
  const following = ask(relay, 'GET', 'u1/stdout?follow=1');
  await submitted(relay, 'u1', { type: 'shell.wait', params: { file } });
  const [answer] = (await once(following.end(), 'response')) as [IncomingMessage];
  const [first] = (await once(answer, 'data')) as [Buffer];
  t.is(first.toString(), 'one\n');
  const snapshot = await get(relay, 'u1/stdout', { range: 'bytes=1-' });
  t.deepEqual([snapshot.status, snapshot.headers['content-range'], snapshot.headers['co2-work-state']], [206, 'bytes 1-3/*', 'running']);
  t.is((await get(relay, 'u1/results')).status, 404, 'a program has stdout and stderr');
  writeFileSync(file, '');
  const rest = (await answer.toArray()) as Buffer[];
  t.is(Buffer.concat(rest).toString(), 'two\n');
  t.is((await ended(relay, 'u1')).exit_code, 3);
});

test('events are the states and the results of a unit, and are resumed where they ended', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  const file = join(temporaryDir(t), 'go');
  await submitted(relay, 'u1', { type: 'shell.wait', params: { file } });
  const [answer] = (await once(ask(relay, 'GET', 'u1/events').end(), 'response')) as [IncomingMessage];
  t.is(answer.headers['content-type'], 'text/event-stream; charset=utf-8');
  let text = '';
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.includes('id: 4\n')) writeFileSync(file, '');
  }
  const events = text.split('\n\n').filter((event) => event !== '' && event !== ':');
  const states = events
    .filter((event) => event.startsWith('event: state\n'))
    .map((event) => (JSON.parse(event.split('data: ')[1]!) as Struct).state);
  t.deepEqual(
    [...new Set(states)].filter((state) => state !== 'pending'),
    ['running', 'failed'],
  );
  const resultsIn = (all: readonly string[]): readonly string[] => all.filter((event) => event.startsWith('event: result\n'));
  const two = 'event: result\nid: 8\ndata: {"$base64":"dHdvCg=="}';
  t.deepEqual(resultsIn(events), ['event: result\nid: 4\ndata: {"$base64":"b25lCg=="}', two]);
  t.regex(events.at(-1)!, /^event: state\nid: end\ndata: \{.*"state":"failed","reason":"it ended with code 3"/);

  const resumed = await get(relay, 'u1/events', { 'last-event-id': '4' });
  t.deepEqual(resultsIn(resumed.body.toString().split('\n\n')), [two]);
  t.is((await get(relay, 'u1/events', { 'last-event-id': 'end' })).status, 204);
  const errors = await get(relay, 'u1/events?stream=stderr');
  t.deepEqual(resultsIn(errors.body.toString().split('\n\n')), []);
  const bad: readonly (readonly [path: string, headers: Record<string, string>, status: number])[] = [
    ['u1/events', { 'last-event-id': 'x' }, 400],
    ['u1/events?stream=other', {}, 404],
    ['u1/events?from=3', {}, 400],
    ['u1/stdout?follow=yes', {}, 400],
    ['u1/stdout?offset=-1', {}, 400],
    ['u1/stdout?offset=9', {}, 416],
    ['u1/stdout?follow=1&follow=1', {}, 400],
    ['u2/events', {}, 404],
  ];
  for (const [path, headers, status] of bad) t.is((await get(relay, path, headers)).status, status, path);
});

test('a stop of the relay ends readers, and what they got does not look complete', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  await submitted(relay, 'u1', { type: 'shell.wait', params: { file: '/nonexistent' } });
  const [answer] = (await once(ask(relay, 'GET', 'u1/stdout?follow=1').end(), 'response')) as [IncomingMessage];
  await once(answer, 'data');
  const cut = once(answer, 'error');
  await relay.stop();
  await cut;
  t.false(answer.complete);
});

test('a reader that stops reading is cut off', async (t) => {
  const clock = new VirtualClock();
  const relay = await startRelay(t, { work: PROGRAMS, requestTimeoutMs: LIMIT_MS }, { clock });
  await submitted(relay, 'u1', { upload: true });
  t.is((await put(relay, 'u1', Buffer.alloc(30 * 1024 * 1024))).status, 200);
  await ended(relay, 'u1');
  const [answer] = (await once(ask(relay, 'GET', 'u1/stdout').end(), 'response')) as [IncomingMessage];
  answer.pause();
  const cut = once(answer, 'error');
  const warnings = (): readonly string[] => relay.log.matching(/did not read \d+ bytes of responses in 25000 ms/);
  // The system takes some pieces for a reader that has stopped, and it is not known which one is the last.
  while (warnings().length === 0) {
    clock.advance(LIMIT_MS);
    await nextTurn();
  }
  answer.resume();
  await cut;
  t.false(answer.complete);
});

(process.platform === 'linux' ? test : test.skip)('a command that follows a unit has closed the payload that was not needed', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS });
  const cwd = temporaryDir(t);
  writeFileSync(join(cwd, 'large.txt'), Buffer.alloc(30_000_000));
  const submit = ['work', 'submit', 'shell.wait', `file=${join(cwd, 'end')}`, '--id', 'u1', '--payload', 'large.txt', '--url', relay.url];
  t.is((await runCo2(t, { args: submit, cwd }).exit).code, 0);
  const again = runCo2(t, { args: [...submit, '--follow'], cwd });
  await again.stdout.line(/one/);
  const files = `/proc/${again.pid}/fd`;
  const isOpen = () => readdirSync(files).some((name) => readlinkSync(join(files, name)).endsWith('large.txt'));
  t.false(isOpen());
  writeFileSync(join(cwd, 'end'), '');
  t.is((await again.exit).code, 3);
});

test('the command uploads a payload that is too large for a call, and prints as much', async (t) => {
  const relay = await startRelay(t, { work: PROGRAMS, workLimits: { maxBytes: 40_000_000 } });
  const cwd = temporaryDir(t);
  const lines = Array.from({ length: 500_000 }, (_, index) => `line ${index}`);
  const text = `${lines.join('\n')}\n`;
  writeFileSync(join(cwd, 'lines.txt'), text);
  const co2 = (...args: readonly string[]) => runCo2(t, { args: ['work', ...args, '--url', relay.url], cwd, input: text }).exit;
  const fromFile = await co2('submit', 'shell.cat', '--payload', 'lines.txt', '--id', 'file', '--follow');
  t.deepEqual([fromFile.code, fromFile.stderr], [0, []]);
  t.deepEqual(fromFile.stdout, lines);
  const fromInput = await co2('submit', 'shell.cat', '--payload', '-', '--id', 'input');
  t.deepEqual([fromInput.code, fromInput.stdout], [0, ['input']]);
  t.is((await ended(relay, 'input')).state, 'succeeded');
  const tail = await co2('results', 'input', '--offset', String(text.length - 12));
  t.deepEqual(tail.stdout, ['line 499999']);
  t.like(await relay.call('work.status', 'input'), { payload_bytes: text.length });
  const units = (await relay.call('work.list')) as readonly Struct[];
  writeFileSync(join(cwd, 'huge.txt'), Buffer.alloc(41_000_000));
  const refused = await co2('submit', 'shell.cat', '--payload', 'huge.txt');
  t.is(refused.code, 1);
  t.regex(refused.stderr.join('\n'), /workLimits\.maxBytes/);
  t.is(((await relay.call('work.list')) as readonly Struct[]).length, units.length, 'the unit without a payload is gone');
});

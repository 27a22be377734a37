/** Delivery: in order, one at a time, bounded, and independent of other satellites. */
import test from 'ava';
import { freezeDict, dictOf } from '../../src/values/values.ts';
import { ECHO, hostOf, messageOf, satelliteSource, started } from './kit.ts';

/** Holds each message until `open()` is called. */
const GATE = satelliteSource(
  'Gate',
  `  #open: (() => void) | undefined;
  async receive(dict: Dict, context: Context) {
    context.signal.addEventListener('abort', () => { this.log('aborted'); void this.send({ data: ['aborted', dict.data, (context.signal.reason as Error).message] }).catch(() => undefined); });
    const opened = new Promise<void>((resolve) => { this.#open = resolve; });
    await this.send({ data: ['begins', dict.data] });
    await opened;
    await this.send({ data: ['ends', dict.data] });
  }
  @Exposed() open() { this.#open?.(); }`,
);

test('a message reaches every satellite but its sender, in order, after deliver has returned', async (t) => {
  const { host, sent } = await started(t, { 'ham/a.ts': ECHO, 'ham/b.ts': ECHO, 'ham/mute.ts': satelliteSource('Mute', '') });
  t.is(host.deliver(messageOf(1)), 2);
  t.is(host.deliver(messageOf(2), 'ham.a.Echo'), 1);
  t.is(host.deliver(messageOf(3), 'no.such.One'), 2);
  t.is(sent.all.length, 0, 'deliver only puts into the line');
  await sent.until(() => true, 5);
  const seenBy = (name: string): unknown[] =>
    sent.all.filter(({ satellite }) => satellite === name).map(({ data }) => (data as unknown[])[1]);
  t.deepEqual(seenBy('ham.a.Echo'), [1, 3]);
  t.deepEqual(seenBy('ham.b.Echo'), [1, 2, 3]);
});

test('the next message is delivered when the receive before it has ended', async (t) => {
  const { host, sent, call } = await started(t, { 'ham/gate.ts': GATE, 'ham/echo.ts': ECHO });
  for (const n of [1, 2]) host.deliver(messageOf(n));
  await sent.until(({ satellite }) => satellite === 'ham.echo.Echo', 2);
  const told = (): string[] =>
    sent.all.filter(({ satellite }) => satellite === 'ham.gate.Gate').map(({ data }) => (data as string[]).join(' '));
  t.deepEqual(told(), ['begins 1']);
  t.like(host.status().satellites[1], { name: 'ham.gate.Gate', waiting: 1, delivered: 0 });
  await call('ham.gate.open');
  await sent.until(({ data }) => (data as unknown[])[0] === 'begins', 2);
  t.deepEqual(told(), ['begins 1', 'ends 1', 'begins 2']);
});

test('a satellite that never returns, throws or changes its dict affects no other', async (t) => {
  const { host, sent, seen, lines } = await started(t, {
    'bad/hangs.ts': satelliteSource('Hangs', `  receive() { return new Promise<void>(() => undefined); }`),
    'bad/throws.ts': satelliteSource('Throws', `  receive(dict: Dict) {\n    throw new Error('cannot read ' + String(dict.data));\n  }`),
    'bad/rejects.ts': satelliteSource('Rejects', `  async receive() { throw 'a text\\nof two lines'; }`),
    'bad/thenable.ts': satelliteSource('Thenable', `  receive(): never { return { then() { throw new Error('bad then'); } } as never; }`),
    'bad/meddles.ts': satelliteSource(
      'Meddles',
      `  receive(dict: Dict, context: Context) { (dict as Record<string, unknown>).data = 'mine'; }`,
    ),
    'good/echo.ts': ECHO,
  });
  for (const n of [1, 2]) host.deliver(messageOf(n, { id: `id\n${n}` }));
  await sent.until(() => true, 2);
  await seen.event('inbox.failed', {}, 8);
  await seen.event('inbox.delivered', { satellite: 'good.echo.Echo' }, 2);
  t.deepEqual(
    sent.all.map(({ data }) => (data as unknown[])[1]),
    [1, 2],
  );
  const { satellites } = host.status();
  t.deepEqual(Object.fromEntries(satellites.map(({ name, delivered, failed, waiting }) => [name, [delivered, failed, waiting]])), {
    'bad.hangs.Hangs': [0, 0, 1],
    'bad.meddles.Meddles': [0, 2, 0],
    'bad.rejects.Rejects': [0, 2, 0],
    'bad.thenable.Thenable': [0, 2, 0],
    'bad.throws.Throws': [0, 2, 0],
    'good.echo.Echo': [2, 0, 0],
  });
  t.true(
    lines.all.includes('error plugin.bad.throws: delivery of id\ufffd1 to bad.throws.Throws failed: cannot read 1 (bad/throws.ts:7:11)'),
  );
  t.true(lines.all.includes('error plugin.bad.rejects: delivery of id\ufffd2 to bad.rejects.Rejects failed: a text'));
});

test('bytes and dates are each satellite’s own copies, the rest is shared and frozen', async (t) => {
  const source = satelliteSource(
    'Spoils',
    `  async receive(dict: Dict) {
    const { bytes, date, list } = dict as unknown as { bytes: Buffer; date: Date; list: number[] };
    let frozen = false;
    try { list.push(1); } catch { frozen = true; }
    const seen = [bytes.toString(), date.getTime(), frozen];
    bytes.fill(0);
    date.setTime(99);
    await this.send({ data: seen });
  }`,
  );
  const { host, sent } = await started(t, { 'ham/a.ts': source, 'ham/b.ts': source });
  const frozen = freezeDict(
    dictOf([
      ['bytes', Buffer.from('ham')],
      ['date', new Date(5)],
      ['list', [0]],
    ]),
  );
  host.deliver(messageOf(null, { frozen: () => frozen }));
  const [a, b] = await sent.until(() => true, 2);
  t.deepEqual(a.data, ['ham', 5, true]);
  t.deepEqual(b?.data, ['ham', 5, true]);
});

test('the context has id, hops, age and verdict, and makes its signal on demand', async (t) => {
  const source = satelliteSource(
    'Looks',
    `  async receive(dict: Dict, context: Context) {
    const { id, hops, ageMs, redelivered, verdict } = context;
    await this.send({ data: [id, hops, ageMs, redelivered, verdict, context.signal.aborted, context.signal === context.signal] });
  }`,
  );
  const { host, sent, clock } = await started(t, { 'ham/spam.ts': source });
  clock.advance(100);
  host.deliver(messageOf(1, { id: 'x', hopsLeft: 13, ageMs: 7, arrivedAt: 60, verdict: 'attested' }));
  const [told] = await sent.until(() => true);
  t.deepEqual(told.data, ['x', 3, 47, false, 'attested', false, true]);
});

test('a receive that exceeds its time limit is aborted and counted, and the next message is delivered', async (t) => {
  const { host, sent, seen, clock, call } = await started(t, { 'ham/gate.ts': GATE });
  for (const n of [1, 2]) host.deliver(messageOf(n, { id: `m${n}` }));
  await sent.until(({ data }) => (data as unknown[])[0] === 'begins');
  clock.advance(59_999);
  t.is(sent.all.length, 1);
  clock.advance(1);
  await sent.until(({ data }) => (data as unknown[]).join(' ') === 'begins 2');
  t.regex(String((sent.all[1]?.data as unknown[])[2]), /took longer than 60000 ms/);
  t.is(seen.matching('inbox.failed', { satellite: 'ham.gate.Gate', id: 'm1', reason: /it took longer than 60000 ms/ }).length, 1);
  await call('ham.gate.open');
  await sent.until(({ data }) => (data as unknown[]).join(' ') === 'ends 2');
  await seen.event('inbox.delivered', { satellite: 'ham.gate.Gate', id: 'm2' });
  t.like(host.status().satellites[0], { delivered: 1, failed: 1, waiting: 0 });
  // The last beat of the watchdog.
  clock.advance(50);
  t.is(clock.pending, 0);
});

test('a full inbox drops the oldest messages, counts them, and logs the flood in two lines', async (t) => {
  const inbox = { maxMessages: 3, maxBytes: 10_000, overflow: 'drop-oldest' } as const;
  const { host, sent, lines, call } = await started(t, { 'ham/gate.ts': GATE }, { inbox });
  host.deliver(messageOf(0));
  await sent.until(() => true);
  for (let n = 1; n <= 10; n++) host.deliver(messageOf(n));
  t.like(host.status().satellites[0], { waiting: 3, dropped: 7 });
  for (const n of [0, 8, 9, 10]) {
    await sent.until(({ data }) => (data as unknown[]).join(' ') === `begins ${n}`);
    await call('ham.gate.open');
  }
  await sent.until(({ data }) => (data as unknown[]).join(' ') === 'ends 10');
  const warnings = lines.all.filter((line) => line.startsWith('warn '));
  t.is(warnings.length, 2);
  t.regex(warnings[0] ?? '', /queue of ham\.gate\.Gate is full/);
  t.regex(warnings[1] ?? '', /7 messages were dropped/);
});

test('the inbox is bounded in bytes too, and always accepts one message', async (t) => {
  // A message is charged 768 bytes besides those of its dict.
  const inbox = { maxMessages: 100, maxBytes: 3 * 768 + 100, overflow: 'drop-oldest' } as const;
  const { host, sent } = await started(t, { 'ham/gate.ts': GATE }, { inbox });
  const sized = (size: number): number => host.deliver(messageOf(size, { source: 'x'.repeat(size) }));
  sized(1);
  await sent.until(() => true);
  const line = (): object => host.status().satellites[0] ?? {};
  for (const size of [40, 40, 20]) sized(size);
  t.like(line(), { waiting: 3, dropped: 0 });
  sized(30);
  t.like(line(), { waiting: 3, dropped: 1 });
  sized(5000);
  t.like(line(), { waiting: 1, dropped: 4 });
  sized(1);
  t.like(line(), { waiting: 1, dropped: 5 });
});

test('a flood of messages lets I/O have its turn', async (t) => {
  const source = satelliteSource('Counts', `  #n = 0; receive() { this.#n++; }\n  @Exposed() n() { return this.#n; }`);
  const inbox = { maxMessages: 10_000, maxBytes: 1e9, overflow: 'drop-oldest' } as const;
  const { host, call } = await started(t, { 'ham/a.ts': source, 'ham/b.ts': source }, { inbox });
  for (let n = 0; n < 2000; n++) host.deliver(messageOf(n));
  await new Promise(setImmediate);
  t.is(await call('ham.a.n'), 500, 'a turn is a thousand calls, shared');
  t.is(await call('ham.b.n'), 500);
});

test('messages that arrive during the start wait for the setup of the satellite', async (t) => {
  const source = ECHO.replace(
    'async receive',
    `setup() { return new Promise<void>((resolve) => { (globalThis as Record<string, unknown>).co2TestGo = resolve; }); }\n  async receive`,
  );
  const { host, start, sent, settingUp } = await hostOf(t, { 'a/echo.ts': ECHO, 'b/slow.ts': source });
  const starting = start();
  await settingUp('b.slow.Echo');
  t.is(host.deliver(messageOf('early')), 2);
  await sent.until(({ satellite }) => satellite === 'a.echo.Echo');
  t.is(sent.all.length, 1);
  (globalThis as unknown as { co2TestGo: () => void }).co2TestGo();
  await starting;
  await sent.until(({ satellite }) => satellite === 'b.slow.Echo');
  t.is(sent.all.length, 2);
});

test('a stop lets idle satellites receive the queued messages, aborts a receive that hangs, and leaves nothing open', async (t) => {
  const { host, sent, lines, clock } = await started(t, { 'ham/echo.ts': ECHO, 'ham/gate.ts': GATE });
  for (const n of [1, 2]) host.deliver(messageOf(n));
  await host.stop();
  const told = sent.all.map(({ satellite, data }) => `${satellite} ${(data as unknown[]).join(' ')}`);
  t.deepEqual(told, ['ham.echo.Echo ham.echo.Echo 1', 'ham.gate.Gate begins 1', 'ham.echo.Echo ham.echo.Echo 2']);
  t.true(lines.all.some((line) => line.includes('dropped 1 queued message: ham.gate.Gate: it was stopped')));
  t.true(lines.all.includes('info plugin.ham.gate: aborted'));
  t.is(host.deliver(messageOf(3)), 0);
  t.is(clock.pending, 0);
});

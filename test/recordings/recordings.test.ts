/** Recordings and commands through real relays: a plugin in the relay and in a child, and a program, killed in each state. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Double } from '../../src/values/values.ts';
import type { Value } from '../../src/values/values.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/programs/recorder.mjs', import.meta.url));

// It yields what its method `tell` is called with.
const PLUGIN = `import { Controller, Datasource, Exposed, Plugin, Satellite, type Frame } from 'co2-relay';
@Satellite()
export class Spam extends Plugin {
  private items: string[] = ['first'];
  private wake: (() => void) | undefined;
  /** Yields what it is told. */
  @Datasource({ timeoutMs: 60_000, maxTimeouts: 2, maxFrames: 5 })
  async *record(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.wake?.());
    while (!signal.aborted) {
      const item = this.items.shift();
      if (item === 'throw') throw new Error('the sensor is wet');
      if (item === 'end') return;
      if (item === 'odd') yield { type: 'no type', payload: '' };
      if (item !== undefined) yield { type: 'text/plain', payload: item };
      else await new Promise<void>((resolve) => { this.wake = resolve; });
    }
  }
  /** Echoes a text word by word, and then waits if it has to. */
  @Controller()
  async *command({ source, type, payload }: Frame, signal: AbortSignal) {
    for (const word of payload.toString().split(' ')) {
      if (word === 'throw') throw new Error('the motor is stuck');
      if (word === 'exit') process.exit(7);
      if (word === 'wait') await new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield { source, type, payload: word, timestamp: 1_700_000_000_123 };
    }
  }
  @Exposed() tell(...items: string[]) { this.items.push(...items); this.wake?.(); return process.pid; }
}`;

type Struct = Readonly<Record<string, Value>>;
interface Page extends Struct {
  readonly frames: readonly { readonly source: string; readonly type: string; readonly timestamp: number; readonly payload: Buffer }[];
  readonly next: string;
}

const textsOf = ({ frames }: Page): readonly string[] => frames.map(({ payload }) => payload.toString());

// Without a connection, on which other calls would wait.
const subscribe = async (relay: TestRelay, from = 'first', name = 'ham.spam'): Promise<Page> =>
  (await relay.callDirectly('recording.subscribe', { name, from, waitMs: 30_000 })) as Page;

// A plugin that ended is down for half a second.
const started = (t: ExecutionContext, isolation: 'inline' | 'child'): Promise<TestRelay> =>
  startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }), isolation: { 'ham.spam': isolation } }, { random: () => 0.99 });

for (const isolation of ['inline', 'child'] as const) {
  test(`${isolation}: frames reach all subscribers from the first one on, with what was omitted filled in`, async (t) => {
    t.timeout(60_000);
    const relay = await started(t, isolation);
    const [about] = (await relay.call('recording.list')) as readonly Struct[];
    t.like(about, { name: 'ham.spam:record', help: 'Yields what it is told.', is_offered: true, state: 'idle', frames: 0 });
    const before = Date.now();
    const early = subscribe(relay);
    t.like(await relay.call('recording.start', 'ham.spam'), { state: 'recording' });
    let page = await early;
    if (page.frames.length === 0) page = await subscribe(relay, page.next);
    const [frame] = page.frames;
    t.like(frame, { source: 'ham.spam:record', type: 'text/plain', payload: Buffer.from('first') });
    t.true((frame?.timestamp ?? 0) >= before && (frame?.timestamp ?? 0) <= Date.now());
    t.deepEqual(textsOf(await subscribe(relay)), ['first']);
    await relay.call('ham.spam.tell', 'second');
    t.deepEqual(textsOf(await subscribe(relay, page.next)), ['second']);
    t.like(await relay.call('recording.get', 'ham.spam:record'), { frames: 2, bytes: 11, latest: [{ payload: Buffer.from('second') }] });
    await relay.call('recording.stop', 'ham.spam');
    await relay.call('ham.spam.tell', 'lost?');
    const last = await subscribe(relay);
    t.deepEqual([textsOf(last), last.state], [['first', 'second'], 'idle']);
    await relay.call('recording.start', { name: 'ham.spam' });
    t.deepEqual(textsOf(await subscribe(relay, last.next)), ['lost?']);
    await relay.call('ham.spam.tell', 'end');
    t.is((await relay.seen.event('recording.state', { state: 'idle' }, 2)).reason, '');
  });

  test(`${isolation}: an error is a reason with its place, and it is started again`, async (t) => {
    t.timeout(60_000);
    const relay = await started(t, isolation);
    await relay.call('recording.start', 'ham.spam');
    await relay.call('ham.spam.tell', 'throw');
    await relay.seen.event('recording.state', { state: 'backoff', reason: /the sensor is wet/ });
    await relay.seen.event('recording.state', { state: 'recording' }, 2);
    await relay.call('ham.spam.tell', 'odd');
    const { reason } = await relay.seen.event('recording.state', { state: 'backoff', reason: /the type of a frame/ });
    t.regex(reason, /^ham\.spam:record: the type of a frame must be a media type such as 'application\/json'/);
  });

  test(`${isolation}: a reload goes on with the new version, and loses no subscriber`, async (t) => {
    t.timeout(60_000);
    const relay = await started(t, isolation);
    await relay.call('recording.start', 'ham.spam');
    const page = await subscribe(relay);
    await relay.callDirectly('plugin.reload', 'ham.spam');
    const rest = page.frames.length === 0 ? await subscribe(relay, page.next) : page;
    t.deepEqual(textsOf(rest), ['first']);
    t.deepEqual(textsOf(await subscribe(relay, rest.next)), ['first']);
    t.like(await relay.call('recording.get', 'ham.spam'), { state: 'recording' });
    await relay.callDirectly('plugin.stop', 'ham.spam');
    await relay.seen.event('recording.state', { state: 'backoff' });
    await relay.callDirectly('plugin.start', 'ham.spam');
    await relay.seen.event('recording.state', { state: 'recording' }, 2);
  });

  test(`${isolation}: a command streams frames to its caller, fails with the reason, and can be canceled`, async (t) => {
    t.timeout(60_000);
    const relay = await started(t, isolation);
    const send = async (text: string): Promise<Page> =>
      (await relay.call('recording.command', 'ham.spam', { type: 'text/x-words', payload: text, source: 'me' })) as Page;
    const drain = async (page: Page): Promise<Page> => {
      const all = [...page.frames];
      let now = page;
      while (now.ended !== true) {
        now = (await relay.call('recording.frames', { command: now.command ?? '', next: now.next, waitMs: 5_000 })) as Page;
        all.push(...now.frames);
      }
      return { ...now, frames: all };
    };
    const done = await drain(await send('one two'));
    t.deepEqual([textsOf(done), done.state], [['one', 'two'], 'succeeded']);
    t.like(done.frames[0], { source: 'me', type: 'text/x-words', timestamp: 1_700_000_000_123 });
    const many = await Promise.all(Array.from({ length: 20 }, async (_, index) => drain(await send(`a${index} b${index} c${index}`))));
    t.deepEqual(
      many.map(textsOf),
      many.map((_, index) => [`a${index}`, `b${index}`, `c${index}`]),
    );
    const failed = await drain(await send('one throw'));
    t.deepEqual([textsOf(failed), failed.state], [['one'], 'failed']);
    t.regex(failed.reason as string, /the motor is stuck/);
    const waiting = await send('one wait');
    t.true(await relay.call('recording.cancel', waiting.command ?? ''));
    t.is((await drain(waiting)).state, 'canceled');
    await t.throwsAsync(relay.call('recording.command', 'ham.spam', { type: 5, payload: '' }), { message: /media type/ });
    await t.throwsAsync(relay.call('recording.command', 'ham.spam'), { message: /takes the name of a controller and a frame/ });
  });
}

test('a killed child is noticed in each state, and the recording goes on with the next process', async (t) => {
  t.timeout(100_000);
  const relay = await started(t, 'child');
  const kill = async (count: number): Promise<void> => {
    const pid = (await relay.call('ham.spam.tell')) as number;
    process.kill(pid, 'SIGKILL');
    await relay.seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'backoff' } }, count);
  };
  const ready = (count: number) => relay.seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'ready' } }, count);
  // Idle.
  await kill(1);
  // Both at once, while its plugin is down.
  const [idle, waiting] = [relay.callDirectly('recording.get', 'ham.spam'), relay.callDirectly('recording.start', 'ham.spam')];
  t.like(await idle, { state: 'idle' });
  // The answer comes once it is stored that the recording goes on, and tells what is true by then.
  await relay.seen.event('recording.state', { recording: 'ham.spam:record', state: 'backoff', reason: /does not run/ });
  t.like(await waiting, { name: 'ham.spam:record', restarts: 0 });
  await ready(2);
  let page = await subscribe(relay);
  t.deepEqual(textsOf(page), ['first']);
  // Recording.
  await kill(2);
  await relay.seen.event('recording.state', { state: 'backoff', reason: /SIGKILL/ });
  page = await subscribe(relay, page.next);
  while (page.frames.length === 0) page = await subscribe(relay, page.next);
  t.deepEqual(textsOf(page), ['first']);
  t.like(await relay.call('recording.get', 'ham.spam'), { state: 'recording', restarts: 1 });
  // Waiting to be started again after an error of its own.
  await relay.call('ham.spam.tell', 'throw');
  await relay.seen.event('recording.state', { state: 'backoff', reason: /wet/ });
  const commanding = relay.call('recording.command', 'ham.spam', { type: 'text/plain', payload: 'exit' }) as Promise<Struct>;
  const { state, reason } = await commanding;
  t.is(state, 'failed');
  // The pipe ends before the process, or the other way round.
  t.regex(reason as string, /ended|does not run any more/);
  await ready(4);
  page = await subscribe(relay, page.next);
  while (page.frames.length === 0) page = await subscribe(relay, page.next);
  t.deepEqual(textsOf(page), ['first']);
});

test('commands whose callers do not read hold up nothing else of a child', async (t) => {
  t.timeout(60_000);
  const plugin = `import { Controller, Datasource, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Spam extends Plugin {
  /** Never ends by itself. */
  @Controller()
  async *command() { for (let number = 0; ; number++) yield { type: 'text/plain', payload: String(number) }; }
  @Datasource()
  async *record(signal: AbortSignal) {
    yield { type: 'text/plain', payload: 'on time' };
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }
}`;
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': plugin }), isolation: { 'ham.spam': 'child' } });
  const frame = { type: 'text/plain', payload: 'go' };
  const ids: Value[] = [];
  for (let count = 0; count < 70; count++) {
    const { command } = (await relay.call('recording.command', 'ham.spam', frame)) as Struct;
    ids.push(command ?? '');
  }
  await relay.call('recording.start', 'ham.spam');
  let page = await subscribe(relay);
  if (page.frames.length === 0) page = await subscribe(relay, page.next);
  t.deepEqual(textsOf(page), ['on time']);
  // They did not have to be given up first.
  for (const command of ids) t.like(await relay.call('recording.frames', { command, limit: 1 }), { state: 'running' });
});

test('a program records and is commanded, and is killed', async (t) => {
  t.timeout(60_000);
  const programs = [{ name: 'lab.counter', exec: process.execPath, args: [PROGRAM] }];
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, {}), programs, recordings: { 'lab.counter:record': { start: true } } });
  let page = await subscribe(relay, 'first', 'lab.counter');
  while (page.frames.length === 0) page = await subscribe(relay, page.next, 'lab.counter');
  const [, pid = '', number = ''] = /^(\d+) (\d+)$/.exec(textsOf(page)[0] ?? '') ?? [];
  t.is(number, '0');
  process.kill(Number(pid), 'SIGKILL');
  await relay.seen.event('recording.state', { state: 'backoff', reason: /SIGKILL/ });
  await relay.seen.event('recording.state', { state: 'recording' }, 2);
  while (textsOf(page).every((text) => text.startsWith(`${pid} `))) page = await subscribe(relay, page.next, 'lab.counter');
  const answers = (await Promise.all(
    ['one two', 'three four'].map((payload) => relay.call('recording.command', 'lab.counter', { type: 'text/plain', payload })),
  )) as unknown as readonly Page[];
  for (const [index, words] of [
    ['ONE', 'TWO'],
    ['THREE', 'FOUR'],
  ].entries()) {
    const all = [...textsOf(answers[index]!)];
    for (let now = answers[index]!; now.ended !== true;) {
      now = (await relay.call('recording.frames', { command: now.command ?? '', next: now.next, waitMs: 5_000 })) as Page;
      all.push(...textsOf(now));
    }
    t.deepEqual(all, words);
  }
  t.like(await relay.call('recording.stop', 'lab.counter'), { state: 'idle' });
});

test('a datasource that yields without waiting lets the relay answer', async (t) => {
  const source = PLUGIN.replace(
    'async *record(signal: AbortSignal) {',
    "async *record(signal: AbortSignal) {\n    while (!signal.aborted) yield { type: 'text/plain', payload: 'x' };",
  );
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': source }) });
  await relay.call('recording.start', { name: 'ham.spam', store: false });
  for (let call = 0; call < 20; call++) t.true(await relay.call('ping'));
  const { frames } = (await relay.call('recording.stop', 'ham.spam')) as Struct;
  t.true((frames as number) > 100);
});

test('wrong parameters and names are refused with what is right', async (t) => {
  const relay = await started(t, 'inline');
  const wrong: readonly (readonly [string, Value[], RegExp])[] = [
    ['recording.start', [], /needs the member name/],
    ['recording.start', [{ name: 'ham.spam', fil: 'x' }], /has no member 'fil'; its members are name, dicts, file, store/],
    ['recording.start', [{ name: 'ham.spam', file: '../x' }], /cannot be written/],
    ['recording.start', ['ham.span'], /there is no datasource 'ham\.span'; did you mean "ham\.spam"/],
    ['recording.subscribe', [{ name: 'ham.spam', from: 'yesterday' }], /is not a cursor; begin with 'first' or 'now'/],
    ['recording.subscribe', [{ name: 'ham.spam', waitMs: 60_001 }], /waitMs must be/],
    ['recording.subscribe', [{ name: 'ham.spam', limit: 0 }], /limit must be/],
    ['recording.replay', [{ name: 'ham.spam', speed: -1 }], /speed must be/],
    ['recording.replay', [{ name: 'ham.spam', since: 'noon' }], /since must be ms since 1970, or a date/],
    ['recording.frames', [{ command: 'x' }], /there is no command 'x' of yours/],
    ['recording.command', ['ham.eggs', { type: 'text/plain', payload: '' }], /there is no controller 'ham\.eggs'/],
    ['recording.command', ['ham.spam', { type: 'text/plain', payload: 5 }], /payload of a frame must be bytes or a text/],
  ];
  for (const [method, params, message] of wrong)
    await t.throwsAsync(relay.call(method, ...params), { message }, `${method} ${message.source}`);
  t.deepEqual((await relay.call('recording.replay', { name: 'ham.spam' })) as object, { frames: [], next: '0_0', ended: true });
  await relay.call('recording.command', 'ham.spam', { type: 'text/plain', payload: '', timestamp: new Double(5) });
});

/** Reads server-sent events until `isEnd`. */
async function eventsOf(url: string, isEnd: (text: string) => boolean, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(url, { headers });
  let text = '';
  for await (const chunk of answer.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    if (isEnd(text)) break;
  }
  return text;
}

test('frames come as server-sent events, which resume, and stored ones are replayed as such', async (t) => {
  const relay = await started(t, 'inline');
  const at = (path: string): string => `${relay.url}/recordings/${path}`;
  const live = eventsOf(at('ham.spam:record/events'), (text) => text.includes('"payload":"second"'));
  await relay.call('recording.start', { name: 'ham.spam', store: true });
  await relay.call('ham.spam.tell', 'second');
  const text = await live;
  t.regex(text, /event: state\ndata: \{"recording":"ham\.spam:record","state":"recording","reason":""\}\n\n/);
  t.regex(
    text,
    /event: frame\nid: (\w+)\ndata: \{"source":"ham\.spam:record","type":"text\/plain","timestamp":\d+,"payload":"first"\}\n\n/,
  );
  const [, id = ''] = /id: (\w+)/.exec(text) ?? [];
  const resumed = await eventsOf(at('ham.spam:record/events'), (got) => got.includes('"payload":"second"'), { 'last-event-id': id });
  t.false(resumed.includes('"first"'));
  await relay.call('recording.stop', 'ham.spam');
  const replayed = await eventsOf(at('ham.spam:record/replay?speed=0'), () => false);
  t.deepEqual(
    [...replayed.matchAll(/"payload":"(\w+)"/g)].map(([, word]) => word),
    ['first', 'second'],
  );
  t.true(replayed.endsWith('event: end\nid: end\ndata: {}\n\n'));
  t.is((await fetch(at('ham.spam:record/replay'), { headers: { 'last-event-id': 'end' } })).status, 204);
  const wrong: readonly (readonly [string, number])[] = [
    ['ham.none:record/events', 404],
    ['ham.spam:record/events?from=noon', 400],
    ['ham.spam:record/events?to=1', 400],
    ['ham.spam:record/replay?speed=-1', 400],
  ];
  for (const [path, status] of wrong) t.is((await fetch(at(path))).status, status, path);
  t.is((await fetch(at('ham.spam:record/events'), { method: 'POST' })).status, 405);
});

/** Recordings and commands on a virtual clock, with a store whose power can fail, and datasources that the tests control. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { RelayError, SILENT } from '../../src/core/core.ts';
import { EventStream } from '../../src/events/events.ts';
import { PluginEnded } from '../../src/plugin-host/plugin-host.ts';
import type { Frame, HostedController, HostedDatasource } from '../../src/plugin-host/plugin-host.ts';
import { Commands, Recorder, recordingDefaults } from '../../src/recordings/recordings.ts';
import type { RecordingLimits, RecordingSettings } from '../../src/recordings/recordings.ts';
import type { RecordingEvent } from '../../src/relay/relay.ts';
import { MemoryDisk, openStore, storeDefaults } from '../../src/store/store.ts';
import type { Sendable } from '../../src/values/values.ts';
import { Gate } from '../support/gate.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const NAME = 'ham.spam:record';
const EPOCH = 1_700_000_000_000;

/** A datasource whose frames the test pushes. */
class Sensor {
  readonly runs = new Gate<number>();
  readiness: HostedDatasource['readiness'] = 'ready';
  #items: (Frame | Error | undefined)[] = [];
  #wake = (): void => undefined;

  constructor(private readonly options: Partial<HostedDatasource> = {}) {}

  /** A frame, the error that it throws, or its end. */
  push(item: Frame | Error | undefined): void {
    this.#items.push(item);
    this.#wake();
  }

  get hosted(): HostedDatasource {
    return {
      ...{ name: NAME, help: 'A sensor.', timeoutMs: undefined, maxTimeouts: 3, overflow: 'drop-oldest', maxFrames: 1_000, maxBytes: 1e6 },
      ...this.options,
      readiness: this.readiness,
      record: (signal) => this.#record(signal),
    };
  }

  async *#record(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    this.runs.push(this.runs.all.length + 1);
    signal.addEventListener('abort', () => {
      this.#wake();
    });
    for (;;) {
      signal.throwIfAborted();
      if (this.#items.length === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      const item = this.#items.shift();
      if (item instanceof Error) throw item;
      if (!item) return;
      yield item;
    }
  }
}

const frame = (text: string, timestamp = EPOCH, source = NAME): Frame => ({
  source,
  type: 'text/plain',
  timestamp,
  payload: Buffer.from(text),
});
const typed = (type: string, payload: Buffer | string): Frame => ({ source: NAME, type, timestamp: EPOCH, payload: Buffer.from(payload) });
const texts = (frames: readonly Frame[]): readonly string[] => frames.map(({ payload }) => payload.toString());

interface Kit {
  recorder: Recorder;
  readonly clock: VirtualClock;
  readonly states: Gate<string>;
  readonly directory: string;
  readonly sent: Gate<Sendable>;
  /** Ends the relay without a word, and starts it again on what the disk holds. */
  readonly crash: () => Promise<void>;
}

interface KitOptions {
  readonly sources?: readonly Sensor[];
  readonly settings?: Readonly<Record<string, RecordingSettings>>;
  readonly limits?: Partial<RecordingLimits>;
}

async function kitOf(t: ExecutionContext, { sources = [], settings = {}, limits = {} }: KitOptions = {}): Promise<Kit> {
  const directory = mkdtempSync(join(tmpdir(), 'co2-recordings-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  const clock = new VirtualClock();
  const disk = new MemoryDisk();
  const states = new Gate<string>();
  const sent = new Gate<Sendable>();
  const open = async (): Promise<Recorder> => {
    const events = new EventStream<RecordingEvent>({ clock });
    events.subscribe(({ state, reason }) => {
      states.push(reason === '' ? state : `${state}: ${reason}`);
    });
    const store = await openStore({ disk, options: storeDefaults.store, clock, report: () => undefined });
    const recorder = new Recorder({
      ...{ store, directory: join(directory, 'own'), clock, date: () => EPOCH + clock.now(), random: () => 0.5, events, log: SILENT },
      ...{ settings, limits: { ...recordingDefaults.recordingLimits, ...limits } },
      datasources: () => new Map(sources.map(({ hosted }) => [hosted.name, hosted])),
      send: async (_recording, dict) => {
        sent.push(dict);
      },
    });
    await recorder.start();
    return recorder;
  };
  const kit: Kit = {
    ...{ recorder: await open(), clock, states, directory, sent },
    crash: async () => {
      disk.crash();
      kit.recorder = await open();
    },
  };
  return kit;
}

/** The texts of the next frames from a cursor on, once there are some. */
async function next({ recorder }: Kit, from = 'first'): Promise<{ texts: readonly string[]; next: string; missed: number; state: string }> {
  const page = await recorder.page(NAME, { from, waitMs: 60_000 });
  return { texts: texts(page.frames), next: page.next, missed: page.missed, state: page.state.type };
}

test('several subscribers get each frame from the first one on, whenever they begin', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor] });
  const early = next(kit);
  t.like(kit.recorder.status('ham.spam'), { state: { type: 'idle' }, isOffered: true });
  await kit.recorder.startRecording('ham.spam', {});
  // The change of the state answers the one that waited.
  t.like(await early, { texts: [], state: 'recording' });
  const [first, second] = [next(kit, (await early).next), next(kit)];
  sensor.push(frame('one'));
  t.deepEqual([(await first).texts, (await second).texts], [['one'], ['one']]);
  sensor.push(frame('two'));
  t.deepEqual((await next(kit, (await first).next)).texts, ['two']);
  t.deepEqual((await next(kit)).texts, ['one', 'two']);
  t.deepEqual((await kit.recorder.page(NAME, { from: 'now' })).frames, []);
  await kit.recorder.stopRecording(NAME);
  t.like(await next(kit), { texts: ['one', 'two'], state: 'idle' });
  await kit.recorder.startRecording(NAME, {});
  sensor.push(frame('three'));
  t.deepEqual((await next(kit, (await kit.recorder.page(NAME, { from: 'first' })).next)).texts, ['three']);
  t.deepEqual(kit.states.all, ['recording', 'idle', 'recording']);
});

test('a slow subscriber misses the oldest frames, which are counted, and delays no other', async (t) => {
  const sensor = new Sensor({ maxFrames: 3 });
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  const start = (await kit.recorder.page(NAME, { from: 'now' })).next;
  let cursor = start;
  for (let number = 1; number <= 10; number++) {
    sensor.push(frame(String(number)));
    const page = await next(kit, cursor);
    t.deepEqual([page.texts, page.missed], [[String(number)], 0]);
    cursor = page.next;
  }
  t.like(await next(kit, start), { texts: ['8', '9', '10'], missed: 7 });
  t.is(kit.recorder.status(NAME).missed, 7);
});

test('with merge, a slow subscriber gets the newest frame of each source', async (t) => {
  const sensor = new Sensor({ overflow: 'merge' });
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  for (const text of ['a1', 'b1', 'a2', 'c1', 'a3']) sensor.push(frame(text, EPOCH, text[0]));
  while (kit.recorder.status(NAME).counters.frames < 5) await Promise.resolve();
  t.deepEqual((await next(kit)).texts, ['b1', 'c1', 'a3']);
});

test('late frames make it unresponsive, a frame resets the count, and too many timeouts in a row fail it', async (t) => {
  const sensor = new Sensor({ timeoutMs: 100, maxTimeouts: 3 });
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  kit.clock.advance(250);
  t.deepEqual(kit.recorder.status(NAME).state, { type: 'unresponsive', missed: 2 });
  sensor.push(frame('well again'));
  await kit.states.until((state) => state === 'recording', 2);
  kit.clock.advance(250);
  t.deepEqual(kit.recorder.status(NAME).state, { type: 'unresponsive', missed: 2 });
  t.is(kit.recorder.status(NAME).counters.timeouts, 4);
  kit.clock.advance(50);
  await kit.states.until((state) => state.startsWith('failed'));
  t.deepEqual(kit.states.all, [
    ...['recording', 'unresponsive', 'unresponsive', 'recording', 'unresponsive', 'unresponsive', 'unresponsive'],
    'failed: no frame came within 100 ms, 3 times in a row (maxTimeouts)',
  ]);
  kit.recorder.refresh();
  t.is(sensor.runs.all.length, 1);
  await kit.recorder.startRecording(NAME, {});
  t.is(kit.recorder.status(NAME).state.type, 'recording');
});

test('an error has it started again after a growing delay, and too many in a row fail it', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  for (let run = 1; run <= 6; run++) {
    await sensor.runs.first(run);
    sensor.push(frame(`frame ${run}`));
    sensor.push(new Error('the sensor is wet'));
    await kit.states.until((state) => /^(backoff|failed)/.test(state), run);
    const { state } = kit.recorder.status(NAME);
    if (run < 6)
      t.deepEqual(state, { type: 'backoff', attempt: run, until: kit.clock.now() + 250 * 2 ** (run - 1), reason: 'the sensor is wet' });
    kit.clock.advance(60_000);
  }
  t.regex(kit.states.all.at(-1) ?? '', /^failed: it was started 5 times and failed each time; the last time: the sensor is wet$/);
  t.is(sensor.runs.all.length, 6);
  t.deepEqual((await next(kit)).texts, ['frame 1', 'frame 2', 'frame 3', 'frame 4', 'frame 5', 'frame 6']);
});

test('errors are forgotten once it has recorded for a minute', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  for (let run = 1; run <= 12; run++) {
    await sensor.runs.first(run);
    kit.clock.advance(60_000);
    sensor.push(new Error('the sensor is wet'));
    await kit.states.until((state) => state.startsWith('backoff'), run);
    t.like(kit.recorder.status(NAME).state, { type: 'backoff', attempt: 1 });
    kit.clock.advance(1_000);
  }
});

test('the end of its plugin is no failure of the datasource: it goes on as soon as the plugin runs again', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor] });
  await kit.recorder.startRecording(NAME, {});
  for (let run = 1; run <= 10; run++) {
    await sensor.runs.first(run);
    sensor.readiness = 'down';
    sensor.push(new PluginEnded('ham.spam ended: it was ended by SIGKILL'));
    await kit.states.until((state) => state.startsWith('backoff'), run);
    t.like(kit.recorder.status(NAME).state, { type: 'backoff', until: undefined });
    sensor.readiness = 'ready';
    kit.recorder.refresh();
    t.is(kit.recorder.status(NAME).state.type, 'recording');
  }
  await sensor.runs.first(11);
  sensor.readiness = 'failed';
  sensor.push(new PluginEnded('ham.spam ended: it was ended by SIGKILL'));
  await kit.states.until((state) => state.startsWith('failed'));
  sensor.readiness = 'ready';
  kit.recorder.refresh();
  t.is(kit.recorder.status(NAME).state.type, 'recording');
  // It is replaced by a new version that is ready at once.
  await sensor.runs.first(12);
  sensor.push(new PluginEnded('ham.spam was stopped meanwhile'));
  await sensor.runs.first(13);
  t.is(kit.recorder.status(NAME).counters.restarts, 12);
});

test('a datasource that returns ends its recording, and a frame that is too large is its error', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor], limits: { maxFrameBytes: 10 } });
  await kit.recorder.startRecording(NAME, {});
  sensor.push(undefined);
  await kit.states.until((state) => state === 'idle');
  await kit.recorder.startRecording(NAME, {});
  sensor.push(frame('12345678901'));
  await kit.states.until((state) => state.startsWith('backoff: ham.spam:record: a frame has 11 bytes (recordingLimits.maxFrameBytes: 10)'));
  t.deepEqual((await kit.recorder.page(NAME, { from: 'first' })).frames, []);
});

test('what is started by hand or by config.ts is started again with the relay, and what is stopped is not', async (t) => {
  const [sensor, other] = [new Sensor(), new Sensor({ name: 'ham.eggs:record' })];
  const kit = await kitOf(t, {
    sources: [sensor, other],
    settings: { 'ham.eggs:record': { start: true }, 'ham.gone:record': { start: true } },
  });
  await kit.states.until((state) => state === 'recording');
  await kit.recorder.startRecording(NAME, {});
  const { next: cursor } = await kit.recorder.page(NAME, { from: 'now' });
  await kit.crash();
  await kit.states.until((state) => state === 'recording', 4);
  t.true((await kit.recorder.page(NAME, { from: cursor })).isReset);
  await kit.recorder.stopRecording(NAME);
  await kit.crash();
  await kit.states.until((state) => state === 'recording', 5);
  t.deepEqual(
    kit.recorder.list().map(({ name, state }) => `${name} ${state.type}`),
    ['ham.eggs:record recording', 'ham.gone:record backoff', 'ham.spam:record idle'],
  );
  await t.throwsAsync(kit.recorder.startRecording('ham.spma', {}), { message: /there is no datasource 'ham\.spma'/ });
});

test('frames go to the network as dicts, and to a file that is bounded', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor], limits: { maxFileBytes: 1024, keepFiles: 2 } });
  await kit.recorder.startRecording(NAME, { dicts: true, file: 'load.ndjson' });
  for (let number = 0; number < 100; number++) sensor.push(typed('application/json', `{"number":${number}}`));
  sensor.push(typed('image/png', Buffer.from([0, 255])));
  const [first] = await kit.sent.first(101);
  t.like(first, { data: { recording: NAME, frame: { source: NAME, payload: Buffer.from('{"number":0}') } } });
  await kit.recorder.stopRecording(NAME);
  const own = join(kit.directory, 'own');
  t.deepEqual(readdirSync(own).sort(), ['load.ndjson', 'load.ndjson.1', 'load.ndjson.2']);
  const lines = ['.2', '.1', ''].flatMap((end) =>
    readFileSync(join(own, `load.ndjson${end}`), 'utf8')
      .trimEnd()
      .split('\n'),
  );
  const read = lines.map((line) => JSON.parse(line) as { payload?: string; base64?: string });
  t.deepEqual(read.at(-1), { source: NAME, type: 'image/png', timestamp: EPOCH, base64: 'AP8=' } as object);
  t.is(read.at(-2)?.payload, '{"number":99}');
  for (const end of ['', '.1', '.2']) t.true(readFileSync(join(own, `load.ndjson${end}`)).length <= 1024);
});

test('a full file that cannot be renamed does not grow', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor], limits: { maxFileBytes: 1024, keepFiles: 1 } });
  const file = join(kit.directory, 'own', 'load.ndjson');
  mkdirSync(`${file}.1`, { recursive: true });
  await kit.recorder.startRecording(NAME, { dicts: true, file: 'load.ndjson' });
  for (let number = 0; number < 100; number++) sensor.push(frame(String(number)));
  await kit.sent.first(100);
  while ((kit.recorder.status(NAME).targets.file?.lost ?? 0) === 0) await new Promise(setImmediate);
  t.regex(kit.recorder.status(NAME).targets.file?.lastError ?? '', /its file is full and cannot be renamed/);
  await kit.recorder.stopRecording(NAME);
  t.true(readFileSync(file).length <= 1024);
});

test('files are written in the permitted directories only, and never through links', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor], limits: { directories: ['/permitted'] } });
  const outside = join(kit.directory, 'outside.ndjson');
  const wrong = [
    '../up.ndjson',
    'a/b.ndjson',
    'config.ts',
    '.ndjson',
    outside,
    '/permitted/../etc/x.ndjson',
    '/permittedx/a.ndjson',
    '/permitted/x.sh',
  ];
  for (const file of wrong)
    await t.throwsAsync(kit.recorder.startRecording(NAME, { file }), { message: /^the file '.*' cannot be written: / }, file);
  await t.throwsAsync(kit.recorder.startRecording(NAME, { file: '/permitted/none.ndjson' }), { message: /cannot be opened: / });
  t.is(kit.recorder.status(NAME).state.type, 'idle');
  await kit.recorder.startRecording(NAME, { file: 'a.ndjson' });
  await kit.recorder.stopRecording(NAME);
  writeFileSync(outside, 'mine\n');
  symlinkSync(outside, join(kit.directory, 'own', 'link.ndjson'));
  await t.throwsAsync(kit.recorder.startRecording(NAME, { file: 'link.ndjson' }), { message: /cannot be opened/ });
  t.is(readFileSync(outside, 'utf8'), 'mine\n');
  execFileSync('mkfifo', [join(kit.directory, 'own', 'pipe.ndjson')]);
  await t.throwsAsync(kit.recorder.startRecording(NAME, { file: 'pipe.ndjson' }), { message: /cannot be opened/ });
});

test('the number of files is bounded, whatever their names', async (t) => {
  const kit = await kitOf(t, { sources: [new Sensor()], limits: { maxFiles: 2 } });
  const record = async (file: string): Promise<void> => {
    await kit.recorder.startRecording(NAME, { file });
    await kit.recorder.stopRecording(NAME);
  };
  await record('a.ndjson');
  await record('b.ndjson');
  await t.throwsAsync(record('c.ndjson'), { message: /has 2 files of recordings already: .*maxFiles/, code: 'LIMIT' });
  await record('a.ndjson');
  t.deepEqual(readdirSync(join(kit.directory, 'own')).sort(), ['a.ndjson', 'b.ndjson']);
});

test('stored frames survive a crash, are replayed at their speed, and go by age and size', async (t) => {
  const sensor = new Sensor();
  const kit = await kitOf(t, { sources: [sensor], limits: { keepMs: 100_000, maxStoredBytes: 150_000 } });
  await kit.recorder.startRecording(NAME, { store: true });
  for (const [index, text] of ['one', 'two', 'three'].entries()) sensor.push(frame(text, EPOCH + kit.clock.now() + 1_000 * index));
  while (kit.recorder.status(NAME).targets.store?.written !== 3) await new Promise(setImmediate);
  kit.clock.advance(1_000);
  while (kit.recorder.status(NAME).kept.frames !== 3) await new Promise(setImmediate);
  await kit.crash();
  t.is(kit.recorder.status(NAME).kept.frames, 3);
  const all = await kit.recorder.replay(NAME, { speed: 0 });
  t.deepEqual([texts(all.frames), all.isEnd], [['one', 'two', 'three'], true]);
  const since = await kit.recorder.replay(NAME, { speed: 0, since: all.frames[1]?.timestamp ?? 0 });
  t.deepEqual(texts(since.frames), ['two', 'three']);
  const first = await kit.recorder.replay(NAME, { speed: 2 });
  t.deepEqual([texts(first.frames), first.isEnd], [['one'], false]);
  const waiting = kit.recorder.replay(NAME, { speed: 2, cursor: first.next, waitMs: 10_000 });
  await kit.clock.set.until((ms) => ms === 500);
  kit.clock.advance(500);
  const second = await waiting;
  t.deepEqual([texts(second.frames), second.isEnd], [['two'], false]);
  kit.clock.advance(500);
  t.deepEqual(texts((await kit.recorder.replay(NAME, { speed: 2, cursor: second.next })).frames), ['three']);
  await t.throwsAsync(kit.recorder.replay(NAME, { cursor: '1_2_x' }), { message: /is not the cursor of a replay/ });
  // More than fits.
  await kit.states.until((state) => state === 'recording', 2);
  for (let number = 0; number < 30; number++) sensor.push(frame('x'.repeat(10_000), EPOCH + kit.clock.now()));
  while ((kit.recorder.status(NAME).targets.store?.written ?? 0) < 30) await new Promise(setImmediate);
  await kit.recorder.stopRecording(NAME);
  const { bytes, frames } = kit.recorder.status(NAME).kept;
  t.true(bytes <= 150_000 && frames < 30 && frames >= 7, `${frames} frames, ${bytes} bytes`);
  kit.clock.advance(700_000);
  while (kit.recorder.status(NAME).kept.frames > 0) await new Promise(setImmediate);
});

// Commands.

const CALLER = { id: 'token:me', text: 'token me' };
const PAGE = { from: 0, maxBytes: 1e6, waitMs: 60_000, signal: undefined };

function commandsOf(command: HostedController['command'], more: Partial<HostedController> = {}, limits: Partial<RecordingLimits> = {}) {
  const clock = new VirtualClock();
  const controller: HostedController = {
    ...{ name: 'ham.spam:command', help: '', timeoutMs: 60_000, maxConcurrent: undefined, readiness: 'ready', command },
    ...more,
  };
  const controllers = (): ReadonlyMap<string, HostedController> => new Map([[controller.name, controller]]);
  return { commands: new Commands({ controllers, limits: { ...recordingDefaults.recordingLimits, ...limits }, clock }), clock };
}

async function everything(commands: Commands, id: string, caller = CALLER): Promise<readonly string[]> {
  const found: string[] = [];
  for (let from = 0; ;) {
    const page = await commands.page(id, caller, { ...PAGE, from, maxBytes: 1_000 });
    found.push(...texts(page.items.map(({ item }) => item)));
    from = page.next;
    if (page.state.type !== 'open') return [...found, page.state.type];
  }
}

test('callers in parallel never get frames of another command, in whatever order the frames come', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.nat(3), { maxLength: 30 }), { minLength: 1, maxLength: 12 }), async (delays) => {
      const { commands } = commandsOf(async function* (sent) {
        const index = Number(sent.payload.toString());
        for (const [number, turns] of (delays[index] ?? []).entries()) {
          for (let turn = 0; turn < turns; turn++) await Promise.resolve();
          yield frame(`${index}.${number}`);
        }
      });
      const callers = delays.map((_, index) => ({ id: `token:${index % 3}`, text: '' }));
      const ids = callers.map((caller, index) => commands.begin('ham.spam', frame(String(index)), caller).id);
      const got = await Promise.all(ids.map((id, index) => everything(commands, id, callers[index])));
      t.deepEqual(
        got,
        delays.map((own, index) => [...own.map((_, number) => `${index}.${number}`), 'ended']),
      );
      commands.stop();
    }),
    { numRuns: 50 },
  );
});

test('only its caller sees a command, and a wrong one learns nothing', async (t) => {
  const { commands } = commandsOf(async function* () {
    yield await Promise.resolve(frame('secret'));
  });
  const { id } = commands.begin('ham.spam:command', frame(''), CALLER);
  const other = { id: 'token:other', text: '' };
  await t.throwsAsync(commands.page(id, other, PAGE), { message: /there is no command/ });
  t.throws(() => {
    commands.cancel(id, other);
  });
  t.deepEqual(await everything(commands, id), ['secret', 'ended']);
  // The last answer may have been lost.
  t.deepEqual(texts((await commands.page(id, CALLER, { ...PAGE, from: 1 })).items.map(({ item }) => item)), []);
});

test('a controller waits for a caller that is slow, and its memory is bounded', async (t) => {
  let made = 0;
  const { commands } = commandsOf(async function* () {
    for (; made < 100_000; made++) yield await Promise.resolve(frame('x'));
  });
  const { id } = commands.begin('ham.spam:command', frame(''), CALLER);
  let from = 0;
  for (let number = 0; number < 10; number++) {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    t.true(made <= from + 1_002, `${made} made, ${from} read`);
    const page = await commands.page(id, CALLER, { ...PAGE, from, maxBytes: 50_000 });
    t.is(page.missed, 0);
    from = page.next;
  }
  commands.cancel(id, CALLER);
  t.is((await commands.page(id, CALLER, { ...PAGE, from: 1e9 })).state.type, 'canceled');
});

test('commands fail with the error of the controller or at their time limit, are limited in number, and end with their caller', async (t) => {
  const aborted = new Gate<string>();
  const { commands, clock } = commandsOf(
    async function* (sent, signal) {
      if (sent.payload.toString() === 'throw') throw new Error('the motor is stuck');
      yield frame('begun');
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      aborted.push(RelayError.is(signal.reason) ? signal.reason.message : '');
    },
    { timeoutMs: 100_000, maxConcurrent: 2 },
    { maxCommands: 3 },
  );
  const { id: failed } = commands.begin('ham.spam', frame('throw'), CALLER);
  t.like((await commands.page(failed, CALLER, PAGE)).state, { type: 'failed', reason: 'the motor is stuck' });
  const { id: waiting } = commands.begin('ham.spam', frame(''), CALLER);
  const { id: left } = commands.begin('ham.spam', frame(''), CALLER);
  for (const id of [waiting, left]) t.is((await commands.page(id, CALLER, PAGE)).next, 1);
  t.throws(() => commands.begin('ham.spam', frame(''), CALLER), { message: /runs 2 commands already \(maxConcurrent\)/ });
  const page = commands.page(waiting, CALLER, { ...PAGE, from: 1, waitMs: 1e9 });
  clock.advance(70_000);
  t.deepEqual(await aborted.first(1), ['its caller did not ask for its frames for 60 s']);
  await t.throwsAsync(commands.page(left, CALLER, PAGE), { message: /there is no command/ });
  clock.advance(30_000);
  t.like((await page).state, { type: 'failed', reason: 'it did not end in 100000 ms' });
  t.throws(() => commands.begin('ham.spam', typed('text/plain', Buffer.alloc(2 ** 20 + 1)), CALLER), { message: /maxFrameBytes/ });
  t.throws(() => commands.begin('ham.spam:other', frame(''), CALLER), { message: /there is no controller/ });
  commands.stop();
});

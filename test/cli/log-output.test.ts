/** The outputs of the log: bounded while nobody reads them, complete when somebody does, and written again after an error. */
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { LogOutput, FileSink } from '../../src/cli/log-output.ts';
import type { LogSink } from '../../src/cli/log-output.ts';
import { startCo2 } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';

const MIB = 1024 * 1024;
const note = (missing: number): string => `${missing} missing`;

/** A sink that takes a batch only when it is asked to. */
class SlowSink implements LogSink {
  readonly batches: Buffer[] = [];
  readonly #done: ((error?: unknown) => void)[] = [];

  write(bytes: Buffer, done: (error?: unknown) => void): boolean {
    this.batches.push(bytes);
    this.#done.push(done);
    return false;
  }

  /** Takes what is on its way, or loses it; false if there is nothing. */
  take(error?: Error): boolean {
    const done = this.#done.shift();
    done?.(error);
    return done !== undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get lines(): string[] {
    return Buffer.concat(this.batches).toString().split('\n').slice(0, -1);
  }
}

test('at most 1 MiB is buffered for a blocked sink, which later receives it and the number of missing lines', (t) => {
  const sink = new SlowSink();
  const output = new LogOutput(sink, note);
  const line = (n: number): string => `${n} ${'é'.repeat(400)}`;
  for (let n = 0; n < 20_000; n++) output.write(() => line(n));
  while (sink.take());
  const { lines } = sink;
  const kept = lines.slice(0, -1);
  t.true(Buffer.concat(sink.batches).length < MIB);
  t.true(Buffer.concat(sink.batches).length > 0.7 * MIB);
  t.deepEqual(
    kept,
    kept.map((_, n) => line(n)),
  );
  t.is(lines.at(-1), `${20_000 - kept.length} missing`);
  output.write(() => 'after');
  t.is(sink.lines.at(-1), 'after');
});

test('a dropped line is not formatted', (t) => {
  const output = new LogOutput(new SlowSink(), note);
  let formatted = 0;
  for (let n = 0; n < 1000; n++) {
    output.write(() => {
      formatted++;
      return 'x'.repeat(10_000);
    });
  }
  t.true(formatted < 120, String(formatted));
});

test('lines and notes that a sink loses are counted and reported before the next line', (t) => {
  const sink = new SlowSink();
  const output = new LogOutput(sink, note);
  output.write(() => 'one');
  sink.take(new Error('EIO'));
  output.write(() => 'two');
  sink.take(new Error('EIO'));
  output.write(() => 'three');
  t.deepEqual(sink.lines, ['one', '1 missing', 'two', '2 missing', 'three']);
});

test('with a stalled log reader the relay answers in bounded memory, and later logs how many lines are missing', async (t) => {
  const talker = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Talker extends Plugin {
  n = 0;
  @Exposed({ params: ['int'] })
  talk(count: number) { for (let i = 0; i < count; i++) this.log('line ' + this.n++ + ' ' + 'x'.repeat(1000)); }
}
`;
  // What else the relay might log would be missing, too.
  const files = { 'plugins/ham/talker.ts': talker, 'config.ts': 'export default { loopWarningMs: 60_000 };' };
  const relay = await startCo2(t, { files });
  const residentMb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.pid}/status`, 'utf8'))?.[1]) / 1024;
  const read = relay.stallStderr();
  const [ROUNDS, EACH] = [100, 1000];
  const grown: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await relay.call('ham.talker.talk', EACH);
    grown.push(residentMb());
  }
  t.true((grown.at(-1) ?? NaN) - (grown[9] ?? NaN) < 30, `90 MB of log took ${grown.map(Math.round).join(' ')} MB`);
  t.true(await relay.call('ping'));
  read();
  const said = await relay.stderr.line(/log lines are missing here/);
  const missing = Number(/ WARN app (\d+) log lines/.exec(said)?.[1]);
  await relay.call('ham.talker.talk', 1);
  await relay.stderr.line(new RegExp(`line ${ROUNDS * EACH} x`));
  const numbers = relay.stderr.all.flatMap((line) => /plugin\.ham\.talker line (\d+) x/.exec(line)?.[1] ?? []).map(Number);
  const notes = relay.stderr.all.flatMap((line) => / (\d+) log lines are missing/.exec(line)?.[1] ?? []).map(Number);
  t.is(notes[0], missing);
  t.is(numbers.length + notes.reduce((sum, count) => sum + count, 0), ROUNDS * EACH + 1);
  t.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
});

test('close() does not wait for a stalled reader', async (t) => {
  const output = new LogOutput(new SlowSink(), note);
  output.write(() => 'one');
  await t.notThrowsAsync(output.close());
});

interface Written {
  readonly path: string;
  readonly failures: string[];
  readonly write: (line: string) => Promise<void>;
  readonly sink: FileSink;
}

function fileSink(path: string, maxBytes = 1000): Written {
  const failures: string[] = [];
  const parts = { path, maxBytes, kept: 2, mode: 0o600, onRecovery: () => failures.push('recovered') };
  const sink = new FileSink({ ...parts, onFailure: (reason) => failures.push(reason) });
  const write = (line: string): Promise<void> =>
    new Promise((resolve, reject) => {
      sink.write(Buffer.from(`${line}\n`), (error) => {
        if (error === undefined) resolve();
        else reject(new Error('lost', { cause: error }));
      });
    });
  return { path, failures, write, sink };
}

test('a file is rotated by size, the configured number is kept, and only its owner can read them', async (t) => {
  const directory = temporaryDir(t);
  const { write, sink } = fileSink(join(directory, 'logs/x.log'));
  for (let n = 0; n < 8; n++) await write(`${n} ${'x'.repeat(600)}`);
  await sink.close();
  const first = (name: string): string => readFileSync(join(directory, 'logs', name), 'utf8').slice(0, 1);
  t.deepEqual(readdirSync(join(directory, 'logs')).sort(), ['x.log', 'x.log.1', 'x.log.2']);
  t.deepEqual(['x.log', 'x.log.1', 'x.log.2'].map(first), ['6', '4', '2']);
  t.is(statSync(join(directory, 'logs/x.log')).mode & 0o777, 0o600);
});

test('a file that cannot be opened is retried and receives the waiting line', async (t) => {
  const directory = temporaryDir(t);
  const { path, write, failures, sink } = fileSink(join(directory, 'x.log'));
  mkdirSync(path);
  const written = write('waits');
  while (failures.length === 0) await new Promise(setImmediate);
  rmSync(path, { recursive: true });
  await written;
  await sink.close();
  t.is(readFileSync(path, 'utf8'), 'waits\n');
  t.deepEqual(failures, ['expected a file, found a directory', 'recovered']);
});

test('close() gives up while the file is not writable', async (t) => {
  const { path, write, failures, sink } = fileSink(join(temporaryDir(t), 'x.log'));
  mkdirSync(path);
  const written = write('never');
  while (failures.length === 0) await new Promise(setImmediate);
  await sink.close();
  await t.throwsAsync(written);
});

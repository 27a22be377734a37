/**
 * Work of one end of a line of three relays at the other end, as processes: the relay between is the only way. Each of the three is killed
 * or stopped at every stage of a unit, and starts again: the results are read without a gap or a repetition, and the unit ran once.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Value } from '../../src/values/values.ts';
import { HOWS, reached, startRow } from '../support/line.ts';
import type { How, Place, Struct } from '../support/line.ts';
import { runCo2 } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';

const HALF = Array.from({ length: 14_000 }, (_, index) => `${index + 1}\n`).join('');
const WHOLE = Array.from({ length: 28_000 }, (_, index) => `${index + 1}\n`).join('');
// More than 64 KiB in each half, so that the results are in files.
const COUNT = 'echo run >> "$CO2_PARAM_RUNS"; seq 14000; while ! test -e "$CO2_PARAM_GO"; do sleep 0.02; done; seq 14001 28000';

class Line {
  constructor(
    readonly a: Place,
    readonly b: Place,
    readonly c: Place,
    private readonly directory: string,
  ) {}

  file(name: string): string {
    return join(this.directory, name);
  }

  async submit(id: string, where: { node: string } | { group: readonly string[] } = { node: 'c' }): Promise<Struct> {
    return this.a.call('work.submit', {
      ...{ type: 'shell.count', id, ...where, params: { runs: this.file(`${id}.runs`), go: this.file(`${id}.go`) } },
    });
  }

  /** Lets the unit put out its second half. */
  go(id: string): void {
    writeFileSync(this.file(`${id}.go`), '');
  }

  runs(id: string): number {
    const file = this.file(`${id}.runs`);
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  }

  /** Results from an offset on, up to this many bytes, or to their end. */
  async read(id: string, from: number, bytes = Infinity): Promise<string> {
    const parts: Buffer[] = [];
    for (let offset = from; offset < from + bytes;) {
      const limit = Math.min(50_000, from + bytes - offset);
      const page = await this.a.call('work.results', { unit: id, offset, limit, waitMs: 20_000 });
      parts.push(...(page.items as readonly Buffer[]));
      if (page.ended === true) break;
      offset = page.next as number;
    }
    return Buffer.concat(parts).toString();
  }

  async state(id: string, waitMs = 40_000): Promise<string> {
    const { state, reason } = await this.a.call('work.status', { unit: id, waitMs });
    return reason === '' ? (state as string) : `${state as string}: ${reason as string}`;
  }

  /** Resolves once the unit runs, as its submitter sees it. */
  async running(id: string): Promise<void> {
    await this.a.call('work.results', { unit: id, limit: 1, waitMs: 30_000 });
  }
}

async function lineOf(t: ExecutionContext, more: Config = {}): Promise<Line> {
  const directory = temporaryDir(t);
  const work: Config['work'] = { 'shell.count': { exec: 'sh', args: ['-c', COUNT], params: ['runs', 'go'] } };
  const [a, b, c] = await startRow(t, directory, (nick) => ({ ...more, ...(nick !== 'a' && { work }) }));
  return new Line(a, b, c, directory);
}

for (const victim of ['a', 'b', 'c'] as const) {
  const name = { a: 'the submitter', b: 'the relay between', c: 'the node that runs it' }[victim];

  test(`a unit and its results survive ${name}: restarted before it runs, while it runs, and after its end`, async (t) => {
    const line = await lineOf(t);
    const { c } = line;
    const restart = async (how: How): Promise<void> => {
      await line[victim].end(how);
      await line[victim].start();
    };
    await c.end('SIGKILL');
    await line.submit('waits');
    if (victim !== 'c') await restart('SIGTERM');
    line.go('waits');
    await c.start();
    t.is(await line.read('waits', 0), WHOLE);
    t.deepEqual([await line.state('waits'), line.runs('waits')], ['succeeded', 1]);

    await line.submit('runs');
    await line.running('runs');
    const read = await line.read('runs', 0, 40_000);
    t.is(read, HALF.slice(0, 40_000));
    await restart(victim === 'c' ? 'SIGTERM' : 'SIGKILL');
    line.go('runs');
    t.is(await line.state('runs'), victim === 'c' ? 'failed: the relay was stopped while it ran' : 'succeeded');
    t.is(read + (await line.read('runs', read.length)), victim === 'c' ? HALF : WHOLE, 'no byte is missing or repeated');
    t.is(line.runs('runs'), 1);

    await line.submit('ends');
    line.go('ends');
    t.is(await line.state('ends'), 'succeeded');
    const part = await line.read('ends', 0, 60_000);
    await line[victim].end('SIGKILL');
    // A reader that waits goes on when the way is there again.
    const waiting = victim === 'a' ? undefined : line.read('ends', part.length);
    await line[victim].start();
    t.is(part + (await (waiting ?? line.read('ends', part.length))), WHOLE);
  });
}

test('the units of a group survive restarts of each relay while one waits, while both run, and after their end', async (t) => {
  const line = await lineOf(t);
  const { a, b, c } = line;
  const group = ['b', 'c'];
  for (const how of HOWS) {
    const [atB, atC] = [`${how}.1`, `${how}.2`];
    await c.end(how);
    await line.submit(how, { group });
    await line.running(atB);
    await a.end(how);
    await Promise.all([a.start(), c.start()]);
    await line.running(atC);
    const read = await line.read(atC, 0, 40_000);
    t.is(await line.read(atB, 0, HALF.length), HALF);
    await b.end(how);
    await b.start();
    // Only a stop keeps results, as docs/work.md says.
    const [reason, kept] =
      how === 'SIGTERM' ? [/^failed: the relay was stopped while it ran$/, HALF] : [/^failed: orphaned: the relay ended while it ran/, ''];
    t.regex(await line.state(atB), reason);
    t.is(await line.read(atB, 0), kept);
    line.go(how);
    t.is(await line.state(atC), 'succeeded');
    await c.end(how);
    const rest = line.read(atC, read.length);
    await c.start();
    t.is(read + (await rest), WHOLE, 'no byte is missing or repeated');
    t.like(await line.submit(how, { group }), {
      group: how,
      units: [
        { unit: atB, state: 'failed' },
        { unit: atC, state: 'succeeded' },
      ],
    });
    const listed = (await a.call('work.list', { group: how })) as unknown as readonly Struct[];
    t.deepEqual(listed.map(({ unit }) => unit).sort(), [atB, atC]);
    t.is(line.runs(how), 2, 'each unit ran once');
  }
});

test('every node lists a unit, and cancels it where peers may, also after the relay between was restarted', async (t) => {
  const line = await lineOf(t, { access: { peer: ['read', 'message', 'call', 'admin'] } });
  const { a, b, c } = line;
  await line.submit('long');
  await line.running('long');
  const { node } = await a.call('work.status', 'long');
  const table = await runCo2(t, { cwd: a.cwd, args: ['work', 'list', '--url', `:${a.port}`] }).exit;
  t.true(
    table.stdout.some((text) => text.includes('long') && text.includes(node as string)),
    [...table.stdout, ...table.stderr].join('\n'),
  );
  await b.end('SIGKILL');
  await b.start();
  const at = async (place: Place, ...args: readonly string[]): Promise<Value> => {
    const { code, stdout, stderr } = await runCo2(t, { cwd: place.cwd, args: ['work', ...args, '--json', '--url', `:${place.port}`] }).exit;
    t.is(code, 0, stderr.join('\n'));
    return JSON.parse(stdout.join('\n')) as Value;
  };
  await reached(b, 'c');
  const { units } = (await at(b, 'list', '--all')) as { units: readonly Struct[] };
  const [unit] = units;
  t.like(unit, { state: 'running', node, listed_by: node });
  await at(b, 'cancel', unit?.unit as string, '--node', 'c');
  t.is(await line.state('long'), 'canceled');
  await c.end('SIGTERM');
  await line.submit('queued');
  t.like(await at(a, 'cancel', 'queued'), { state: 'canceled' });
  await b.end('SIGKILL');
  await Promise.all([b.start(), c.start()]);
  await line.submit('next');
  await line.running('next');
  t.deepEqual([line.runs('queued'), line.runs('next')], [0, 1], 'what was canceled before it arrived does not run');
  await a.call('work.cancel', 'next');
});

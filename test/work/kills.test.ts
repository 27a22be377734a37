/**
 * Kills (-9) of the relay, of a child and of a program at every state of a unit and at every change between two. The relay is killed by a
 * hook around the writes of its store, so that the moment is exact. After the restart each unit is true.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Sendable, Value } from '../../src/values/values.ts';
import { PROJECT_DIR, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';

type Struct = Readonly<Record<string, Value>>;
type Kind = 'inline' | 'child' | 'program';

const worker = (isolation: 'inline' | 'child'): string => `
  import { writeFileSync } from 'node:fs';
  import { join } from 'node:path';
  import { Plugin, Satellite, Work } from 'co2-relay';
  const until = (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  @Satellite({ isolation: '${isolation}' })
  export class Worker extends Plugin {
    @Work() async *quick(payload) { yield 'read ' + payload.length; }
    /** Works until it is canceled, and says with its process number that it has begun, before or after its first result. */
    @Work({ params: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } } })
    async *hold(_payload, { params, signal }) {
      if (params.yields) yield 'first';
      writeFileSync(params.begun, String(process.pid));
      await until(signal);
    }
  }`;

const QUICK: Readonly<Record<Kind, string>> = { inline: 'ham.inline:quick', child: 'ham.child:quick', program: 'shell.quick' };
const HOLD: Readonly<Record<Kind, string>> = { inline: 'ham.inline:hold', child: 'ham.child:hold', program: 'shell.hold' };

function project(t: ExecutionContext): string {
  const hold = 'if [ "$CO2_PARAM_YIELDS" = true ]; then echo first; fi; printf %s $$ > "$CO2_PARAM_BEGUN"; exec sleep 600';
  return pluginsDir(t, {
    'plugins/ham/inline.ts': worker('inline'),
    'plugins/ham/child.ts': worker('child'),
    'config.ts': `export default { work: {
      'shell.quick': { exec: 'sh', args: ['-c', 'wc -c'] },
      'shell.hold': { exec: 'sh', args: ['-c', ${JSON.stringify(hold)}], params: ['begun', 'yields'] },
    } };`,
  });
}

/** A relay that is killed at this write; undefined: by the test. */
function started(
  t: ExecutionContext,
  cwd: string,
  killAt?: { readonly when: 'before' | 'after'; readonly what: string },
): Promise<RelayProcess> {
  const hook = pathToFileURL(join(PROJECT_DIR, 'test/fixtures/kill-at-write.mjs')).href;
  return startCo2(t, { cwd, ...(killAt && { env: { NODE_OPTIONS: `--import=${hook}`, KILL_AT: JSON.stringify(killAt) } }) });
}

const status = async (relay: RelayProcess, waitMs = 35_000): Promise<Struct> =>
  (await relay.call('work.status', { unit: 'u', waitMs })) as Struct;

async function resultsOf(relay: RelayProcess, waitMs = 0): Promise<string> {
  const { items } = (await relay.call('work.results', { unit: 'u', waitMs })) as { items: readonly (Buffer | string)[] };
  return items.map(String).join('').trim();
}

const submit = (relay: RelayProcess, type: string, more: Record<string, Sendable> = {}): Promise<Value> =>
  relay.call('work.submit', { type, id: 'u', payload: '12345', ...more });

/** Resolves to the process number in the file, once it is there. */
async function begun(file: string): Promise<number> {
  // The process that writes it has no other way to tell a test, and no event of the relay tells it either.
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(5);
  return Number(readFileSync(file, 'utf8'));
}

const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

/** No file of a unit is left once that is released. */
async function released(t: ExecutionContext, relay: RelayProcess): Promise<void> {
  await relay.call('work.release', 'u');
  const directory = join(relay.cwd, '.co2/work');
  t.deepEqual(existsSync(directory) ? readdirSync(directory) : [], []);
}

/** The moment of the kill: a write of this state of the unit. */
const stateIs = (state: string): string => `^put .*"id":"u".*"state":\\{"type":"${state}"`;

interface Row {
  /** What the disk holds, and what is missing, when the relay is killed. */
  readonly moment: string;
  readonly kinds: readonly Kind[];
  /** Undefined: `act` kills it. */
  readonly kill?: { readonly when: 'before' | 'after'; readonly what: string };
  /** What is done until the relay is killed; may reject then. */
  readonly act: (relay: RelayProcess, kind: Kind) => Promise<unknown>;
  /** What is true after the restart. */
  readonly then: (t: ExecutionContext, relay: RelayProcess, kind: Kind) => Promise<void>;
}

const ALL: readonly Kind[] = ['inline', 'child', 'program'];
const QUICK_RESULT: Readonly<Record<Kind, string>> = { inline: 'read 5', child: 'read 5', program: '5' };

async function isOrphaned(t: ExecutionContext, relay: RelayProcess): Promise<void> {
  const unit = await status(relay);
  t.is(unit.state, 'failed');
  t.regex(unit.reason as string, /^orphaned: the relay ended while it ran/);
}

async function hasSucceeded(t: ExecutionContext, relay: RelayProcess, kind: Kind): Promise<void> {
  t.like(await status(relay), { state: 'succeeded' });
  t.is(await resultsOf(relay), QUICK_RESULT[kind]);
}

const run = (relay: RelayProcess, kind: Kind): Promise<unknown> => submit(relay, QUICK[kind]).then(() => status(relay));

// Too large to begin with its first write: it is stored as pending, with its payload, and then as running.
const LARGE = 65_537;
const submitLarge = (relay: RelayProcess, kind: Kind): Promise<Value> => submit(relay, QUICK[kind], { payload: 'x'.repeat(LARGE) });
const runLarge = (relay: RelayProcess, kind: Kind): Promise<unknown> => submitLarge(relay, kind).then(() => status(relay));

async function largeHasSucceeded(t: ExecutionContext, relay: RelayProcess): Promise<void> {
  t.like(await status(relay), { state: 'succeeded' });
  t.is(await resultsOf(relay), `read ${LARGE}`);
}

const upload = (relay: RelayProcess, more: Record<string, Sendable> = {}): Promise<Value> =>
  relay.call('work.submit', { type: QUICK.child, id: 'u', upload: true, ...more });

async function holdThenCancel(relay: RelayProcess, kind: Kind): Promise<unknown> {
  const file = join(relay.cwd, 'begun');
  await submit(relay, HOLD[kind], { params: { begun: file } });
  await begun(file);
  return relay.call('work.cancel', 'u');
}

const ROWS: readonly Row[] = [
  {
    moment: 'submitted and to begin at once, but not stored',
    kinds: ['child'],
    kill: { when: 'before', what: stateIs('running') },
    act: run,
    then: async (t, relay, kind) => {
      await t.throwsAsync(status(relay), { message: /there is no unit 'u'/ });
      await run(relay, kind);
      await hasSucceeded(t, relay, kind);
    },
  },
  {
    moment: 'submitted, but not stored',
    kinds: ['child'],
    kill: { when: 'before', what: stateIs('pending') },
    act: runLarge,
    then: async (t, relay, kind) => {
      await t.throwsAsync(status(relay), { message: /there is no unit 'u'/ });
      await runLarge(relay, kind);
      await largeHasSucceeded(t, relay);
    },
  },
  {
    moment: 'pending is stored, but the submitter was not answered',
    kinds: ['child'],
    kill: { when: 'after', what: stateIs('pending') },
    act: runLarge,
    then: async (t, relay, kind) => {
      // The same submission again is the same unit.
      await submitLarge(relay, kind);
      await largeHasSucceeded(t, relay);
    },
  },
  {
    moment: 'the payload is half uploaded',
    kinds: ['child'],
    act: async (relay) => {
      await upload(relay);
      const socket = connect(relay.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        'PUT /work/u/payload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\nhalf_',
      );
      const file = join(relay.cwd, '.co2/work/u/payload');
      while (!existsSync(file) || readFileSync(file).length < 5) await sleep(5);
      relay.kill('SIGKILL');
      socket.destroy();
    },
    then: async (t, relay) => {
      t.like(await status(relay, 0), { state: 'pending' });
      const headers = { 'content-type': 'application/octet-stream' };
      t.is((await fetch(`${relay.url}/work/u/payload`, { method: 'PUT', headers, body: 'whole' })).status, 200);
      await hasSucceeded(t, relay, 'child');
    },
  },
  {
    moment: 'it was to run, which is not stored',
    kinds: ['child'],
    kill: { when: 'before', what: stateIs('running') },
    act: runLarge,
    then: largeHasSucceeded,
  },
  {
    moment: 'running is stored, before the first item',
    kinds: ALL,
    kill: { when: 'after', what: stateIs('running') },
    act: run,
    then: isOrphaned,
  },
  {
    moment: 'it runs, after its first item',
    kinds: ALL,
    act: async (relay, kind) => {
      const file = join(relay.cwd, 'begun');
      await submit(relay, HOLD[kind], { params: { begun: file, yields: true } });
      while ((await resultsOf(relay, 10_000)) !== 'first');
      const pid = await begun(file);
      relay.kill('SIGKILL');
      await relay.exit;
      // Neither a child nor a program outlives its relay.
      while (!gone(pid)) await sleep(20);
    },
    then: async (t, relay) => {
      await isOrphaned(t, relay);
      t.true(['', 'first'].includes(await resultsOf(relay)), 'what is there of its results is what it yielded');
    },
  },
  {
    moment: 'all results were pushed, but its end is not stored',
    kinds: ALL,
    kill: { when: 'before', what: stateIs('succeeded') },
    act: run,
    then: isOrphaned,
  },
  {
    moment: 'its end is stored, but was not told',
    kinds: ALL,
    kill: { when: 'after', what: stateIs('succeeded') },
    act: run,
    then: hasSucceeded,
  },
  {
    moment: 'a waiting unit is being canceled, which is not stored',
    kinds: ['child'],
    kill: { when: 'before', what: stateIs('canceled') },
    act: async (relay) => {
      await upload(relay);
      await relay.call('work.cancel', 'u');
    },
    then: async (t, relay) => {
      t.like(await status(relay, 0), { state: 'pending' });
      t.like(await relay.call('work.cancel', 'u'), { state: 'canceled' });
    },
  },
  {
    moment: 'a running unit is being canceled, which is not stored',
    kinds: ALL,
    kill: { when: 'before', what: stateIs('canceled') },
    act: holdThenCancel,
    then: isOrphaned,
  },
  {
    moment: 'the cancel is stored, but was not answered',
    kinds: ALL,
    kill: { when: 'after', what: stateIs('canceled') },
    act: holdThenCancel,
    then: async (t, relay) => {
      t.like(await status(relay), { state: 'canceled' });
      t.like(await relay.call('work.cancel', 'u'), { state: 'canceled' }, 'again changes nothing');
    },
  },
  {
    moment: 'it is being released, which is not stored',
    kinds: ['program'],
    kill: { when: 'before', what: '^del .*work-units.*u' },
    act: async (relay, kind) => {
      await run(relay, kind);
      await relay.call('work.release', 'u');
    },
    then: hasSucceeded,
  },
  {
    moment: 'its release is stored, but its files are there and nobody was answered',
    kinds: ['program'],
    kill: { when: 'after', what: '^del .*work-units.*u' },
    act: async (relay, kind) => {
      await run(relay, kind);
      await relay.call('work.release', 'u');
    },
    then: async (t, relay) => {
      await t.throwsAsync(status(relay), { message: /there is no unit 'u'/ });
      t.deepEqual(readdirSync(join(relay.cwd, '.co2/work')), []);
    },
  },
  ...(['before', 'after'] as const).map((when): Row => ({
    moment: `it expires, which ${when === 'before' ? 'is not stored' : 'is stored, but was not told'}`,
    kinds: ['child'],
    kill: { when, what: stateIs('expired') },
    act: async (relay) => {
      await upload(relay, { ttl: 100 });
      await status(relay);
    },
    then: async (t, relay) => {
      t.like(await status(relay), { state: 'expired' });
    },
  })),
];

for (const { moment, kinds, kill, act, then } of ROWS) {
  for (const kind of kinds) {
    test.serial(`kill -9 of the relay (${kind}): ${moment}`, async (t) => {
      const cwd = project(t);
      const first = await started(t, cwd, kill);
      await act(first, kind).catch(() => undefined);
      t.is((await first.exit).signal, 'SIGKILL');
      const second = await started(t, cwd);
      await then(t, second, kind);
      // A unit that was released is gone.
      if (!moment.startsWith('its release')) await released(t, second);
    });
  }
}

for (const yields of [false, true]) {
  for (const kind of ['child', 'program'] as const) {
    test.serial(`kill -9 of the ${kind}: it runs, ${yields ? 'after its first item' : 'before the first item'}`, async (t) => {
      const relay = await started(t, project(t));
      const file = join(relay.cwd, 'begun');
      await submit(relay, HOLD[kind], { params: { begun: file, yields } });
      const pid = await begun(file);
      if (yields) while ((await resultsOf(relay, 10_000)) !== 'first');
      process.kill(pid, 'SIGKILL');
      const unit = await status(relay);
      t.is(unit.state, 'failed');
      t.regex(unit.reason as string, kind === 'child' ? /ham\.child ended: it was ended by SIGKILL/ : /^it was ended by SIGKILL$/);
      t.is(await resultsOf(relay), yields ? 'first' : '', 'what it had yielded is kept');
      await released(t, relay);
      // The next one runs, in a new process.
      await submit(relay, QUICK[kind]);
      await hasSucceeded(t, relay, kind);
    });
  }
}

/** Services of a whole relay, with watchers and reactors in its own process that the tests control. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Value } from '../../src/values/values.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** What the plugins of a test share with it. */
class Stage {
  /** What each watcher yields next, by `service.name`; a string is thrown, and undefined ends it. */
  readonly #reports = new Map<string, unknown[]>();
  readonly #wake = new Map<string, () => void>();
  /** What each reactor got. */
  readonly got: [string, Record<string, { status: string; port: number }>][] = [];
  /** Called for each change before its reactor has processed it. */
  hold: (reactor: string) => unknown = () => undefined;
  readonly accepted: string[] = [];
  readonly closed: string[] = [];
  #onGot: () => void = () => undefined;

  report(watcher: string, ...reports: unknown[]): void {
    this.#reports.set(watcher, [...(this.#reports.get(watcher) ?? []), ...reports]);
    this.#wake.get(watcher)?.();
  }

  async next(watcher: string, signal: AbortSignal): Promise<unknown> {
    for (;;) {
      const [report, ...more] = this.#reports.get(watcher) ?? [];
      if (this.#reports.get(watcher)?.length) {
        this.#reports.set(watcher, more);
        return report;
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#wake.set(watcher, wake);
        signal.addEventListener('abort', wake);
      });
      if (signal.aborted) return undefined;
    }
  }

  async take(reactor: string, change: Record<string, { status: string; port: number }>): Promise<void> {
    this.got.push([reactor, { ...change }]);
    this.#onGot();
    await this.hold(reactor);
  }

  /** What a reactor got, once that are this many changes: `a+ b-` for each. */
  async changes(reactor: string, count: number): Promise<readonly string[]> {
    const own = (): typeof this.got => this.got.filter(([name]) => name === reactor);
    while (own().length < count) await new Promise<void>((resolve) => (this.#onGot = resolve));
    // What it got is also processed then.
    await nextTurn();
    return own().map(([, change]) =>
      Object.entries(change)
        .map(([name, { status }]) => name + (status === 'up' ? '+' : '-'))
        .sort()
        .join(' '),
    );
  }
}

const STAGE = `import { Plugin, Reactor, Satellite, Watcher } from 'co2-relay';
const stage = globalThis.co2Stage;
@Satellite()
export class Stage extends Plugin {
  /** Watches what the test says. */
  @Watcher()
  script(config, { service, name }) {
    stage.accepted.push(service + '.' + name);
    if (config.refuse) throw new Error(config.refuse);
    return {
      async *watch(signal) {
        while (!signal.aborted) {
          const report = await stage.next(service + '.' + name, signal);
          if (typeof report === 'string') throw new Error(report);
          if (report === undefined) return;
          yield report;
        }
      },
    };
  }

  @Reactor()
  record(config, { service, name }) {
    stage.accepted.push(service + '.' + name);
    return {
      react: (change) => stage.take(service + '.' + name, change),
      close: () => stage.closed.push(service + '.' + name),
    };
  }
}
`;

const scripted = { type: 'ham.stage:script' };
const recorded = { type: 'ham.stage' };
const up = (port = 80): object => ({ status: 'up', host: '10.0.0.1', port });
const down = { status: 'down' };

interface Kit extends TestRelay {
  readonly stage: Stage;
  readonly clock: VirtualClock;
}

async function started(t: ExecutionContext, services: Config['services'], more: Config = {}): Promise<Kit> {
  const stage = new Stage();
  (globalThis as unknown as { co2Stage: Stage }).co2Stage = stage;
  const clock = new VirtualClock();
  const relay = await startRelay(
    t,
    { pluginsDir: pluginsDir(t, { 'ham/stage.ts': STAGE }), watch: false, services, ...more },
    { clock, random: () => 0.5 },
  );
  return { ...relay, stage, clock };
}

type Struct = Readonly<Record<string, Value>>;

async function statusOf(relay: Pick<TestRelay, 'callDirectly'>, service = 'web'): Promise<Struct> {
  return (await relay.callDirectly('service.status', service)) as Struct;
}

test.serial('watchers fan in, every reactor gets each change, and the service is there to look at', async (t) => {
  const relay = await started(t, { web: { watchers: { one: scripted, two: scripted }, reactors: { left: recorded, right: recorded } } });
  const { stage } = relay;
  stage.report('web.one', { a: up() }, { a: up() }, { a: down });
  t.deepEqual(await stage.changes('web.left', 2), ['a+', 'a-']);
  stage.report('web.two', [{ name: 'b', ...up(81) }]);
  t.deepEqual(await stage.changes('web.left', 3), ['a+', 'a-', 'b+']);
  t.deepEqual(await stage.changes('web.right', 3), ['a+', 'a-', 'b+']);
  const status = await statusOf(relay);
  t.like(status, { name: 'web', state: 'running', reason: '', up: 1, down: 1 });
  t.deepEqual({ ...(status.nodes as Struct) }, {
    a: { name: 'a', status: 'down', host: '10.0.0.1', port: 80 },
    b: { name: 'b', status: 'up', host: '10.0.0.1', port: 81 },
  } as never);
  const [one] = status.watchers as readonly Struct[];
  t.like(one, { name: 'one', type: 'ham.stage:script', state: 'running', reason: '', restarts: 0, last_error: '', reports: 3, changes: 2 });
  const [left] = status.reactors as readonly Struct[];
  t.like(left, { name: 'left', type: 'ham.stage', state: 'running', changes: 3, queued: 0, merged: 0 });
  t.is(((await relay.callDirectly('service.list')) as readonly Struct[]).length, 1);
});

test.serial('a refused configuration, an unknown type and a wrong role stop the start, and name the endpoint', async (t) => {
  const refused = { ...scripted, cfg: { refuse: 'the colour is missing' } };
  const cases: readonly (readonly [Config['services'], RegExp])[] = [
    [
      { web: { watchers: { one: refused } } },
      /services: web\.watchers\.one: ham\.stage:script refuses its configuration: the colour is missing/,
    ],
    [
      { web: { watchers: { one: { type: 'ham.stge' } } } },
      /services: web\.watchers\.one: there is no watcher 'ham\.stge'; did you mean "ham\.stage"\?/,
    ],
    [{ web: { reactors: { one: scripted } } }, /services: web\.reactors\.one: ham\.stage:script is a watcher, not a reactor/],
    [{ web: { watchers: { one: { type: 'a b' } } } }, /services.*expected a type such as/],
    [{ 'a/b': {} }, /services/],
  ];
  for (const [services, message] of cases) await t.throwsAsync(started(t, services), { message, code: 'CONFIG_INVALID' } as never);
});

test.serial('nothing runs before all endpoints of all services are accepted', async (t) => {
  const refused = { ...scripted, cfg: { refuse: 'no' } };
  const services = { web: { watchers: { one: scripted }, reactors: { left: recorded } }, db: { watchers: { one: refused } } };
  const starting = started(t, services);
  const { co2Stage: stage } = globalThis as unknown as { co2Stage: Stage };
  stage.report('web.one', { a: up() });
  await t.throwsAsync(starting, { message: /db\.watchers\.one/ });
  t.deepEqual(stage.accepted, ['web.one', 'web.left', 'db.one']);
  t.deepEqual(stage.got, []);
});

test.serial('a watcher that fails is started again after a delay; its nodes stay until its full list says otherwise', async (t) => {
  const relay = await started(t, { web: { watchers: { one: scripted, two: scripted }, reactors: { left: recorded } } });
  const { stage, clock, seen } = relay;
  stage.report('web.two', { z: up() });
  await stage.changes('web.left', 1);
  stage.report(
    'web.one',
    [
      { name: 'a', ...up() },
      { name: 'b', ...up() },
    ],
    'the source is gone',
  );
  const failed = await seen.event('service.endpoint', { name: 'one', state: { type: 'backoff' } });
  t.like(failed, { service: 'web', role: 'watcher', state: { attempt: 1, reason: 'the source is gone' } });
  t.like(await statusOf(relay), { state: 'degraded', up: 3 });
  clock.advance(1_000);
  await seen.event('service.endpoint', { name: 'one', state: { type: 'running' } }, 2);
  stage.report('web.one', [{ name: 'b', ...up() }]);
  t.deepEqual(await stage.changes('web.left', 3), ['z+', 'a+ b+', 'a-']);
  const { watchers } = await statusOf(relay);
  t.like((watchers as readonly Struct[])[0], { restarts: 1, last_error: 'the source is gone', state: 'running' });
  t.is(seen.matching('service.endpoint', { name: 'two', state: { type: 'backoff' } }).length, 0);
  await seen.event('service.state', { service: 'web', state: 'running' }, 2);
});

for (const [title, report, reason] of [
  ['returns', undefined, 'it ended by itself'],
  ['reports nonsense', { a: { status: 'sick' } }, /a wrong report: the status of a is 'sick'/],
] as const) {
  test.serial(`a watcher that ${title} is started again`, async (t) => {
    const { stage, seen } = await started(t, { web: { watchers: { one: scripted } } });
    stage.report('web.one', report);
    const { state } = await seen.event('service.endpoint', { state: { type: 'backoff' } });
    if (state.type === 'backoff') t.regex(state.reason, new RegExp(reason));
  });
}

test.serial('the delays grow while an endpoint keeps failing, and are short again once it was well for a minute', async (t) => {
  const { stage, seen, clock } = await started(t, { web: { watchers: { one: scripted } } });
  const delays: number[] = [];
  const fail = async (count: number): Promise<void> => {
    stage.report('web.one', 'again');
    const { state } = await seen.event('service.endpoint', { state: { type: 'backoff' } }, count);
    const delay = state.type === 'backoff' ? state.until - clock.now() : 0;
    delays.push(delay);
    clock.advance(delay);
    await seen.event('service.endpoint', { state: { type: 'running' } }, count + 1);
  };
  for (let count = 1; count <= 9; count++) await fail(count);
  clock.advance(60_000);
  await fail(10);
  t.deepEqual(delays, [375, 750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 375]);
});

test.serial('a reactor that fails is accepted again, and gets all nodes first', async (t) => {
  const { stage, seen, clock, ...relay } = await started(t, {
    web: { watchers: { one: scripted }, reactors: { left: recorded, right: recorded } },
  });
  stage.report('web.one', [
    { name: 'a', ...up() },
    { name: 'b', ...up() },
  ]);
  await stage.changes('web.left', 1);
  stage.hold = (reactor) => {
    if (reactor === 'web.left') throw new Error('the disk is full');
  };
  stage.report('web.one', { c: up() });
  await seen.event('service.endpoint', { name: 'left', state: { type: 'backoff', reason: 'the disk is full' } });
  stage.hold = () => undefined;
  stage.report('web.one', [{ name: 'a', ...up() }]);
  await stage.changes('web.right', 3);
  clock.advance(1_000);
  // b and c, which are no longer known, were up as far as it knows.
  t.deepEqual(await stage.changes('web.left', 3), ['a+ b+', 'c+', 'a+ b- c-']);
  t.deepEqual(await stage.changes('web.right', 3), ['a+ b+', 'c+', 'b- c-']);
  t.deepEqual(stage.closed, ['web.left']);
  t.is(((await statusOf(relay)).reactors as readonly Struct[])[1]?.restarts, 0);
});

test.serial('a slow reactor gets the merged last states, and does not delay another', async (t) => {
  const services = { web: { watchers: { one: scripted }, reactors: { slow: recorded, fast: recorded } } };
  const { stage, ...relay } = await started(t, services, { serviceLimits: { maxQueued: 10 } });
  let release = (): void => undefined;
  stage.hold = (reactor) => (reactor === 'web.slow' ? new Promise<void>((resolve) => (release = resolve)) : undefined);
  stage.report('web.one', { first: up() });
  await stage.changes('web.slow', 1);
  for (let port = 1; port <= 1_000; port++) {
    stage.report('web.one', { a: up(port), b: port % 2 === 0 ? up(port) : down });
    await nextTurn();
  }
  t.is((await stage.changes('web.fast', 1_001)).length, 1_001);
  stage.hold = () => undefined;
  release();
  await stage.changes('web.slow', 2);
  const slow = stage.got.filter(([name]) => name === 'web.slow');
  t.is(slow.length, 2);
  t.like(slow[1]?.[1], { a: { status: 'up', port: 1_000 }, b: { status: 'up', port: 1_000 } });
  const [counters] = (await statusOf(relay)).reactors as readonly Struct[];
  t.true((counters?.merged as number) >= 990);
});

test.serial('a reactor that takes too long for a change is started again', async (t) => {
  const { stage, seen, clock } = await started(t, { web: { watchers: { one: scripted }, reactors: { left: recorded } } });
  stage.hold = () => new Promise(() => undefined);
  stage.report('web.one', { a: up() });
  await stage.changes('web.left', 1);
  stage.hold = () => undefined;
  clock.advance(60_000);
  await seen.event('service.endpoint', { state: { type: 'backoff', reason: /did not process a change in 60000 ms/ } });
  clock.advance(1_000);
  t.deepEqual(await stage.changes('web.left', 2), ['a+', 'a+']);
});

test.serial('a stop lets reactors process what waits; the service stays stopped until it is started', async (t) => {
  const { stage, seen, ...rest } = await started(t, { web: { watchers: { one: scripted }, reactors: { left: recorded } } });
  const relay = { ...rest, seen };
  let release = (): void => undefined;
  stage.hold = () => new Promise<void>((resolve) => (release = resolve));
  stage.report('web.one', { a: up() });
  await stage.changes('web.left', 1);
  stage.report('web.one', { b: up() }, { c: up() });
  await seen.event('service.state', { state: 'running' });
  await nextTurn();
  const stopping = relay.callDirectly('service.stop', 'web');
  await seen.event('service.endpoint', { name: 'one', state: { type: 'stopped' } });
  stage.hold = () => undefined;
  release();
  t.like(await stopping, { state: 'stopped', up: 0, down: 0 });
  t.deepEqual(await stage.changes('web.left', 3), ['a+', 'b+', 'c+']);
  t.deepEqual(stage.closed, ['web.left']);
  // A start and a stop in order are no failures.
  t.deepEqual(
    seen.matching('service.state', {}).map(({ state }) => state),
    ['running', 'stopping', 'stopped'],
  );
  // Not lost: it is read when the watcher runs again.
  stage.report('web.one', { d: up() });
  t.like(await relay.callDirectly('service.start', 'web'), { state: 'running' });
  t.deepEqual((await stage.changes('web.left', 4)).at(-1), 'd+');
  t.like(await relay.callDirectly('service.start', 'web'), { state: 'running' });
  await t.throwsAsync(relay.callDirectly('service.stop', 'wob'), { message: /there is no service 'wob'; did you mean "web"\?/ });
  await t.throwsAsync(relay.call('service.stop', 'web'), { message: /admin/ });
});

test.serial('a reactor that hangs is given up after the time limit of the stop', async (t) => {
  const { stage, clock, seen, ...relay } = await started(
    t,
    { web: { watchers: { one: scripted }, reactors: { left: recorded } } },
    { serviceLimits: { stopTimeoutMs: 4_321 } },
  );
  stage.hold = () => new Promise(() => undefined);
  stage.report('web.one', { a: up() });
  await stage.changes('web.left', 1);
  const stopping = relay.callDirectly('service.stop', 'web');
  await seen.event('service.endpoint', { name: 'one', state: { type: 'stopped' } });
  await clock.set.until((ms) => ms === 4_321);
  clock.advance(4_321);
  t.like(await stopping, { state: 'stopped' });
  t.is(relay.log.matching(/web: stopped the reactor left with 0 node states unprocessed/).length, 1);
});

test.serial('endpoints move to the new version of their plugin, and wait while it is stopped', async (t) => {
  const relay = await started(t, { web: { watchers: { one: scripted }, reactors: { left: recorded } } });
  const { stage, seen } = relay;
  stage.report('web.one', [{ name: 'a', ...up() }]);
  await stage.changes('web.left', 1);
  relay.clock.advance(1_000);
  await relay.callDirectly('plugin.reload', 'ham.stage');
  await seen.event('service.endpoint', { name: 'left', state: { type: 'running' } }, 2);
  t.deepEqual(await stage.changes('web.left', 2), ['a+', 'a+']);
  await relay.callDirectly('plugin.stop', 'ham.stage');
  await seen.event('service.endpoint', { name: 'one', state: { type: 'waiting' } });
  await seen.event('service.endpoint', { name: 'left', state: { type: 'waiting' } });
  t.like(await statusOf(relay), { state: 'degraded', up: 1 });
  await relay.callDirectly('plugin.start', 'ham.stage');
  await seen.event('service.endpoint', { name: 'left', state: { type: 'running' } }, 3);
  stage.report('web.one', [{ name: 'b', ...up() }]);
  t.deepEqual((await stage.changes('web.left', 4)).slice(2), ['a+', 'a- b+']);
});

test.serial('a watcher that never waits leaves time for everything else', async (t) => {
  const source = `import { Plugin, Satellite, Watcher } from 'co2-relay';
@Satellite()
export class Busy extends Plugin {
  @Watcher()
  nodes() {
    return { async *watch(signal) { for (let port = 0; !signal.aborted; port = (port + 1) % 65536) yield { a: { status: 'up', port } }; } };
  }
}
`;
  const relay = await startRelay(t, {
    ...{ pluginsDir: pluginsDir(t, { 'ham/busy.ts': source }), watch: false },
    services: { web: { watchers: { one: { type: 'ham.busy' } } } },
  });
  t.like(await relay.call('service.status', 'web'), { state: 'running', up: 1 });
});

/** The errors of a test relay that cannot start, and how a test relay stops and cleans up. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { Exposed, Injectable, Plugin, Satellite } from 'co2-relay';
import { RelayError, createTestRelay } from 'co2-relay/testing';
import type { ErrorCode } from '../../src/core/core.ts';
import { rejects } from '../support/relay-error.ts';
import { pluginsDir } from '../support/relays.ts';

// Used by this process only, so that any leftover is ours.
const own = mkdtempSync(join(tmpdir(), 'co2-test-'));
process.env.TMPDIR = own;
test.after.always(() => {
  rmSync(own, { recursive: true });
});

const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('co2-test-relay-'));

class Plain {
  readonly isPlain = true;
}

@Satellite()
class Needy {
  constructor(readonly url: URL) {}
}

@Satellite()
class Refusing extends Plugin {
  override setup(): void {
    throw new Error('there is no sensor');
  }
}

@Satellite()
class Hanging extends Plugin {
  override async exit(): Promise<void> {
    await new Promise(() => undefined);
  }
}

@Satellite()
class Sleepy extends Plugin {
  override async setup(): Promise<void> {
    await new Promise(() => undefined);
  }
}

const REFUSED: readonly [what: string, options: Parameters<typeof createTestRelay>[0], code: ErrorCode | 'TypeError', says: RegExp][] = [
  ['a class without a decorator', { plugins: [Plain] }, 'TypeError', /^createTestRelay: Plain is not decorated with @Satellite\(\)/],
  ['a value that is not a class', { plugins: ['spam' as never] }, 'TypeError', /^plugins: found a string, expected a class$/],
  [
    'a module without a package',
    { plugins: { spam: Refusing } },
    'TypeError',
    /^plugins: 'spam' is not a module name: expected package\.module/,
  ],
  ['a module name that leaves the directory', { plugins: { '../x.y': Refusing } }, 'TypeError', /is not a module name/],
  [
    'a package of the relay',
    { plugins: { 'system.spam': Refusing } },
    'PLUGIN_REFUSED',
    /^createTestRelay: system\.spam: package name "system" is reserved/,
  ],
  [
    'two classes of one name',
    { plugins: [Plain, class Plain extends Plugin {}] },
    'TypeError',
    /^plugins: two classes are named test\.plain; name their modules/,
  ],
  [
    'what cannot be injected',
    { plugins: [Needy] },
    'PLUGIN_REFUSED',
    /^createTestRelay: test\.needy: test\.needy\.Needy: parameter 1 .* has the type URL/,
  ],
  [
    'a setup that throws',
    { plugins: [Refusing] },
    'PLUGIN_REFUSED',
    /^createTestRelay: test\.refusing: plugin test\.refusing\.Refusing: it refuses to start: there is no sensor/,
  ],
  ['a setup that hangs', { plugins: [Sleepy], patienceMs: 500 }, 'PLUGIN_REFUSED', /setup\(\) took longer than 10000 ms/],
  ['a missing directory', { pluginsDir: '/nowhere/at/all' }, 'CONFIG_INVALID', /\/nowhere\/at\/all: there is no such directory/],
  ['both kinds of plugins', { plugins: [Plain], pluginsDir: '.' }, 'TypeError', /give plugins or pluginsDir, not both/],
  [
    'a configuration of a module that there is not',
    { plugins: { 'ham.spam': Refusing }, config: { plugins: { 'ham.spma': {} } } },
    'CONFIG_INVALID',
    /no module "ham\.spma"; did you mean "ham\.spam"\?/,
  ],
];

for (const [what, options, code, says] of REFUSED) {
  test.serial(`${what} is rejected with a clear error, and nothing is left behind`, async (t) => {
    const before = left();
    const error = await t.throwsAsync(createTestRelay(options));
    t.is(RelayError.is(error) ? error.code : error.name, code);
    t.regex(error.message, says);
    t.deepEqual(left(), before);
  });
}

test.serial('a plugins directory is loaded as at a normal start; if a plugin does not load, the error names file and line', async (t) => {
  const good = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  /** Adds two numbers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a: number, b: number) { return a + b; }
}`;
  const relay = await createTestRelay({ pluginsDir: pluginsDir(t, { 'ham/spam.ts': good }) });
  t.is(await relay.call('ham.spam.add', [2, 3]), 5);
  t.is(await relay.call('system.methodHelp', ['ham.spam.add']), 'Adds two numbers.');
  await relay.stop();
  const broken = createTestRelay({ pluginsDir: pluginsDir(t, { 'ham/spam.ts': good, 'ham/eggs.ts': '\nconst a = ;' }) });
  t.regex((await rejects(t, broken, 'PLUGIN_REFUSED')).message, /^createTestRelay: ham\/eggs\.ts:2: /);
});

test.serial('a start that is busy for longer than patienceMs is not taken for one that hangs', async (t) => {
  const patienceMs = 1_000;
  @Satellite()
  class Busy extends Plugin {
    override async setup(): Promise<void> {
      for (const end = performance.now() + 1.5 * patienceMs; performance.now() < end;) await nextTurn();
    }
  }
  const relay = await createTestRelay({ plugins: [Busy], patienceMs });
  t.deepEqual(relay.errors, []);
  await relay.stop();
});

test.serial('classes are injected, and each relay has instances of its own', async (t) => {
  class Scale {
    factor = 2;
  }
  @Injectable()
  class Scales {
    constructor(readonly scale: Scale) {}
  }
  @Satellite()
  class Weigh extends Plugin {
    constructor(private readonly scales: Scales) {
      super();
    }
    @Exposed({ params: ['int'], returns: 'int' })
    grow(by: number): number {
      return (this.scales.scale.factor += by);
    }
  }
  await using one = await createTestRelay({ plugins: [Weigh] });
  await using other = await createTestRelay({ plugins: [Weigh] });
  t.is(await one.call('test.weigh.grow', [5]), 7);
  t.is(await other.call('test.weigh.grow', [1]), 3);
});

test.serial('a stop lets plugins exit and send, gives up one that hangs, and leaves nothing', async (t) => {
  const before = left();
  @Satellite()
  class Leaving extends Plugin {
    override async exit(): Promise<void> {
      await this.send({ data: 'goodbye' });
    }
  }
  const relay = await createTestRelay({ plugins: [Leaving, Hanging], patienceMs: 500 });
  await Promise.all([relay.stop(), relay.stop()]);
  t.deepEqual(
    relay.sent.map(({ data }) => data),
    ['goodbye'],
  );
  t.regex(relay.errors.join(), /test\.hanging\.Hanging: exit failed: exit\(\) took longer than 5000 ms/);
  await rejects(t, relay.deliver({ data: 1 }), 'UNAVAILABLE', { reason: 'stopped' });
  await rejects(t, relay.call('ping'), 'UNAVAILABLE', { reason: 'stopped' });
  t.deepEqual(left(), before);
});

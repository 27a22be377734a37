/** The same plugins in both isolations, through a real relay: each test runs twice with the same result. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Int64 } from '../../../src/values/values.ts';
import type { Sendable, Value } from '../../../src/values/values.ts';
import { parseResponse, serialiseCall } from '../../../src/xmlrpc/xmlrpc.ts';
import { call, request } from '../../http/raw.ts';
import { rejects } from '../../support/relay-error.ts';
import { pluginsDir, startRelay } from '../../support/relays.ts';
import type { TestRelay } from '../../support/relays.ts';

const ISOLATIONS = ['inline', 'child'] as const;

const HEAD = `import { Dict, Double, Exposed, Fault, Inject, Injectable, Int64, LOGGER, Logger, Plugin, Satellite, type Context } from 'co2-relay';
import { z } from 'zod';
`;

/** A module `ham.spam` with one satellite. */
function spam(body: string, options = '', head = ''): string {
  return `${HEAD.replace("import { z } from 'zod';\n", '')}${head}\n@Satellite(${options})\nexport class Spam extends Plugin {\n${body}\n}\n`;
}

const RECORDER = `import { Dict, Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Recorder extends Plugin {
  private readonly taken: Dict[] = [];
  private wanted: (() => void) | undefined;
  receive(dict: Dict) { this.taken.push(dict); this.wanted?.(); }
  @Exposed({ access: 'message' }) async next() {
    while (this.taken.length === 0) await new Promise<void>((resolve) => { this.wanted = resolve; });
    return this.taken.shift();
  }
}`;

interface Started extends TestRelay {
  /** Calls a method, and reads and writes the extensions. */
  readonly ask: (method: string, ...params: Sendable[]) => Promise<Value>;
  /** The data of the next dict that a satellite sent. */
  readonly heard: () => Promise<Value>;
}

async function started(t: ExecutionContext, isolation: 'inline' | 'child', source: string, config: object = {}): Promise<Started> {
  t.timeout(50_000);
  const directory = pluginsDir(t, { 'ham/spam.ts': source, 'test/recorder.ts': RECORDER });
  const relay = await startRelay(t, { pluginsDir: directory, isolation: { 'ham.spam': isolation }, ...config });
  const plugin = relay.status().plugins.plugins.find(({ name }) => name === 'ham.spam');
  t.is(plugin?.kind, isolation);
  t.is(plugin?.file, 'ham/spam.ts');
  t.is(plugin?.state.type, 'ready', plugin?.lastError);
  const ask = async (method: string, ...params: Sendable[]): Promise<Value> => {
    const answer = await call(relay.url, 'ping', [], { body: serialiseCall(method, params, { nil: true, i8: true }) });
    if (answer.kind === 'value') return answer.value;
    throw new Error(`fault ${answer.code}: ${answer.text}`);
  };
  return { ...relay, ask, heard: async () => ((await ask('test.recorder.next', null, new Int64(1n))) as { data: Value }).data };
}

for (const isolation of ISOLATIONS) {
  test.serial(`${isolation}: receive() gets the frozen dict without the stamp, and the context of the message`, async (t) => {
    const { ask, heard, hostId } = await started(
      t,
      isolation,
      spam(`async receive(dict: Dict, context: Context) {
        const { id, hops, ageMs, redelivered, verdict, signal } = context;
        const inner = dict.data as { list: unknown[]; when: Date; bytes: Buffer };
        await this.send({ data: [
          Object.keys(dict), Object.isFrozen(dict) && Object.isFrozen(inner) && Object.isFrozen(inner.list), inner,
          inner.when instanceof Date && Buffer.isBuffer(inner.bytes), Object.getPrototypeOf(inner) === null,
          id.length > 5, hops, ageMs >= 0 && ageMs < 60000, redelivered, verdict, signal.aborted,
          this.toString(), (dict.client_address as unknown[])[0],
        ] });
      }`),
    );
    const data = { list: [1, 1.5, 'é\n', null], when: new Date('2026-01-02T03:04:05Z'), bytes: Buffer.from([0, 255]), big: 2n ** 60n };
    t.true(await ask('notify', { data, extra: true }));
    // The recorder hears what was notified, too.
    await heard();
    const [keys, isFrozen, inner, hasTypes, isBare, hasId, ...rest] = (await heard()) as Value[];
    t.deepEqual([...(keys as readonly string[])].sort(), ['client_address', 'data', 'extra', 'host_id']);
    t.true(isFrozen);
    t.deepEqual({ ...(inner as object) }, data as never);
    t.true(hasTypes);
    t.true(isBare);
    t.true(hasId);
    t.deepEqual(rest, [0, true, false, 'checked', false, 'ham.spam.Spam', '127.0.0.1']);
    t.regex(hostId, /@/);
  });

  test.serial(`${isolation}: send() stamps our host_id and returns the id; invalid values are rejected with the same error`, async (t) => {
    const { ask, hostId } = await started(
      t,
      isolation,
      spam(`
      @Exposed() async say(data: unknown) { return this.send({ data: data as never, host_id: 'forged@1.2.3.4:5' }); }
      @Exposed() async nothing() { try { await this.send({}); return ''; } catch (error) { return String(error); } }
      @Exposed() async wrong() { try { await this.send({ data: (() => 1) as never }); return ''; } catch (error) { return String(error); } }`),
    );
    t.regex((await ask('ham.spam.say', 'hello')) as string, /^[\da-f]{10}\.\w+$/);
    const dict = (await ask('test.recorder.next')) as { data: Value; host_id: Value };
    t.deepEqual([dict.data, dict.host_id], ['hello', hostId]);
    t.regex((await ask('ham.spam.nothing')) as string, /^RelayError: the dict has no member 'data'/);
    t.regex((await ask('ham.spam.wrong')) as string, /^RelayError: struct\.data: a function/);
  });

  test.serial(`${isolation}: values pass unchanged in both directions`, async (t) => {
    const { url, ask } = await started(
      t,
      isolation,
      spam(`
      @Exposed() echo(...values: unknown[]) { return values; }
      @Exposed({ returns: 'double' }) half(n: number) { return n / 2; }
      @Exposed({ returns: 'i8' }) long() { return 7; }
      @Exposed() kept() { return { a: new Double(2), b: [new Int64(3n), null], c: new Date(0), d: Buffer.from('x'), e: new Map([['k', 1]]) }; }
      @Exposed() nothing() { this.debug('nothing'); }`),
    );
    const values = [1, 2.5, true, 'x', new Date(0), Buffer.from('y'), [1, [2]], 2n ** 40n];
    t.deepEqual(await ask('ham.spam.echo', ...values), [...values.slice(0, 7), 2 ** 40]);
    const written = async (method: string): Promise<string> => {
      const body = serialiseCall(method, [4, null, new Int64(1n)], { nil: true, i8: true });
      return (await request(url, { body })).body.toString();
    };
    t.regex(await written('ham.spam.half'), /<double>2\.0<\/double>/);
    t.regex(await written('ham.spam.long'), /<i8>7<\/i8>/);
    const kept = await written('ham.spam.kept');
    for (const part of ['<double>2.0</double>', '<i8>3</i8>', '<nil/>', '<dateTime.iso8601>19700101T00:00:00', '<name>k</name>'])
      t.true(kept.includes(part), `${part} in ${kept}`);
    t.true(await ask('ham.spam.nothing'));
    t.is(parseResponse(Buffer.from(await written('ham.spam.echo'))).kind, 'value');
  });

  test.serial(`${isolation}: faults, errors and invalid parameters are reported the same way`, async (t) => {
    const { url, log, ask, seen } = await started(
      t,
      isolation,
      spam(`
      @Exposed() fault() { throw new Fault(42, 'no such room'); }
      @Exposed() async later() { await Promise.resolve(); throw new Fault(-7, 'later'); }
      @Exposed() broken() { throw new Error('secret /path'); }
      @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a: number, b: number) { return a + b; }
      @Exposed({ returns: 'int' }) liar() { return 'x'; }`),
    );
    t.is(await ask('co2.get_method_signature', 'ham.spam.add'), 'int ham.spam.add(a: int, b: int)');
    const fault = async (method: string, params: Value[] = []): Promise<readonly [number, string]> => {
      const answer = await call(url, method, params);
      return answer.kind === 'fault' ? [answer.code, answer.text] : [0, ''];
    };
    t.deepEqual(await fault('ham.spam.fault'), [42, 'no such room']);
    t.deepEqual(await fault('ham.spam.later'), [-7, 'later']);
    const [code, text] = await fault('ham.spam.broken');
    t.is(code, -32500);
    const id = /^ham\.spam\.broken failed \(error ([\da-f]{8})\): the log of the plugin has the reason \(co2 plugin log ham\.spam\)$/.exec(
      text,
    )?.[1];
    t.truthy(id, text);
    await seen.event('plugin.method_failed', { plugin: 'ham.spam', id, reason: /secret \/path/ });
    t.regex(log.matching(new RegExp(`error ${id!}`)).join(), /secret \/path/);
    t.deepEqual(await fault('ham.spam.add', [1]), [
      -32602,
      'ham.spam.add: 1 parameter given, expected 2 (signature: int ham.spam.add(a: int, b: int))',
    ]);
    t.deepEqual(await fault('ham.spam.liar'), [-32500, 'ham.spam.liar: it returned a string, but declares int']);
    t.is((await fault('ham.spam.nobody'))[0], -32601);
  });

  test.serial(`${isolation}: call() reaches other methods and reports why it fails`, async (t) => {
    const { ask } = await started(
      t,
      isolation,
      spam(`
      @Exposed() async ask(name: string, params: never[]) {
        try { return [await this.call(name, params)]; }
        catch (error) { return [(error as Error).name, String((error as { code: unknown }).code), (error as Error).message]; }
      }
      @Exposed() own() { throw new Fault(9, 'mine'); }`),
    );
    t.deepEqual(await ask('ham.spam.ask', 'test', [[1, 'x']]), [[1, 'x']]);
    t.deepEqual(((await ask('ham.spam.ask', 'no.such', [])) as string[]).slice(0, 2), ['RelayError', 'NO_SUCH_METHOD']);
    t.deepEqual(((await ask('ham.spam.ask', 'relay.get_status', [])) as string[]).slice(0, 2), ['RelayError', 'FORBIDDEN']);
    t.deepEqual(await ask('ham.spam.ask', 'ham.spam.own', []), ['Fault', '9', 'mine']);
  });

  test.serial(`${isolation}: injection, configuration, help, signatures, logging and exit work`, async (t) => {
    const relay = await started(
      t,
      isolation,
      spam(
        `constructor(private readonly helper: Helper, @Inject(LOGGER) private readonly logger: Logger) { super(); }
        private limit = 0;
        async setup(config: { limit: number }) { this.limit = config.limit; this.log('limit is', config.limit); await this.send({ data: 'from setup' }); }
        async exit() { this.logger.warn('%s exits', this); await this.send({ data: 'from exit' }); }
        @Exposed() write(value: unknown) { this.log('got', value); this.debug(value); this.logger.warn('the %s got', 'logger', value); }
        /** Answers the limit,\n * doubled. */
        @Exposed({ access: 'message' }) twice(): number { return this.helper.double(this.limit); }`,
        '{ config: z.object({ limit: z.number().default(5) }) }',
        `import { z } from '${import.meta.resolve('zod')}';
        @Injectable() class Helper { double(n: number) { return 2 * n; } }`,
      ),
    );
    t.is(await relay.heard(), 'from setup');
    t.is(await relay.call('ham.spam.twice'), 10);
    t.is(await relay.call('system.methodHelp', 'ham.spam.twice'), 'Answers the limit,\ndoubled.');
    t.deepEqual(await relay.call('system.methodSignature', 'ham.spam.twice'), [['double']]);
    t.like(await relay.log.line(/limit is 5/), { level: 'info', category: 'plugin.ham.spam' });
    await relay.call('ham.spam.write', { a: { b: [{ c: 1 }] } });
    t.is((await relay.log.line(/^got/)).text, 'got { a: { b: [ [Object] ] } }');
    t.is((await relay.log.line(/^\{ a/)).text, '{ a: { b: [ [Object] ] } }');
    t.is((await relay.log.line(/^the logger/)).text, 'the logger got { a: { b: [ [Object] ] } }');
    await relay.call('ham.spam.write', Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`m${index}`, {}])));
    const { text } = await relay.log.line(/ m99: \{\}/);
    t.regex(
      text,
      isolation === 'child' ? / m99: \{\}, \| {3}'\.\.\.': 50 more members \| \}$/ : / m99: \{\},\n {2}'\.\.\.': 50 more members\n\}$/,
    );
    await relay.stop();
    t.like(await relay.log.line(/ham\.spam\.Spam exits/), { level: 'warn', category: 'plugin.ham.spam' });
    t.is(relay.status().relay.sent, 2);
  });

  test.serial(
    `${isolation}: an invalid configuration aborts the start and names the key; a module that fails to load is skipped`,
    async (t) => {
      const schema = spam('', '{ config: z.object({ limit: z.number() }) }', `import { z } from '${import.meta.resolve('zod')}';`);
      await t.throwsAsync(started(t, isolation, schema, { plugins: { 'ham.spam': { limit: 'many' } } }), {
        code: 'PLUGIN_REFUSED',
        message: /ham\.spam.*key "limit": .*found 'many' \(plugins\['ham\.spam'\] in config\.ts\)/,
      });
      await t.throwsAsync(started(t, isolation, spam(`setup() { throw new Error('no sensor'); }`), { strictStart: true }), {
        code: 'PLUGIN_REFUSED',
        message: /ham\.spam.*refuses to start: no sensor/,
      });
      const directory = pluginsDir(t, { 'ham/spam.ts': 'export class {', 'ham/eggs.ts': RECORDER });
      const relay = await startRelay(t, { pluginsDir: directory, isolation: { 'ham.spam': isolation } });
      const [problem] = relay.status().plugins.problems;
      t.is(problem?.module, 'ham.spam');
      t.regex(`${problem?.file ?? ''} ${problem?.reason ?? ''}`, /ham\/spam\.ts/);
    },
  );

  test.serial(
    `${isolation}: the version is reported; a module that requires another relay version is skipped, and both are logged`,
    async (t) => {
      const versioned = (requires: string): string =>
        spam('@Exposed() answer() { return 1; }', `{ version: '1.2.3', requires: '${requires}' }`);
      const relay = await started(t, isolation, versioned('>=0.1.0'));
      t.is(relay.status().plugins.plugins.find(({ name }) => name === 'ham.spam')?.version, '1.2.3');
      const directory = pluginsDir(t, { 'ham/spam.ts': versioned('>=99'), 'ham/eggs.ts': RECORDER });
      const other = await startRelay(t, { pluginsDir: directory, isolation: { 'ham.spam': isolation } });
      const [problem] = other.status().plugins.problems;
      t.is(problem?.module, 'ham.spam');
      t.regex(problem?.reason ?? '', /ham\.spam\.Spam: its version 1\.2\.3 requires a relay >=99, and this one is \d+\.\d+\.\d+$/);
    },
  );

  test.serial(`${isolation}: a failing receive() is logged with its reason and location, and the next message is delivered`, async (t) => {
    const { ask, heard, log, seen } = await started(
      t,
      isolation,
      spam(
        `async receive(dict: Dict) { if (dict.data === 'bad') throw new Error('cannot take it'); await this.send({ data: ['took', dict.data] }); }`,
      ),
    );
    await ask('notify', { data: 'bad' });
    await ask('notify', { data: 'good' });
    t.deepEqual([await heard(), await heard(), await heard()], ['bad', 'good', ['took', 'good']]);
    await seen.event('inbox.failed', { plugin: 'ham.spam', reason: /cannot take it \(ham\/spam\.ts:\d+:\d+\)/ });
    const [line] = log.lines.all.filter(({ level }) => level === 'error');
    t.regex(line?.text ?? '', /^delivery of .* failed: .*cannot take it/);
  });

  test.serial(`${isolation}: two satellites of one module receive each other's messages but not their own`, async (t) => {
    const relay = await started(
      t,
      isolation,
      `${HEAD.replace("import { z } from 'zod';\n", '')}
      @Satellite() export class Spam extends Plugin {
        @Exposed() async say(data: string) { return this.send({ data }); }
        async receive(dict: Dict) { if (dict.data === 'hello') await this.send({ data: 'Spam heard itself' }); }
      }
      @Satellite() export class Other extends Plugin {
        async receive(dict: Dict, { verdict, hops }: Context) {
          if (dict.data === 'hello') await this.send({ data: ['Other heard', dict.data, typeof dict.host_id, verdict, hops] });
        }
      }
      @Satellite() export class Mute extends Plugin {}`,
    );
    const { ask, heard } = relay;
    await ask('ham.spam.say', 'hello');
    t.is(await heard(), 'hello');
    t.deepEqual(await heard(), ['Other heard', 'hello', 'string', 'local', 0]);
    await ask('ham.spam.say', 'last');
    t.is(await heard(), 'last');
    const satellites = relay.status().plugins.satellites.filter(({ module }) => module === 'ham.spam');
    const told = satellites.map(({ name, state }) => `${name} ${state.type}`);
    t.deepEqual(told, ['ham.spam.Mute running', 'ham.spam.Other running', 'ham.spam.Spam running']);
    t.is(satellites[0]?.delivered, 0);
  });
}

for (const isolation of ISOLATIONS) {
  test.serial(`${isolation}: a result that cannot be serialized is logged under the id that the fault contains`, async (t) => {
    const relay = await started(t, isolation, spam('@Exposed() circle() { const a: unknown[] = []; a.push(a); return a as never; }'));
    const { message } = await t.throwsAsync(relay.call('ham.spam.circle'));
    const [id = '', ...more] = [...message.matchAll(/\(error ([0-9a-f]{8})\)/g)].map((match) => match[1]);
    t.deepEqual(more, []);
    await relay.seen.event('plugin.method_failed', { plugin: 'ham.spam', method: 'ham.spam.circle', id });
    t.is(relay.log.matching(new RegExp(`ham\\.spam\\.circle failed \\(error ${id}\\)`)).length, 1);
    t.is(relay.log.matching(/\(error [0-9a-f]{8}\)/).length, 1);
  });
}

test.serial('the decorator decides where a module runs and is read without executing the module; config.ts overrides it', async (t) => {
  const source = spam('@Exposed() pid() { return process.pid; }', "{ isolation: 'child' }");
  const directory = pluginsDir(t, {
    'ham/spam.ts': source,
    'ham/eggs.ts': source,
    'ham/bacon.ts': spam('@Exposed() pid() { return process.pid; }', "/* isolation: 'child' */"),
  });
  t.timeout(50_000);
  const relay = await startRelay(t, { pluginsDir: directory, isolation: { 'ham.eggs': 'inline' } });
  t.not(await relay.call('ham.spam.pid'), process.pid);
  t.is(await relay.call('ham.eggs.pid'), process.pid);
  t.is(await relay.call('ham.bacon.pid'), process.pid);
  const unknown = startRelay(t, { pluginsDir: directory, isolation: { 'ham.spma': 'child' } });
  const { message } = await rejects(t, unknown, 'CONFIG_INVALID', { option: 'isolation', reason: 'unknown-name' });
  t.regex(message, /'ham\.spma'.*ham\.spam/);
});

test.serial('a configuration that cannot be sent to a child is reported with its path', async (t) => {
  t.timeout(50_000);
  await t.throwsAsync(started(t, 'child', spam(''), { plugins: { 'ham.spam': { onEvent: () => 1 } } }), {
    code: 'PLUGIN_REFUSED',
    message: /its configuration cannot be sent to a child \(isolation\): .*onEvent/,
  });
});

test.serial('a relay plugin in the module of a child is logged as idle only if config.ts does not name it', async (t) => {
  t.timeout(50_000);
  const source = spam('', "{ isolation: 'child' }", '@RelayPlugin() export class Look { onAccept() { return undefined; } }').replace(
    'Satellite,',
    'RelayPlugin, Satellite,',
  );
  const directory = pluginsDir(t, { 'ham/spam.ts': source });
  const idle = await startRelay(t, { pluginsDir: directory });
  await idle.log.line(/Look is a relay plugin and does not run/);
  const used = await startRelay(t, { pluginsDir: directory, relayPlugins: ['ham.spam'] });
  t.is(used.status().relayPlugins[0]?.name, 'ham.spam.Look');
  t.deepEqual(used.log.matching(/is a relay plugin and does not run/), []);
});

/** The plugins that come with the relay, and the example, do what their comments say. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { Double, dictOf } from '../../src/values/values.ts';
import type { Value } from '../../src/values/values.ts';
import { BUNDLED } from '../../src/plugin-host/modules/bundled.ts';
import { PACKAGE_DIR } from '../support/processes.ts';
import { messageOf, satelliteSource, started, writePlugins } from './kit.ts';

const bundled = join(PACKAGE_DIR, 'plugins');
const example = fileURLToPath(new URL('../../examples/plugin-with-config/plugins', import.meta.url));

test('all methods of the bundled plugins have help and a signature', async (t) => {
  const { host, problems } = await started(t, bundled);
  t.deepEqual(problems(), {});
  t.deepEqual(
    host.methods().map(({ name, signature }) => [name, ...(signature ?? [])].join(' ')),
    [
      'chat.room.say string,string,string',
      'chat.room.history array,int',
      'example.echo.say string,string',
      'example.echo.add int,int,int',
      'pd.bridge.send_message int,array',
      'pd.bridge.status struct',
      'validate.interopEchoTests.echoString string,string',
      'validate.interopEchoTests.echoInteger int,int',
      'validate.interopEchoTests.echoFloat double,double',
      'validate.interopEchoTests.echoBoolean boolean,boolean',
      'validate.interopEchoTests.echoStruct struct,struct',
      'validate.interopEchoTests.echoDate dateTime.iso8601,dateTime.iso8601',
      'validate.interopEchoTests.echoBase64 base64,base64',
      'validate.interopEchoTests.echoValue any,any',
      'validate.interopEchoTests.echoStringArray array,array',
      'validate.interopEchoTests.echoIntegerArray array,array',
      'validate.interopEchoTests.echoFloatArray array,array',
      'validate.interopEchoTests.echoStructArray array,array',
      'validate.interopEchoTests.noInParams int',
      'validate.interopEchoTests.whichToolkit struct',
      'validate.validator1.arrayOfStructsTest int,array',
      'validate.validator1.countTheEntities struct,string',
      'validate.validator1.easyStructTest int,struct',
      'validate.validator1.echoStructTest struct,struct',
      'validate.validator1.manyTypesTest array,int,boolean,string,double,dateTime.iso8601,base64',
      'validate.validator1.moderateSizeArrayCheck string,array',
      'validate.validator1.nestedStructTest int,struct',
      'validate.validator1.simpleStructReturnTest struct,int',
      'watch.http.report int,string,any',
    ],
  );
  for (const { name, help } of host.methods()) t.regex(help, /^[A-Z].*\.$/s, name);
});

test('echo answers a ping once, and never its own answer', async (t) => {
  const { host, sent, call, seen } = await started(t, bundled);
  t.is(await call('example.echo.say', 'ham'), 'ham');
  t.is(await call('example.echo.add', 2, 3), 5);
  host.deliver(messageOf('ping', { hopsLeft: 15 }));
  host.deliver(messageOf(dictOf([['pong', 'x@127.0.0.1:1']])));
  await seen.event('inbox.delivered', { satellite: 'example.echo.Echo' }, 2);
  t.deepEqual(
    sent.all.map(({ data }) => data as unknown),
    [{ pong: 'x@127.0.0.1:1', hops: 1 }],
  );
});

test('the room remembers a bounded number of its own and received lines, and ignores other dicts', async (t) => {
  const { host, sent, call, seen } = await started(t, bundled);
  t.is(await call('chat.room.say', 'ann', 'hello'), 'sent.1');
  t.deepEqual(sent.all[0]?.data as unknown, { chat: { nick: 'ann', text: 'hello' } });
  const heard = [
    dictOf([
      [
        'chat',
        dictOf([
          ['nick', 'bob'],
          ['text', 'hi'],
        ]),
      ],
    ]),
    'chat',
    null,
    dictOf([['chat', null]]),
    [1],
  ];
  for (const data of heard) host.deliver(messageOf(data));
  await seen.event('inbox.delivered', { satellite: 'chat.room.Room' }, heard.length);
  t.deepEqual(await call('chat.room.history', 10), ['ann: hello', 'bob: hi']);
  t.deepEqual(await call('chat.room.history', 1), ['bob: hi']);
  t.deepEqual(await call('chat.room.history', 0), []);
  for (let n = 0; n < 300; n++) await call('chat.room.say', 'ann', `line ${n}`);
  const all = (await call('chat.room.history', 1000)) as string[];
  t.is(all.length, 200);
  t.is(all.at(-1), 'ann: line 299');
  await t.throwsAsync(call('chat.room.say', ' ', 'x'), { name: 'Fault', code: 1 });
});

test('each message in the room is one readable line, whatever it contains', async (t) => {
  const { host, call, seen } = await started(t, bundled);
  const said = (nick: string, text: string): Value =>
    dictOf([
      [
        'chat',
        dictOf([
          ['nick', nick],
          ['text', text],
        ]),
      ],
    ]);
  const heard = [
    said('bob', 'hi\r\nann: I am a fool'),
    said('x'.repeat(39) + '🐍', 'y'.repeat(999) + '🐍'),
    said(' ', 'nobody'),
    said('bob', '\u0085\u2028\n'),
  ];
  for (const data of heard) host.deliver(messageOf(data));
  await seen.event('inbox.delivered', { satellite: 'chat.room.Room' }, heard.length);
  t.deepEqual(await call('chat.room.history', 10), ['bob: hi  ann: I am a fool', `${'x'.repeat(39)}: ${'y'.repeat(999)}`]);
  await t.throwsAsync(call('chat.room.say', 'bob', '\n'), { name: 'Fault', code: 2 });
  await call('chat.room.say', 'bob', 'hi\nann: me too');
  t.is(((await call('chat.room.history', 1)) as string[])[0], 'bob: hi ann: me too');
});

test('the example has a checked configuration, an injected helper and its logger', async (t) => {
  const { sent, call, lines } = await started(t, example);
  t.true(lines.all.includes('info plugin.greenhouse.alarm: watches the north wing, warns from 30 °C on'));
  t.deepEqual(await call('greenhouse.alarm.feed', 20), new Double(20));
  t.deepEqual(await call('greenhouse.alarm.feed', 50), new Double(35));
  t.deepEqual(await call('greenhouse.alarm.feed', 50), new Double(40));
  t.deepEqual(
    sent.all.map(({ data }) => data as unknown),
    [{ alarm: 'north wing', celsius: 35 }],
  );
});

test('`bundled` loads bundled packages by name, beside the plugins of the directory, whatever pluginList says', async (t) => {
  t.deepEqual([...BUNDLED], readdirSync(bundled).sort());
  const own = await writePlugins(t, { 'ham/spam.ts': satelliteSource('Who', '@Exposed() who() { return 1; }'), 'eggs/spam.ts': '' });
  const kit = await started(t, own, { bundled: ['example', 'chat'], pluginList: ['ham'] });
  t.deepEqual(kit.names(), ['chat.room.say', 'chat.room.history', 'example.echo.say', 'example.echo.add', 'ham.spam.who']);
  t.is(await kit.call('example.echo.add', 2, 3), 5);
  t.deepEqual(kit.problems(), {});
  t.is(kit.host.status().plugins.find(({ name }) => name === 'chat.room')?.file, 'co2-relay/plugins/chat/room.ts');
  t.true(kit.lines.all.some((line) => /satellites running: 3, from .*, co2-relay\/plugins$/.test(line)));
});

test('`bundled` needs no plugins directory, and finds nothing twice if that is the bundled one', async (t) => {
  const none = await started(t, join(bundled, 'missing'), { bundled: ['example'], directoryRequired: false });
  t.deepEqual(none.names(), ['example.echo.say', 'example.echo.add']);
  const same = await started(t, bundled, { bundled: ['example'] });
  t.deepEqual([same.problems(), same.names().length > 20], [{}, true]);
});

test('a plugin with the name of a bundled one that is turned on is a clash, which names both files', async (t) => {
  const own = await writePlugins(t, { 'chat/room.ts': satelliteSource('Room', '') });
  const kit = await started(t, own, { bundled: ['chat'] });
  t.deepEqual(kit.names(), []);
  t.deepEqual(kit.problems(), {
    'chat/room.ts': 'chat/room.ts and co2-relay/plugins/chat/room.ts would both be module chat.room; rename one',
    'co2-relay/plugins/chat/room.ts': 'co2-relay/plugins/chat/room.ts and chat/room.ts would both be module chat.room; rename one',
  });
});

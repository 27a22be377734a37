/** Reloading a program: a new process replaces the running one, or nothing changes. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NOT_RELOADED } from '../../../src/plugin-host/hosted/hosted.ts';
import { rejects } from '../../support/relay-error.ts';
import { temporaryDir } from '../../support/relays.ts';
import { messageOf } from '../kit.ts';
import { gone, isAlive, programOf } from './kit.ts';

function word(text: string) {
  return messageOf(text, { source: `<struct><member><name>data</name><value><string>${text}</string></value></member></struct>` });
}

test('state is handed over from process to process, and every message reaches exactly one of them', async (t) => {
  const kit = programOf(t, 'hands-over');
  await kit.start();
  const first = kit.plugin.status.pid ?? 0;
  const words = Array.from({ length: 300 }, (_, n) => `w${n}`);
  for (const text of words.slice(0, 100)) kit.deliver(word(text));
  const reloading = kit.plugin.reload();
  t.is(kit.plugin.status.pid, first);
  for (const text of words.slice(100, 200)) kit.deliver(word(text));
  await kit.seen.event('inbox.paused', { satellite: 'ham' });
  for (const text of words.slice(200)) kit.deliver(word(text));
  await reloading;
  await gone(first);
  await kit.seen.event('inbox.delivered', { satellite: 'ham' }, 300);
  t.deepEqual(await kit.call('heard'), words);
  t.like(kit.plugin.status, { state: { type: 'ready' }, restarts: 1, lastError: undefined });
  t.like(kit.plugin.status.satellites[0], { delivered: 300, failed: 0, dropped: 0, waiting: 0 });
  t.deepEqual(
    kit.seen.matching('plugin.state').map(({ state }) => state.type),
    ['starting', 'ready', 'reloading', 'ready'],
  );
});

test('the tokens of both processes are valid while both run', async (t) => {
  const kit = programOf(t, 'good');
  await kit.start();
  const [before] = kit.programs.tokens();
  const reloading = kit.plugin.reload();
  await kit.until('reloading');
  while (kit.programs.tokens().length < 2) await new Promise(setImmediate);
  t.true(kit.programs.tokens().some(({ sha256 }) => sha256 === before?.sha256));
  await reloading;
  t.is(kit.programs.tokens().length, 1);
  t.not(kit.programs.tokens()[0]?.sha256, before?.sha256);
});

test('a new process that does not start changes nothing and is not left behind', async (t) => {
  const marker = join(temporaryDir(t), 'started');
  const kit = programOf(t, 'well-once', { args: [marker] });
  await kit.start();
  const { pid } = kit.plugin.status;
  await t.throwsAsync(kit.plugin.reload(), { code: 'PLUGIN_REFUSED', message: 'plugin ham: it ended with code 6' } as never);
  t.like(kit.plugin.status, {
    state: { type: 'ready' },
    pid,
    restarts: 0,
    ...{ lastError: 'it ended with code 6', reloadError: 'it ended with code 6' },
  });
  t.is(await kit.call('echo', 'still here'), 'still here');
  t.deepEqual(kit.log.matching(/started again|start it by hand/), []);
  t.like(kit.seen.matching('plugin.problem'), [{ plugin: 'ham', outcome: NOT_RELOADED, problem: { reason: 'it ended with code 6' } }]);
  const [line] = kit.log.lines.all.filter(({ level }) => level === 'error');
  t.like(line, { category: 'plugin.ham', text: 'ham: not reloaded, the previous version keeps running: it ended with code 6' });
  t.is(kit.programs.tokens().length, 1);
  rmSync(marker);
  await kit.plugin.reload();
  t.like(kit.plugin.status, { state: { type: 'ready' }, restarts: 1, ...{ lastError: undefined, reloadError: undefined } });
});

test('a new process that fetches its calls cannot replace one with a server', async (t) => {
  const kit = programOf(t, 'changes-form', { args: [join(temporaryDir(t), 'started')] });
  await kit.start();
  await t.throwsAsync(kit.plugin.reload(), {
    code: 'PLUGIN_REFUSED',
    message: /it fetches its calls now, and two such processes cannot be told apart; restart it instead/,
  });
  t.is(await kit.call('echo', 'still here'), 'still here');
});

test('a program that fetches its calls is stopped first, and messages are queued meanwhile', async (t) => {
  const kit = programOf(t, 'poll');
  const answer = async (value: unknown): Promise<string> => {
    const call = (await kit.programs.nextCall('ham', 25_000))!;
    kit.programs.answerCall('ham', call.id, { value: value as never });
    return call.method;
  };
  const starting = kit.start();
  for (const value of [true, {}, { capabilities: ['receive'], methods: [] }, true]) await answer(value);
  await starting;
  const { pid = 0 } = kit.plugin.status;
  const reloading = kit.plugin.reload();
  t.is(await answer(true), 'plugin.stop');
  kit.deliver(word('meanwhile'));
  process.kill(pid, 'SIGTERM');
  await gone(pid);
  await kit.until('starting', 2);
  for (const value of [true, {}, { capabilities: ['receive'], methods: [] }, true]) await answer(value);
  await reloading;
  t.is(await answer(true), 'notify');
  t.true(isAlive(kit.plugin.status.pid ?? 0));
});

test('reloads run one at a time, and a stopped program is not reloaded', async (t) => {
  const kit = programOf(t, 'good');
  const { message } = await rejects(t, kit.plugin.reload(), 'PLUGIN_REFUSED', { reason: 'stopped' });
  t.is(message, 'plugin ham: it is stopped; start it instead');
  await kit.start();
  const { pid = 0 } = kit.plugin.status;
  await Promise.all([kit.plugin.reload(), kit.plugin.reload()]);
  t.is(kit.plugin.status.restarts, 2);
  t.false(isAlive(pid));
  t.is(kit.programs.tokens().length, 1);
  const last = kit.plugin.status.pid ?? 0;
  const given = t.throwsAsync(kit.plugin.reload(), { code: 'UNAVAILABLE' });
  await kit.plugin.stop();
  await given;
  t.false(isAlive(last));
  t.deepEqual(kit.programs.tokens(), []);
});

test('a reload starts a program in back-off at once', async (t) => {
  const kit = programOf(t, 'good', { random: () => 0.999 });
  await kit.start();
  await t.throwsAsync(kit.call('die'));
  await kit.until('backoff');
  await kit.plugin.reload();
  t.is(await kit.call('echo', 'again'), 'again');
});

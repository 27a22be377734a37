/** Programs that start badly, each by one word: what the operator reads, and whether another start is tried. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ProgramRecord } from '../../../src/plugin-host/program/options.ts';
import { temporaryDir } from '../../support/relays.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { gone, pidIn, programOf } from './kit.ts';

const REFUSED: Readonly<Record<string, RegExp>> = {
  garbage: /its first line is no handshake: 'Hello, I am.\[31m a program'; expected co2\|1\|http/,
  'long-garbage': /its first line is no handshake: 'x{80}…'/,
  'bad-version': /it speaks version '9' of the protocol, and this relay speaks 1/,
  'other-machine': /it listens at '192\.0\.2\.1:\d+'; expected 127\.0\.0\.1/,
  'needs-newer': /its version 1\.2\.3 requires a relay >=99, and this one is 0\.9\.0/,
  refuses: /plugin\.setup failed: fault 7: a colour is needed/,
  'refuses-quietly': /plugin\.setup answered false: it refuses its configuration/,
  'foreign-method': /the name relay\.get_status does not begin with 'ham\.'/,
};

for (const [mode, reason] of Object.entries(REFUSED)) {
  test(`${mode}: refused for good, with the reason; no process is left`, async (t) => {
    const kit = programOf(t, mode);
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: reason } as never);
    t.is(kit.plugin.status.state.type, 'failed');
    t.is(kit.plugin.status.pid, undefined);
    t.regex(kit.plugin.status.lastError ?? '', reason);
    t.is(kit.log.matching(/is not started again by itself/).length, 1);
  });
}

const UNSTARTABLE: Readonly<Record<string, (directory: string) => Partial<ProgramRecord>>> = {
  'there is no /.*/nothing': (directory) => ({ exec: join(directory, 'nothing') }),
  "there is no program 'no-such-program-here' on the PATH; write where it lies": () => ({ exec: 'no-such-program-here' }),
  "there is no program 'no-such here.py' on the PATH; exec is the program alone, its arguments stand in args": () => ({
    exec: 'no-such here.py',
  }),
  'there is no /.*/run --fast; exec is the program alone, its arguments stand in args': (directory) => ({
    exec: join(directory, 'run --fast'),
  }),
  'may not be executed by this user': (directory) => ({ exec: script(directory, 0o644) }),
  'every user of this machine can write to /.*/script.sh, and it would be executed': (directory) => ({ exec: script(directory, 0o757) }),
  'its working directory /.*/nowhere \\(cwd\\) is no directory': (directory) => ({ cwd: join(directory, 'nowhere') }),
};

function script(directory: string, mode: number): string {
  const file = join(directory, 'script.sh');
  writeFileSync(file, '#!/bin/sh\n');
  chmodSync(file, mode);
  return file;
}

for (const [reason, record] of Object.entries(UNSTARTABLE)) {
  test(`nothing is started: ${reason}`, async (t) => {
    const kit = programOf(t, 'good', { record: record(temporaryDir(t)) });
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: new RegExp(reason) } as never);
    t.is(kit.plugin.status.state.type, 'failed');
  });
}

test('a folder that every user can write to is none to start a program from', async (t) => {
  const directory = temporaryDir(t);
  const exec = script(directory, 0o755);
  chmodSync(directory, 0o777);
  await t.throwsAsync(programOf(t, 'good', { record: { exec } }).start(), {
    message: /can write to the folder of .*script\.sh; chmod o-w/,
  });
});

test('a configuration that it takes', async (t) => {
  const kit = programOf(t, 'refuses', { record: { config: { colour: 'red' } } });
  await kit.start();
  t.is(kit.plugin.status.state.type, 'ready');
});

test('a program that knows nothing but notify and its server is ready, without methods', async (t) => {
  const kit = programOf(t, 'bare');
  await kit.start();
  t.deepEqual(kit.plugin.methods, []);
  t.is(kit.plugin.status.version, undefined);
});

test('no first line in its time: ended, and tried again', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'no-first-line', { clock, random: () => 0.5 });
  const starting = kit.start();
  const { pid = 0 } = kit.plugin.status;
  clock.advance(10_000);
  await t.throwsAsync(starting, { message: /its first line did not come in 10000 ms \(startTimeoutMs\)/ });
  t.like(kit.plugin.status.state, { type: 'backoff', attempt: 1 });
  await gone(pid);
  t.pass();
});

test('one that ends before its first line, or in its setup, is tried again: its end is the reason', async (t) => {
  for (const [mode, code] of [
    ['crashes', 5],
    ['dies-in-setup', 4],
  ] as const) {
    const kit = programOf(t, mode, { clock: new VirtualClock(), random: () => 0.5 });
    await t.throwsAsync(kit.start(), { message: `plugin ham: it ended with code ${code}` });
    t.is(kit.plugin.status.state.type, 'backoff');
  }
});

test('one that starts a process and exits leaves nothing', async (t) => {
  const file = join(temporaryDir(t), 'pid');
  const kit = programOf(t, 'forks-and-exits', { args: [file], clock: new VirtualClock(), random: () => 0.5 });
  await t.throwsAsync(kit.start(), { message: /it ended with code 0/ });
  await gone(pidIn(file));
  t.pass();
});

test('a crash loop ends in failed, with an alarm in the log; a start by hand tries again', async (t) => {
  const kit = programOf(t, 'crashes');
  await t.throwsAsync(kit.start());
  await kit.until('failed');
  t.like(kit.plugin.status, { restarts: 5, pid: undefined });
  t.regex(kit.plugin.status.lastError ?? '', /it was started 5 times in 60 s and ended each time; the last time: it ended with code 5/);
  t.is(kit.log.lines.all.filter(({ level, text }) => level === 'error' && text.includes('start it by hand')).length, 1);
  await t.throwsAsync(kit.start(), { message: /it ended with code 5/ });
  await kit.until('failed', 2);
});

test('one that recovers is ready', async (t) => {
  const kit = programOf(t, 'recovers', { args: [join(temporaryDir(t), 'starts'), '3'] });
  await t.throwsAsync(kit.start(), { message: /it ended with code 6/ });
  await kit.until('ready');
  t.is(kit.plugin.status.restarts, 2);
  t.is(await kit.call('echo', 'well'), 'well');
});

/** Failed starts, one per fixture mode: the error for the operator, and whether the start is retried. */
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { checkPrograms, findExecutable } from '../../../src/plugin-host/programs/surroundings.ts';
import type { ProgramRecord } from '../../../src/plugin-host/programs/options.ts';
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
  test(`${mode}: the start fails for good with the reason, and no process is left`, async (t) => {
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
  "there is no program 'no-such-program-here' on the PATH of the relay; write where it lies, with a /; its PATH is /.*bin": () => ({
    exec: 'no-such-program-here',
  }),
  "there is no program 'no-such here.py' on the PATH of the relay; exec is the program alone, its arguments stand in args": () => ({
    exec: 'no-such here.py',
  }),
  'there is no /.*/run --fast; exec is the program alone, its arguments stand in args': (directory) => ({
    exec: join(directory, 'run --fast'),
  }),
  'may not be executed by this user': (directory) => ({ exec: script(directory, 0o644) }),
  'every user of this machine can write to /.*/script.sh, and it would be executed': (directory) => ({ exec: script(directory, 0o757) }),
  'its working directory /.*/nowhere \\(cwd\\) is no directory': (directory) => ({ cwd: join(directory, 'nowhere') }),
};

function script(directory: string, mode: number, source = '#!/bin/sh\n'): string {
  const file = join(directory, 'script.sh');
  writeFileSync(file, source);
  chmodSync(file, mode);
  return file;
}

for (const [reason, record] of Object.entries(UNSTARTABLE)) {
  test(`no process is started: ${reason}`, async (t) => {
    const kit = programOf(t, 'good', { record: record(temporaryDir(t)) });
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: new RegExp(reason) } as never);
    t.is(kit.plugin.status.state.type, 'failed');
  });
}

/** First lines of scripts that cannot run -> the reason. */
const NO_INTERPRETER: Readonly<Record<string, RegExp>> = {
  '#!/usr/bin/env nonesuch\n':
    /its first line names 'nonesuch', which is not on the PATH of the program; install it, .*; its PATH is \/own:\/bin$/,
  '#!/usr/bin/env nonesuch -u\n': /names 'nonesuch -u', which is not on the PATH of the program \(with arguments: #!\/usr\/bin\/env -S\)/,
  '#!/usr/bin/env -S nonesuch -u\n': /names 'nonesuch', which is not on the PATH/,
  '#!/usr/bin/env /opt/none/python\n': /names '\/opt\/none\/python', which is not there/,
  '#!/opt/none/python\n':
    /the interpreter of \/.*\/script\.sh is missing: its first line names '\/opt\/none\/python', which is not there; install it, or name another interpreter as exec and the script in args/,
  '#! /opt/none/python -u\n': /names '\/opt\/none\/python', which is not there/,
  '#!/opt/none/python': /names '\/opt\/none\/python'/,
  '#!/etc/passwd\n': /names '\/etc\/passwd', which may not be executed by this user/,
  '#!python3\n': /names 'python3', which is no path .*#!\/usr\/bin\/env/,
  '#!/bin/sh\r\n': /ends with CR LF, so the system looks for '\/bin\/sh\ufffd'; save it with LF alone/,
  '#!/usr/bin/env node\r\n': /ends with CR LF/,
};

for (const [line, reason] of Object.entries(NO_INTERPRETER)) {
  test(`the error names the missing interpreter of a script: ${JSON.stringify(line)}`, async (t) => {
    const record = { exec: script(temporaryDir(t), 0o755, line), env: { PATH: '/own:/bin' } };
    const { message } = await t.throwsAsync(programOf(t, '', { record }).start());
    t.regex(message, reason);
    t.throws(
      () => {
        checkPrograms([{ name: 'ham', ...record }], [], process.env.PATH);
      },
      { code: 'CONFIG_INVALID', message: reason },
    );
  });
}

/** First lines of scripts that can run. */
const INTERPRETERS = [
  '#!/bin/sh -e\n',
  '#!/usr/bin/env sh\n',
  '#!/usr/bin/env -S sh -e\n',
  '#!/usr/bin/env -S A=b sh\n',
  '#! /bin/sh \n',
  '',
  '\x7fELF',
];

test('a script whose interpreter exists is accepted', (t) => {
  for (const line of INTERPRETERS) {
    const exec = script(temporaryDir(t), 0o755, line);
    t.is(findExecutable(exec, process.env.PATH), exec);
  }
});

test('the error for a missing loader does not say that the program is missing', async (t) => {
  // An ELF header for Linux whose loader is /none.
  const exec = join(temporaryDir(t), 'foreign');
  copyFileSync('/bin/true', exec);
  const bytes = readFileSync(exec);
  const at = bytes.indexOf('/lib64/ld-linux');
  t.true(at > 0, 'the loader of this machine has another name');
  bytes.write('/none/', at);
  writeFileSync(exec, bytes);
  await t.throwsAsync(programOf(t, '', { record: { exec } }).start(), {
    code: 'PLUGIN_REFUSED',
    message: /it cannot be started: .*ENOENT; the file is there, but not its interpreter or loader/,
  });
});

test('a program in a world-writable folder is not started', async (t) => {
  const directory = temporaryDir(t);
  const exec = script(directory, 0o755);
  chmodSync(directory, 0o777);
  await t.throwsAsync(programOf(t, 'good', { record: { exec } }).start(), {
    code: 'PLUGIN_REFUSED',
    message: /can write to the folder of .*script\.sh; chmod o-w/,
  });
});

test('a valid configuration is accepted', async (t) => {
  const kit = programOf(t, 'refuses', { record: { config: { colour: 'red' } } });
  await kit.start();
  t.is(kit.plugin.status.state.type, 'ready');
});

test('a program whose server knows only notify becomes ready without methods', async (t) => {
  const kit = programOf(t, 'bare');
  await kit.start();
  t.deepEqual(kit.plugin.methods, []);
  t.is(kit.plugin.status.version, undefined);
});

test('a program that sends no first line in time is killed and restarted', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'no-first-line', { clock, random: () => 0.5 });
  const starting = kit.start();
  const { pid = 0 } = kit.plugin.status;
  clock.advance(10_000);
  await t.throwsAsync(starting, { code: 'PLUGIN_REFUSED', message: /its first line did not come in 10000 ms \(startTimeoutMs\)/ });
  t.like(kit.plugin.status.state, { type: 'backoff', attempt: 1 });
  await gone(pid);
  t.pass();
});

test('a program that exits before its first line or during setup is restarted, and its exit is the reason', async (t) => {
  for (const [mode, code] of [
    ['crashes', 5],
    ['dies-in-setup', 4],
  ] as const) {
    const kit = programOf(t, mode, { clock: new VirtualClock(), random: () => 0.5 });
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: `plugin ham: it ended with code ${code}` });
    t.is(kit.plugin.status.state.type, 'backoff');
  }
});

test('a program that starts a process and exits leaves nothing running', async (t) => {
  const file = join(temporaryDir(t), 'pid');
  const kit = programOf(t, 'forks-and-exits', { args: [file], clock: new VirtualClock(), random: () => 0.5 });
  await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: /it ended with code 0/ });
  await gone(pidIn(file));
  t.pass();
});

test('a crash loop ends in failed with an alarm in the log, and a manual start tries again', async (t) => {
  const kit = programOf(t, 'crashes');
  await t.throwsAsync(kit.start());
  await kit.until('failed');
  t.like(kit.plugin.status, { restarts: 5, pid: undefined });
  t.regex(kit.plugin.status.lastError ?? '', /it was started 5 times in 60 s and ended each time; the last time: it ended with code 5/);
  t.is(kit.log.lines.all.filter(({ level, text }) => level === 'error' && text.includes('start it by hand')).length, 1);
  await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: /it ended with code 5/ });
  await kit.until('failed', 2);
});

test('a program that recovers becomes ready', async (t) => {
  const kit = programOf(t, 'recovers', { args: [join(temporaryDir(t), 'starts'), '3'] });
  await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: /it ended with code 6/ });
  await kit.until('ready');
  t.is(kit.plugin.status.restarts, 2);
  t.is(await kit.call('echo', 'well'), 'well');
});

/** The state directory: made once, kept, private, and refused with a remedy where it is damaged. */
import { chmodSync, chownSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { ErrorData } from '../../src/core/core.ts';
import { FileTooLarge, requireOwn, readSmallFile } from '../../src/state/files.ts';
import { StateFile, openStateDirectory } from '../../src/state/state.ts';
import { run } from '../support/processes.ts';
import { refuses, rejects } from '../support/relay-error.ts';
import { temporaryDir } from '../support/relays.ts';

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

async function refusal(t: ExecutionContext, directory: string, data?: ErrorData): Promise<string> {
  const { message } = await rejects(t, openStateDirectory(directory), 'STATE_DIRECTORY', data);
  t.regex(message, /^[^\n]{10,400}$/);
  return message;
}

test('the first start makes a private directory with a name and a token, and nothing else', async (t) => {
  const directory = join(temporaryDir(t), 'deep', 'state');
  const state = await openStateDirectory(directory);
  t.is(mode(directory), '700');
  t.is(mode(join(directory, 'admin.token')), '600');
  t.is(mode(join(directory, 'host-id')), '600');
  t.deepEqual(readdirSync(directory).sort(), ['admin.token', 'host-id', 'node.key']);
  t.regex(state.hostIdRandom, /^[0-9a-f]{16}$/);
  t.regex(state.adminToken, /^[A-Za-z0-9_-]{43}$/);
  t.is(readFileSync(join(directory, 'admin.token'), 'utf8').trim(), state.adminToken);
  t.like(state, { path: directory, cacheDir: join(directory, 'cache') });
});

test('the second start keeps both', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  const first = await openStateDirectory(directory);
  t.deepEqual(await openStateDirectory(directory), first);
});

test('two directories have nothing in common', async (t) => {
  const [one, other] = await Promise.all([openStateDirectory(join(temporaryDir(t), 'a')), openStateDirectory(join(temporaryDir(t), 'b'))]);
  t.not(one.hostIdRandom, other.hostIdRandom);
  t.not(one.adminToken, other.adminToken);
});

test('starters at once agree, and leave nothing behind', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  const states = await Promise.all(Array.from({ length: 20 }, () => openStateDirectory(directory)));
  for (const state of states) t.deepEqual(state, states[0]);
  t.deepEqual(readdirSync(directory).sort(), ['admin.token', 'host-id', 'node.key']);
});

test('a token that an operator wrote is used, with or without a newline', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  mkdirSync(directory);
  writeFileSync(join(directory, 'admin.token'), 'my-own-token_1', { mode: 0o600 });
  t.is((await openStateDirectory(directory)).adminToken, 'my-own-token_1');
  writeFileSync(join(directory, 'admin.token'), 'my-own-token_2\r\n');
  t.is((await openStateDirectory(directory)).adminToken, 'my-own-token_2');
});

test('a deleted file is created again', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  const first = await openStateDirectory(directory);
  rmSync(join(directory, 'admin.token'));
  const second = await openStateDirectory(directory);
  t.not(second.adminToken, first.adminToken);
  t.is(second.hostIdRandom, first.hostIdRandom);
});

const DAMAGED: readonly (readonly [what: string, content: string])[] = [
  ['empty', ''],
  ['a newline', '\n'],
  ['too short', 'abc'],
  ['two lines', 'abcdefgh12345678\nabcdefgh12345678\n'],
  ['a blank inside', 'abcdefgh 12345678'],
  ['zeros, as after a crash', '\0'.repeat(17)],
  ['something else', '<html></html>'],
  ['far too long', 'x'.repeat(100_000)],
];

for (const file of ['host-id', 'admin.token']) {
  for (const [what, content] of DAMAGED) {
    test(`${file} is ${what}: refused by name with a remedy, and left as it is`, async (t) => {
      const directory = join(temporaryDir(t), 'state');
      mkdirSync(directory);
      writeFileSync(join(directory, file), content, { mode: 0o600 });
      const path = join(directory, file);
      const text = await refusal(t, directory, { reason: content.length > 1000 ? 'unreadable' : 'damaged', path });
      t.true(text.includes(path), text);
      t.regex(text, /restore it, or delete it/);
      t.is(readFileSync(join(directory, file), 'utf8'), content);
    });
  }

  test(`${file} is a directory: refused by name`, async (t) => {
    const directory = join(temporaryDir(t), 'state');
    mkdirSync(join(directory, file), { recursive: true });
    const text = await refusal(t, directory);
    t.true(text.includes(join(directory, file)), text);
  });

  test(`${file} is a dangling link: rejected, and no secret is written to its target`, async (t) => {
    const directory = join(temporaryDir(t), 'state');
    mkdirSync(directory);
    symlinkSync(join(directory, '..', 'elsewhere'), join(directory, file));
    await refusal(t, directory);
    t.throws(() => statSync(join(directory, '..', 'elsewhere')), { code: 'ENOENT' });
  });
}

for (const open of [0o644, 0o640, 0o604, 0o660, 0o666, 0o610]) {
  test(`a token of mode ${open.toString(8)} is refused with the command that helps`, async (t) => {
    const directory = join(temporaryDir(t), 'state');
    await openStateDirectory(directory);
    chmodSync(join(directory, 'admin.token'), open);
    const text = await refusal(t, directory);
    t.true(text.includes(join(directory, 'admin.token')) && text.includes(`mode ${open.toString(8)}`), text);
    t.regex(text, /chmod 600/);
    chmodSync(join(directory, 'admin.token'), 0o600);
    await t.notThrowsAsync(openStateDirectory(directory));
  });
}

test('a file is in the place of the directory, or of one of its parents', async (t) => {
  const base = temporaryDir(t);
  writeFileSync(join(base, 'file'), '');
  for (const directory of [join(base, 'file'), join(base, 'file', 'state')]) {
    const text = await refusal(t, directory);
    t.true(text.includes(directory), text);
    t.regex(text, /expected a directory, found a file; choose another with --data/);
  }
});

test('a directory that others may write in is refused: they could put a token there', async (t) => {
  const directory = temporaryDir(t);
  for (const open of [0o777, 0o770, 0o702]) {
    chmodSync(directory, open);
    const error = await rejects(t, openStateDirectory(directory), 'STATE_DIRECTORY', { reason: 'open-to-others', path: directory });
    t.regex(error.message, /can be written by other users .*chmod 700/);
  }
  chmodSync(directory, 0o755);
  await t.notThrowsAsync(openStateDirectory(directory));
});

test('files of another user are refused, with the owner and what to do', async (t) => {
  const require = (): void => {
    requireOwn('/state', { uid: 1001 }, 1000);
  };
  const error = refuses(t, require, 'STATE_DIRECTORY', { reason: 'other-owner', path: '/state' });
  t.regex(error.message, /^\/state belongs to user 1001, but this process runs as user 1000: .*chown.*--data$/);
  t.notThrows(() => {
    requireOwn('/state', { uid: 1000 }, 1000);
  });
  // Only root may give files away.
  if (process.geteuid?.() !== 0) return;
  const directory = join(temporaryDir(t), 'state');
  await openStateDirectory(directory);
  for (const path of [directory, join(directory, 'admin.token'), join(directory, 'host-id')]) {
    chownSync(path, 1234, 0);
    t.true((await refusal(t, directory)).startsWith(`${path} belongs to user 1234, but`));
    chownSync(path, 0, 0);
  }
  const file = new StateFile(join(directory, 'satellites.json'), 1000);
  await file.save(() => []);
  chownSync(file.path, 1234, 0);
  await rejects(
    t,
    file.load((value) => value),
    'STATE_DIRECTORY',
    { reason: 'other-owner', path: file.path },
  );
});

test('a FIFO, a link or an endless file does not block', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  mkdirSync(directory, { mode: 0o700 });
  for (const name of ['host-id', 'admin.token']) {
    await run(t, 'mkfifo', ['-m', '600', join(directory, name)]).exit;
    t.regex(await refusal(t, directory), new RegExp(`${name} cannot be read: it is not a regular file; restore it, or delete it`));
    rmSync(join(directory, name));
  }
  await openStateDirectory(directory);
  const elsewhere = join(directory, '..', 'elsewhere');
  writeFileSync(elsewhere, 'abcdefgh12345678', { mode: 0o600 });
  rmSync(join(directory, 'admin.token'));
  symlinkSync(elsewhere, join(directory, 'admin.token'));
  t.regex(await refusal(t, directory), /admin\.token cannot be read: expected a file, found a symbolic link/);
  t.is(readSmallFile(join(directory, 'admin.token'), { maxBytes: 16, links: 'follow' }), 'abcdefgh12345678');
  t.throws(() => readSmallFile(elsewhere, { maxBytes: 15, links: 'follow' }), { instanceOf: FileTooLarge });
  const file = new StateFile(join(directory, 'satellites.json'), 1000);
  await run(t, 'mkfifo', [file.path]).exit;
  const { message } = await rejects(
    t,
    file.load((value) => value),
    'STATE_DIRECTORY',
    { reason: 'unreadable', path: file.path },
  );
  t.regex(message, /it is not a regular file$/);
});

test('a place where nothing can be written', async (t) => {
  const text = await refusal(t, '/proc/co2-state');
  t.regex(text, /\/proc\/co2-state.*choose another with --data/);
});

test('no refusal shows the token', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  const { adminToken } = await openStateDirectory(directory);
  chmodSync(join(directory, 'admin.token'), 0o644);
  t.false((await refusal(t, directory)).includes(adminToken));
  writeFileSync(join(directory, 'admin.token'), 'secret secret');
  t.false((await refusal(t, directory)).includes('secret secret'));
});

/** The file of tokens: made, revoked, read again when it changes, and refused when it cannot be trusted. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readSecret } from '../../src/access/configured-tokens.ts';
import { TokenFile, addToken, listTokens, removeToken } from '../../src/access/access.ts';
import { LogRecord } from '../support/log-record.ts';
import { run } from '../support/processes.ts';
import { refuses, rejects } from '../support/relay-error.ts';
import { temporaryDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const NOW = new Date('2026-11-21T00:00:00Z');
const add = (dir: string, name: string): Promise<string> => addToken(dir, { name, classes: ['read'], methods: ['*'] }, undefined, NOW);
const names = (tokens: readonly { readonly name: string }[]): string[] => tokens.map(({ name }) => name);

function watched(t: ExecutionContext): { dir: string; file: string; clock: VirtualClock; log: LogRecord; open: () => TokenFile } {
  const dir = temporaryDir(t);
  const clock = new VirtualClock();
  const log = new LogRecord();
  return { dir, file: join(dir, 'tokens.json'), clock, log, open: () => new TokenFile(dir, clock, log.source('app')) };
}

test('a token has 256 bits, and the file, for its owner alone, has but its hash', async (t) => {
  const { dir, file } = watched(t);
  const token = await add(dir, 'ci');
  t.regex(token, /^[A-Za-z0-9_-]{43}$/);
  t.not(await add(dir, 'other'), token);
  t.is(statSync(file).mode & 0o777, 0o600);
  const text = readFileSync(file, 'utf8');
  t.false(text.includes(token));
  t.true(text.includes(createHash('sha256').update(token).digest('hex')));
  t.deepEqual(readdirSync(dir), ['tokens.json'], 'nothing is left beside it');
});

test('names are unique, plain, and not admin', async (t) => {
  const { dir } = watched(t);
  await add(dir, 'ci');
  t.regex((await rejects(t, add(dir, 'ci'), 'INVALID_PARAMS', { reason: 'name-taken' })).message, /'ci'; revoke it first/);
  for (const name of ['', 'admin', 'a b', '../x', '-a', 'x'.repeat(65), 'a\n'])
    await rejects(t, add(dir, name), 'INVALID_PARAMS', { reason: 'invalid-name' });
  const unknown = await rejects(t, removeToken(dir, 'cj'), 'INVALID_PARAMS', { reason: 'unknown-name' });
  t.regex(unknown.message, /'cj'; did you mean "ci"/);
  t.deepEqual(names(listTokens(dir)), ['ci']);
});

test('ten tokens created at once are all stored', async (t) => {
  const { dir } = watched(t);
  await Promise.all(Array.from({ length: 10 }, (_, index) => add(dir, `t${index}`)));
  t.is(listTokens(dir).length, 10);
});

test('a running relay sees a change at the latest a second later, and asks the disk no more often', async (t) => {
  const { dir, clock, open } = watched(t);
  const tokens = open();
  t.deepEqual(tokens.all(), []);
  await add(dir, 'ci');
  clock.advance(999);
  t.deepEqual(tokens.all(), []);
  clock.advance(1);
  t.deepEqual(names(tokens.all()), ['ci']);
  t.is(tokens.all(), tokens.all(), 'the same array');
  await removeToken(dir, 'ci');
  clock.advance(1000);
  t.deepEqual(tokens.all(), []);
});

test('an unreadable file keeps the previous tokens, is logged once, and is read again when it is valid', async (t) => {
  const { dir, file, clock, log, open } = watched(t);
  await add(dir, 'ci');
  const whole = readFileSync(file);
  const tokens = open();
  for (const spoil of [
    () => {
      writeFileSync(file, whole.subarray(0, 50));
    },
    () => {
      chmodSync(file, 0o644);
    },
  ]) {
    const before = log.matching(/previous tokens stay valid/).length;
    spoil();
    for (let look = 0; look < 3; look++) {
      clock.advance(1000);
      t.deepEqual(names(tokens.all()), ['ci']);
    }
    t.is(log.matching(/previous tokens stay valid/).length, before + 1, 'told once');
    writeFileSync(file, whole);
    chmodSync(file, 0o600);
    clock.advance(1000);
    t.deepEqual(names(tokens.all()), ['ci']);
  }
  t.true(log.lines.all.some(({ level }) => level === 'error'));
});

test('a change that cannot be read at the first check is read at the next, so revoked tokens stay revoked', async (t) => {
  const { dir, clock, log } = watched(t);
  const [whole, broken, current] = ['whole', 'broken', 'current'].map((name) => join(dir, name)) as [string, string, string];
  const lead = (to: string): void => {
    rmSync(current, { force: true });
    symlinkSync(to, current);
  };
  // The same file at both looks, to its last nanosecond; but a link to it is not read.
  for (const path of [whole, broken]) mkdirSync(path);
  symlinkSync(join(whole, 'tokens.json'), join(broken, 'tokens.json'));
  lead(whole);
  await add(current, 'ci');
  const tokens = new TokenFile(current, clock, log.source('app'));
  await removeToken(current, 'ci');
  lead(broken);
  clock.advance(1000);
  t.deepEqual(names(tokens.all()), ['ci']);
  lead(whole);
  clock.advance(1000);
  t.deepEqual(tokens.all(), []);
  t.is(log.matching(/has changed: 0 tokens/).length, 1);
});

test('after five looks in vain, or as long, no token of the file is valid until it can be read', async (t) => {
  const { dir, file, clock, log, open } = watched(t);
  await add(dir, 'ci');
  const tokens = open();
  const whole = readFileSync(file);
  const spoil = (): void => {
    writeFileSync(file, 'x');
  };
  spoil();
  for (let look = 1; look <= 4; look++) {
    clock.advance(1000);
    t.deepEqual(names(tokens.all()), ['ci'], `look ${look}`);
  }
  for (let look = 5; look <= 8; look++) {
    clock.advance(1000);
    t.deepEqual(tokens.all(), [], `look ${look}`);
  }
  t.is(log.matching(/all its tokens are invalid until it can be read/).length, 1);
  writeFileSync(file, whole);
  clock.advance(1000);
  t.deepEqual(names(tokens.all()), ['ci']);
  spoil();
  clock.advance(1000);
  tokens.all();
  clock.advance(60_000);
  t.deepEqual(tokens.all(), [], 'nobody looked for a minute');
});

const BAD: readonly (readonly [what: string, content: string, says: RegExp])[] = [
  ['empty', '', /is damaged; restore it, or delete it/],
  ['cut', '{"version":1,"tokens":[{"na', /is damaged/],
  ['of another version', '{"version":2,"tokens":[]}', /is damaged \(at version\)/],
  ['of a class that there is not', tokenWith('"classes":["write"]'), /is damaged \(at tokens\.0\.classes\.0\)/],
  ['with a hash that is none', tokenWith('"classes":[],"sha256":"00"'), /is damaged \(at tokens\.0\.sha256\)/],
  ['with a glob that is none', tokenWith('"classes":[],"methods":["a b"]'), /is damaged \(at tokens\.0\.methods\.0\)/],
  ['with an end that is no date', tokenWith('"classes":[],"expires":"soon"'), /is damaged \(at tokens\.0\.expires\)/],
  ['too large', ' '.repeat(1_100_000), /larger than 1048576 bytes/],
];

function tokenWith(members: string): string {
  const rest = { name: 'a', sha256: '0'.repeat(64), methods: [], created: NOW.toISOString() };
  return `{"version":1,"tokens":[${JSON.stringify({ ...rest, ...(JSON.parse(`{${members}}`) as object) })}]}`;
}

for (const [what, content, says] of BAD) {
  test(`a file that is ${what} stops the start and every edit, and stays as it is`, async (t) => {
    const { dir, file, open } = watched(t);
    writeFileSync(file, content, { mode: 0o600 });
    const data = { reason: content.length > 1_000_000 ? 'unreadable' : 'damaged', path: file } as const;
    t.regex(refuses(t, open, 'STATE_DIRECTORY', data).message, says);
    await rejects(t, add(dir, 'x'), 'STATE_DIRECTORY', data);
    await rejects(t, removeToken(dir, 'x'), 'STATE_DIRECTORY', data);
    t.is(readFileSync(file, 'utf8'), content);
  });
}

test('a file that others may read, and a directory in its place, stop the start', (t) => {
  const one = watched(t);
  writeFileSync(one.file, '{"version":1,"tokens":[]}', { mode: 0o600 });
  chmodSync(one.file, 0o640);
  const open = refuses(t, one.open, 'STATE_DIRECTORY', { reason: 'open-to-others', path: one.file });
  t.regex(open.message, /\(mode 640\): run chmod 600/);
  const two = watched(t);
  mkdirSync(two.file);
  const directory = refuses(t, two.open, 'STATE_DIRECTORY', { reason: 'unreadable', path: two.file });
  t.regex(directory.message, /expected a file, found a directory; make it a file/);
});

test('a stale lock is reported with its path', async (t) => {
  const { dir, file } = watched(t);
  writeFileSync(`${file}.lock`, '');
  const { message } = await rejects(t, add(dir, 'x'), 'STATE_DIRECTORY', { reason: 'locked', path: `${file}.lock` });
  t.regex(message, /delete the file/);
});

test('a secret of the operator from a file or the environment, and every way in which it can be invalid', async (t) => {
  const dir = temporaryDir(t);
  const file = join(dir, 'secret');
  const SECRET = 'correct-horse-battery';
  const from = (content: string | undefined, mode = 0o600): string => {
    if (content !== undefined) {
      writeFileSync(file, content);
      chmodSync(file, mode);
    }
    return readSecret('access.tokens.ci', { file }, {});
  };
  const refused = (run: () => unknown, says: RegExp): void => {
    const { message } = refuses(t, run, 'CONFIG_INVALID', { option: 'access.tokens.ci' });
    t.regex(message, says);
    t.true(message.startsWith('access.tokens.ci: ') && !message.includes('short'));
  };
  refused(() => from(undefined), /secret cannot be read: there is no such file/);
  t.is(from(`${SECRET}\n`), SECRET);
  t.is(readSecret('access.tokens.ci', { env: 'CI' }, { CI: SECRET }), SECRET);
  refused(() => from(''), /is empty/);
  refused(() => from(' \n'), /is empty/);
  refused(() => from('short'), /16 to 512/);
  refused(() => from('two words that are long'), /without spaces/);
  refused(() => from(SECRET, 0o604), /open to all users.*chmod/);
  refused(() => readSecret('access.tokens.ci', { file: dir }, {}), /cannot be read: expected a file, found a directory/);
  refused(() => from('x'.repeat(5000)), /larger than 4096 bytes/);
  await run(t, 'mkfifo', ['-m', '600', join(dir, 'fifo')]).exit;
  refused(() => readSecret('access.tokens.ci', { file: join(dir, 'fifo') }, {}), /it is not a regular file/);
  refused(() => readSecret('access.tokens.ci', { env: 'CI' }, {}), /variable CI is not set/);
  refused(() => readSecret('access.tokens.ci', { env: 'CI' }, { CI: '' }), /variable CI is empty/);
});

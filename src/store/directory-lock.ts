/** One relay per state directory: a socket in it that answers as long as its relay lives, and falls silent with it, however that ends. */
import { mkdtemp, open, rm, stat, symlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayError } from '../message/message.ts';
import { inTurn } from './in-turn.ts';
import { isCode, systemReason } from './system-reason.ts';

const NAME = 'relay.lock';
// The system's limit for the path of a socket, with its final zero, is 104 bytes on some, 108 on Linux.
const MAX_PATH_BYTES = 100;
// Somebody else may take a stale lock away, or its place, between two of our steps.
const TRIES = 3;
// A relay could not keep anything there either.
const UNUSABLE = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'] as const;

/**
 * Takes the lock of `directory` and answers what lets it go. Throws a RelayError STATE_DIRECTORY if a living relay has it, or if the directory cannot be written.
 * Where there can be no sockets (some network file systems) nothing is locked.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  if (process.platform === 'win32') return () => Promise.resolve();
  const short = await shortName(directory);
  try {
    const server = await takeLock(directory, short.path);
    return async () => {
      await close(server);
      await short.release();
    };
  } catch (error) {
    await short.release();
    if (RelayError.is(error)) throw error;
    if (!UNUSABLE.some((code) => isCode(error, code))) return () => Promise.resolve();
    const text = `${join(directory, NAME)} cannot be made: ${systemReason(error)}; choose another directory with --data`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error });
  }
}

/** The process of the relay that has the state directory, `unknown` if it does not say; undefined if none has it. */
export async function lockHolder(directory: string): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  const short = await shortName(directory).catch(() => undefined);
  try {
    return short && (await askHolder(join(short.path, NAME)));
  } finally {
    await short?.release();
  }
}

async function takeLock(directory: string, short: string): Promise<Server> {
  const path = join(short, NAME);
  for (let tries = 1; ; tries++) {
    try {
      return await listen(path);
    } catch (error) {
      if (!isCode(error, 'EADDRINUSE')) throw error;
      if (tries === TRIES) throw new RelayError('STATE_DIRECTORY', `${join(directory, NAME)} is taken again and again; start one relay`);
    }
    await refuseIfHeld(path, directory);
    // Only one process at a time removes a stale lock, or it might remove the one that another has just made.
    await inTurn({ lock: join(directory, `${NAME}.stale`), who: 'relay that starts', removesStale: true }, async () => {
      const before = await stat(path).catch(() => undefined);
      await refuseIfHeld(path, directory);
      if ((await stat(path).catch(() => undefined))?.ino === before?.ino) await rm(path, { force: true });
    });
  }
}

interface ShortName {
  /** Names the directory by so few bytes that a socket in it can be named. */
  readonly path: string;
  readonly release: () => Promise<void>;
}

/** A path of `directory` to make and reach a socket by; its own if that is short enough. */
async function shortName(directory: string): Promise<ShortName> {
  if (Buffer.byteLength(join(directory, NAME)) <= MAX_PATH_BYTES) return { path: directory, release: () => Promise.resolve() };
  if (process.platform === 'linux') {
    // Open as long as the path is used: the number would be another directory's afterwards.
    const handle: FileHandle = await open(directory, 'r');
    return { path: `/proc/self/fd/${handle.fd}`, release: () => handle.close() };
  }
  const own = await mkdtemp(join(tmpdir(), 'co2-'));
  await symlink(directory, join(own, 'd'));
  return { path: join(own, 'd'), release: () => rm(own, { recursive: true, force: true }) };
}

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${process.pid}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return server;
}

// Closing removes the file.
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

async function refuseIfHeld(path: string, directory: string): Promise<void> {
  const holder = await askHolder(path);
  if (holder === undefined) return;
  throw new RelayError(
    'STATE_DIRECTORY',
    `the state directory ${directory} is in use by the relay of process ${holder}; choose another with --data`,
  );
}

/** The process behind the socket, undefined if there is none. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ path });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => (answer += text));
    socket.once('end', () => {
      resolve(/^\d{1,10}/.exec(answer)?.[0] ?? 'unknown');
    });
    // Only these say that nobody is there; whatever else is wrong, somebody may be.
    socket.once('error', (error) => {
      resolve(isCode(error, 'ECONNREFUSED') || isCode(error, 'ENOENT') ? undefined : 'unknown');
    });
  });
}

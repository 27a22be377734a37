/**
 * Ensures that one relay at most uses a state directory. The lock is a unix socket on which its holder tells its process id and addresses;
 * the kernel closes it when the process ends, so it can be neither stale nor forged.
 */
import { mkdtemp, open, rm, stat, symlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { withLockFile } from './lock-file.ts';
import { isCode, systemReason } from './files.ts';

interface BoundAddress {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

/** Where a relay listens. */
export interface Listening {
  readonly scheme: 'http' | 'https';
  readonly addresses: readonly BoundAddress[];
  /** Absolute; undefined if it has no unix socket. */
  readonly unixSocket?: string | undefined;
  /** The absolute path of the configuration file that it read; undefined if it read none. */
  readonly configFile?: string | undefined;
}

/** The relay that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Undefined while the relay is starting, or if it is an older version that does not tell. */
  readonly listening: Listening | undefined;
}

const LOCK_NAME = 'relay.lock';
// Another process may remove a dead relay's socket, or create its own, between two of our steps.
const MAX_ATTEMPTS = 3;
// Long enough for a relay that is alive but busy.
const ANSWER_TIMEOUT_MS = 10_000;
// An address takes about 60 bytes, and a relay listens on a few.
const MAX_ANSWER_BYTES = 64 * 1024;
// The path of a socket, with its terminating zero, is limited to 104 bytes on some systems and to 108 on Linux.
const MAX_PATH_BYTES = 100;
// With these errors, a relay could not write its state in the directory either.
const UNUSABLE = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'] as const;

/**
 * Locks `directory`, and returns the function that unlocks it. Rejects with a RelayError STATE_DIRECTORY if a running relay holds the
 * lock, or if the directory is not writable. Where sockets are not possible (some network file systems) nothing is locked. A client that
 * connects to the socket receives what `listening` returns at that moment.
 */
export async function lockDirectory(
  directory: string,
  listening: () => Listening | undefined = () => undefined,
): Promise<() => Promise<void>> {
  if (process.platform === 'win32') return () => Promise.resolve();
  const short = await shortPath(directory);
  try {
    const server = await takeLock(directory, short.path, listening);
    return async () => {
      await close(server);
      await short.release();
    };
  } catch (error) {
    await short.release();
    if (RelayError.is(error)) throw error;
    if (!UNUSABLE.some((code) => isCode(error, code))) return () => Promise.resolve();
    const text = `${join(directory, LOCK_NAME)} cannot be created: ${systemReason(error)}; choose another directory with --data`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error, data: { reason: 'unwritable', path: directory } });
  }
}

/**
 * The relay that holds the lock; undefined if none does. Rejects with a RelayError: TIMEOUT if it does not answer, TRANSPORT if the
 * connection fails.
 */
export async function askLock(directory: string, timeoutMs: number): Promise<LockHolder | undefined> {
  const short = await shortPath(directory);
  try {
    return await askSocket(join(short.path, LOCK_NAME), join(directory, LOCK_NAME), timeoutMs);
  } finally {
    await short.release();
  }
}

async function takeLock(directory: string, short: string, listening: () => Listening | undefined): Promise<Server> {
  const path = join(short, LOCK_NAME);
  for (let attempt = 1; ; attempt++) {
    try {
      return await listen(path, listening);
    } catch (error) {
      if (!isCode(error, 'EADDRINUSE')) throw error;
      if (attempt === MAX_ATTEMPTS)
        throw new RelayError('STATE_DIRECTORY', `${join(directory, LOCK_NAME)}: other relays keep locking it; start only one`, {
          data: { reason: 'locked', path: directory },
        });
    }
    await refuseIfHeld(path, directory);
    // Only one process at a time removes a dead relay's socket, or it might remove the one that another process has just created.
    await withLockFile({ path: join(directory, `${LOCK_NAME}.stale`), holder: 'starting relay', removesStale: true }, async () => {
      const before = await stat(path).catch(() => undefined);
      await refuseIfHeld(path, directory);
      if ((await stat(path).catch(() => undefined))?.ino === before?.ino) await rm(path, { force: true });
    });
  }
}

async function listen(path: string, listening: () => Listening | undefined): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const current = listening();
    socket.end(`${process.pid}\n${current === undefined ? '' : `${JSON.stringify(current)}\n`}`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return server;
}

// Closing removes the socket's file.
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

async function refuseIfHeld(path: string, directory: string): Promise<void> {
  // If the question fails, a relay may still be running.
  const holder = await askSocket(path, join(directory, LOCK_NAME), ANSWER_TIMEOUT_MS).catch(() => ({ pid: 0 }));
  if (holder === undefined) return;
  const pid = holder.pid === 0 ? 'unknown' : holder.pid;
  throw new RelayError(
    'STATE_DIRECTORY',
    `the state directory ${directory} is in use by the relay of process ${pid}; choose another with --data`,
    { data: { reason: 'locked', path: directory } },
  );
}

/** Reads the holder from the socket at `path`; `name` is its path in errors. */
function askSocket(path: string, name: string, timeoutMs: number): Promise<LockHolder | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const socket = connect({ path });
    const fail = (code: 'TIMEOUT' | 'TRANSPORT', reason: string): void => {
      socket.destroy();
      reject(new RelayError(code, `${name}: ${reason}`));
    };
    const timer = setTimeout(() => {
      fail('TIMEOUT', `the relay that holds it did not answer within ${timeoutMs} ms`);
    }, timeoutMs);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) fail('TRANSPORT', 'its answer is too long');
    });
    socket.once('end', () => {
      resolve(holderIn(Buffer.concat(chunks).toString('utf8')));
    });
    socket.once('error', (error) => {
      // Only these two mean that there is no relay.
      if (isCode(error, 'ECONNREFUSED') || isCode(error, 'ENOENT')) resolve(undefined);
      else fail('TRANSPORT', `cannot connect to it: ${error.message}`);
    });
    socket.once('close', () => {
      clearTimeout(timer);
    });
  });
}

function holderIn(answer: string): LockHolder {
  const [pid = '', line = ''] = answer.split('\n', 2);
  return { pid: Number(/^\d{1,10}$/.exec(pid)?.[0] ?? 0), listening: listeningIn(line) };
}

// Checked by hand: a schema library would take a client command longer to load than its whole work.
function listeningIn(line: string): Listening | undefined {
  try {
    const { scheme, addresses, unixSocket, configFile } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (scheme !== 'http' && scheme !== 'https') return undefined;
    if (!Array.isArray(addresses) || !addresses.every(isBoundAddress)) return undefined;
    return { scheme, addresses, unixSocket: textOr(unixSocket), configFile: textOr(configFile) };
  } catch {
    return undefined;
  }
}

function isBoundAddress(value: unknown): value is BoundAddress {
  if (typeof value !== 'object' || value === null) return false;
  const { address, port } = value as Readonly<Record<string, unknown>>;
  return typeof address === 'string' && Number.isInteger(port);
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

interface ShortPath {
  /** Names the directory in so few bytes that a socket in it can be addressed. */
  readonly path: string;
  readonly release: () => Promise<void>;
}

/** A path by which a socket in `directory` can be addressed; the path itself if it is short enough. */
async function shortPath(directory: string): Promise<ShortPath> {
  if (Buffer.byteLength(join(directory, LOCK_NAME)) <= MAX_PATH_BYTES) return { path: directory, release: () => Promise.resolve() };
  if (process.platform === 'linux') {
    // The handle stays open while the path is in use: its number could name another directory afterwards.
    const handle = await open(directory, 'r');
    return { path: `/proc/self/fd/${handle.fd}`, release: () => handle.close() };
  }
  const own = await mkdtemp(join(tmpdir(), 'co2-'));
  await symlink(directory, join(own, 'd'));
  return { path: join(own, 'd'), release: () => rm(own, { recursive: true, force: true }) };
}

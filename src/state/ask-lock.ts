/** Asks the lock of a state directory which relay has it and where that listens: the kernel ends the lock's socket with its relay, so nobody else can answer. */
import { mkdtemp, open, rm, symlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RelayError } from '../core/core.ts';
import { isCode } from './system-reason.ts';

/** Where a relay listens. */
export interface Listening {
  readonly scheme: 'http' | 'https';
  /** Canonical addresses with their ports. */
  readonly addresses: readonly { readonly address: string; readonly port: number }[];
  /** Absolute; undefined if it has no unix socket. */
  readonly unixSocket?: string | undefined;
}

export interface LockHolder {
  readonly pid: number;
  /** Undefined while the relay starts, and if it is one of an older version. */
  readonly listening: Listening | undefined;
}

const LISTENING = z.object({
  scheme: z.enum(['http', 'https']),
  addresses: z.array(z.object({ address: z.string(), port: z.int() })),
  unixSocket: z.string().optional(),
});
export const LOCK_NAME = 'relay.lock';
// An address takes some 60 bytes, and a relay listens on a few.
const MAX_ANSWER_BYTES = 64 * 1024;
// The system's limit for the path of a socket, with its final zero, is 104 bytes on some, 108 on Linux.
const MAX_PATH_BYTES = 100;

/** What the lock of a relay answers. */
export function lockAnswer(listening: Listening | undefined): string {
  return `${process.pid}\n${listening === undefined ? '' : `${JSON.stringify(listening)}\n`}`;
}

/** The relay that has the state directory, undefined if none has. Rejects with a RelayError TIMEOUT if it does not answer, TRANSPORT if it cannot be asked. */
export async function askLock(directory: string, timeoutMs: number): Promise<LockHolder | undefined> {
  const short = await shortPath(directory);
  try {
    return await askSocket(join(short.path, LOCK_NAME), join(directory, LOCK_NAME), timeoutMs);
  } finally {
    await short.release();
  }
}

export interface ShortPath {
  /** Names the directory by so few bytes that a socket in it can be named. */
  readonly path: string;
  readonly release: () => Promise<void>;
}

/** A path of `directory` to make and reach a socket by; its own if that is short enough. */
export async function shortPath(directory: string): Promise<ShortPath> {
  if (Buffer.byteLength(join(directory, LOCK_NAME)) <= MAX_PATH_BYTES) return { path: directory, release: () => Promise.resolve() };
  if (process.platform === 'linux') {
    // Open as long as the path is used: the number would be another directory's afterwards.
    const handle: FileHandle = await open(directory, 'r');
    return { path: `/proc/self/fd/${handle.fd}`, release: () => handle.close() };
  }
  const own = await mkdtemp(join(tmpdir(), 'co2-'));
  await symlink(directory, join(own, 'd'));
  return { path: join(own, 'd'), release: () => rm(own, { recursive: true, force: true }) };
}

/** As {@link askLock}, for the socket at `path`, which an error calls `name`. */
export function askSocket(path: string, name: string, timeoutMs: number): Promise<LockHolder | undefined> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ path });
    const fail = (code: 'TIMEOUT' | 'TRANSPORT', reason: string): void => {
      socket.destroy();
      reject(new RelayError(code, `${name}: ${reason}`));
    };
    const timer = setTimeout(() => {
      fail('TIMEOUT', `the relay that has it did not answer in ${timeoutMs} ms`);
    }, timeoutMs);
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > MAX_ANSWER_BYTES) fail('TRANSPORT', 'its answer is too long');
    });
    socket.once('end', () => {
      resolve(holderIn(answer));
    });
    socket.once('error', (error) => {
      // Only these say that nobody is there.
      if (isCode(error, 'ECONNREFUSED') || isCode(error, 'ENOENT')) resolve(undefined);
      else fail('TRANSPORT', `it cannot be asked: ${error.message}`);
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

function listeningIn(line: string): Listening | undefined {
  try {
    return LISTENING.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** One relay per state directory: a socket in it that answers as long as its relay lives, and falls silent with it, however that ends. */
import { rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { inTurn } from './in-turn.ts';
import { LOCK_NAME, askSocket, lockAnswer, shortPath } from './ask-lock.ts';
import type { Listening } from './ask-lock.ts';
import { isCode, systemReason } from './system-reason.ts';

// Somebody else may take a stale lock away, or its place, between two of our steps.
const TRIES = 3;
// For a relay that is alive and busy.
const ANSWER_MS = 10_000;
// A relay could not keep anything there either.
const UNUSABLE = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'] as const;

/**
 * Takes the lock of `directory` and answers what lets it go. Throws a RelayError STATE_DIRECTORY if a living relay has it, or if the directory cannot be written.
 * Where there can be no sockets (some network file systems) nothing is locked. The lock answers what `listening` returns at that moment.
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
    const text = `${join(directory, LOCK_NAME)} cannot be made: ${systemReason(error)}; choose another directory with --data`;
    throw new RelayError('STATE_DIRECTORY', text, { cause: error });
  }
}

async function takeLock(directory: string, short: string, listening: () => Listening | undefined): Promise<Server> {
  const path = join(short, LOCK_NAME);
  for (let tries = 1; ; tries++) {
    try {
      return await listen(path, listening);
    } catch (error) {
      if (!isCode(error, 'EADDRINUSE')) throw error;
      if (tries === TRIES)
        throw new RelayError('STATE_DIRECTORY', `${join(directory, LOCK_NAME)} is taken again and again; start one relay`);
    }
    await refuseIfHeld(path, directory);
    // Only one process at a time removes a stale lock, or it might remove the one that another has just made.
    await inTurn({ lock: join(directory, `${LOCK_NAME}.stale`), who: 'relay that starts', removesStale: true }, async () => {
      const before = await stat(path).catch(() => undefined);
      await refuseIfHeld(path, directory);
      if ((await stat(path).catch(() => undefined))?.ino === before?.ino) await rm(path, { force: true });
    });
  }
}

async function listen(path: string, listening: () => Listening | undefined): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(lockAnswer(listening()));
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
  // Whatever goes wrong with the question, a relay may be there.
  const holder = await askSocket(path, join(directory, LOCK_NAME), ANSWER_MS).catch(() => ({ pid: 0 }));
  if (holder === undefined) return;
  throw new RelayError(
    'STATE_DIRECTORY',
    `the state directory ${directory} is in use by the relay of process ${holder.pid === 0 ? 'unknown' : holder.pid}; choose another with --data`,
  );
}

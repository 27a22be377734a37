/** One relay per state directory: a socket in it that answers as long as its relay lives, and falls silent with it, however that ends. */
import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { RelayError } from '../message/message.ts';
import { inTurn } from './in-turn.ts';
import { lockAnswer } from './ask-lock.ts';
import type { Listening } from './ask-lock.ts';
import { isCode, systemReason } from './system-reason.ts';

// The system's limit for the path of a socket is 104 bytes on some.
const MAX_PATH_BYTES = 100;
// Somebody else may take a stale lock away, or its place, between two of our steps.
const TRIES = 3;
// A relay could not keep anything there either.
const UNUSABLE = ['EACCES', 'EROFS', 'ENOSPC'] as const;

/**
 * Takes the lock of `directory` and answers what lets it go. Throws a RelayError STATE_DIRECTORY if a living relay has it. Where there can be no sockets (a path too long,
 * some network file systems) nothing is locked. The lock answers what `listening` returns at that moment.
 */
export async function lockDirectory(
  directory: string,
  listening: () => Listening | undefined = () => undefined,
): Promise<() => Promise<void>> {
  const path = join(directory, 'relay.lock');
  if (process.platform === 'win32' || Buffer.byteLength(path) > MAX_PATH_BYTES) return () => Promise.resolve();
  for (let tries = 1; ; tries++) {
    try {
      return await listen(path, listening);
    } catch (error) {
      if (!isCode(error, 'EADDRINUSE') && !UNUSABLE.some((code) => isCode(error, code))) return () => Promise.resolve();
      if (!isCode(error, 'EADDRINUSE') || tries === TRIES)
        throw new RelayError('STATE_DIRECTORY', `${path} cannot be made: ${systemReason(error)}; choose another directory with --data`, {
          cause: error,
        });
    }
    await refuseIfHeld(path, directory);
    // Whoever takes a stale one away asks again while no other does the same, or he might take away what the other has just made.
    await inTurn(`${path}.stale`, 'relay that starts', async () => {
      await refuseIfHeld(path, directory);
      await rm(path, { force: true });
    });
  }
}

async function listen(path: string, listening: () => Listening | undefined): Promise<() => Promise<void>> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(lockAnswer(listening()));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return () => close(server);
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

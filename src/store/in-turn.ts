/** One process at a time: a file that only one can make. */
import { open, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { RelayError } from '../message/message.ts';
import { isCode } from './system-reason.ts';

const TRIES = 40;
const PAUSE_MS = 50;

/** Does `work` while nobody else does any under `lock`, a path. Throws a RelayError STATE_DIRECTORY if somebody keeps it for two seconds; `who` does such work. */
export async function inTurn<T>(lock: string, who: string, work: () => Promise<T>): Promise<T> {
  await take(lock, who);
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function take(lock: string, who: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      return;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      if (tries === TRIES)
        throw new RelayError('STATE_DIRECTORY', `${lock} is there: another ${who} is at work; if none is, one was killed: delete the file`);
      await pause(PAUSE_MS);
    }
  }
}

/** `co2 stop`: stops the relay that runs on a state directory of this machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RelayError, reasonOf } from '../core/core.ts';
import { askLock } from '../state/internal.ts';
import { runningRelay } from './find-relay.ts';
import type { TargetFlags } from './target.ts';
import { toJson } from './values.ts';

const LOOK_MS = 50;
const ANSWER_MS = 10_000;

/** Sends SIGTERM and waits until the relay has released its state directory. Rejects with a RelayError. */
export async function stop(flags: TargetFlags): Promise<void> {
  if (flags.url !== undefined)
    throw new RelayError(
      'CONFIG_INVALID',
      'stop ends the relay of a state directory on this machine: select it with --data, not with --url',
    );
  const { pid, dataDir } = await runningRelay(flags);
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    throw new RelayError('STATE_DIRECTORY', `process ${pid}, the relay of ${dataDir}, cannot be stopped: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const end = performance.now() + flags.timeout * 1000;
  while ((await holderOf(dataDir)) === pid) {
    if (performance.now() >= end)
      throw new RelayError(
        'STATE_DIRECTORY',
        `process ${pid} is still stopping after ${flags.timeout} s (--timeout); its log says what it waits for`,
      );
    await sleep(LOOK_MS);
  }
  process.stdout.write(`${flags.json === true ? toJson({ stopped: pid, data: dataDir }) : `stopped the relay (process ${pid})`}\n`);
}

/** Finds the process that holds the lock. If it does not respond, it is already shutting down. */
async function holderOf(dataDir: string): Promise<number | undefined> {
  return (await askLock(dataDir, ANSWER_MS).catch(() => undefined))?.pid;
}

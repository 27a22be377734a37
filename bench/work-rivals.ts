/** What users would pick for units of work: BullMQ with Redis, which syncs each write as ours does, and a pool of processes. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from './free-port.ts';
import { PACKAGES_VARIABLE, optionalPackage } from './optional-package.ts';
import { cpuSeconds } from './peers.ts';
import type { Peers } from './peers.ts';
import type { RivalReport } from './peers/work-rival-messages.ts';

/** What a rival needs for a number of units. */
export interface RivalCost extends RivalReport {
  /** Processor time of everything but the submitter, where the system tells. */
  readonly cpuSeconds: number;
}

const BULLMQ = 'BullMQ with Redis';

export class Rival {
  readonly name: string;
  readonly #submitter: ChildProcess;
  readonly #pids: readonly number[];

  constructor(name: string, submitter: ChildProcess, pids: readonly number[]) {
    this.name = name;
    this.#submitter = submitter;
    this.#pids = pids;
  }

  async measure(units: number, inFlight: number): Promise<RivalCost> {
    const before = this.#cpuSeconds();
    this.#submitter.send({ units, inFlight });
    const report = await answerOf<RivalReport>(this.#submitter, this.name);
    return { ...report, cpuSeconds: this.#cpuSeconds() - before };
  }

  #cpuSeconds(): number {
    return this.#pids.reduce((sum, pid) => sum + (cpuSeconds({ pid }) ?? NaN), 0);
  }
}

/** Starts those that are available; the others are skipped, and named. */
export async function startRivals(peers: Peers): Promise<readonly Rival[]> {
  const pool = peers.fork('work-rival.ts', ['pool', 'submit']);
  const { pids } = await answerOf<{ readonly pids: readonly number[] }>(pool, 'the pool');
  const bull = await startBullMq(peers);
  return [...(bull ? [bull] : []), new Rival('a pool of processes', pool, pids)];
}

async function startBullMq(peers: Peers): Promise<Rival | undefined> {
  if (optionalPackage('bullmq') === undefined) {
    peers.skipped.push(`${BULLMQ}: bullmq is not installed (${PACKAGES_VARIABLE} names the directory)`);
    return undefined;
  }
  const port = await freePort();
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', peers.directory];
  const redis = await peers.installed(BULLMQ, port, 'redis-server', [...where, ...durable]);
  if (!redis) return undefined;
  try {
    const worker = peers.fork('work-rival.ts', ['bullmq', 'work', String(port)]);
    await answerOf(worker, BULLMQ);
    const submitter = peers.fork('work-rival.ts', ['bullmq', 'submit', String(port)]);
    await answerOf(submitter, BULLMQ);
    return new Rival(BULLMQ, submitter, [redis.pid, worker.pid ?? 0]);
  } catch (error) {
    peers.skipped.push(`${BULLMQ}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function answerOf<T>(program: ChildProcess, name: string): Promise<T> {
  const answered = new AbortController();
  const ended = once(program, 'exit', { signal: answered.signal }).then(() => Promise.reject(new Error(`${name} ended by itself`)));
  // It is awaited in the race only.
  ended.catch(() => undefined);
  const [message] = (await Promise.race([once(program, 'message'), ended])) as [T];
  answered.abort();
  return message;
}

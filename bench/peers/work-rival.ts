/**
 * What users would pick for units of work, each in a process of its own: BullMQ, if it is installed, and a pool of processes that gets its
 * work by messages.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { optionalPackage } from '../optional-package.ts';
import { median } from '../statistics.ts';
import type { RivalCommand, RivalReport } from './work-rival-messages.ts';

/** The part of BullMQ that is used. */
interface BullMq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => { add(name: string, data: object): Promise<BullJob>; setMaxListeners(most: number): void };
  readonly QueueEvents: new (name: string, options: object) => { waitUntilReady(): Promise<unknown>; setMaxListeners(most: number): void };
  readonly Worker: new (
    name: string,
    run: (job: { readonly data: { readonly payload: string } }) => Promise<object>,
    options: object,
  ) => { waitUntilReady(): Promise<unknown> };
}

interface BullJob {
  waitUntilFinished(events: object): Promise<{ readonly bytes: number }>;
}

const QUEUE = 'bench';
const POOL = 2;
// As `workLimits.maxRunning`.
const RUNNING = 8;
// As `workLimits.maxKept`.
const KEPT = 10_000;

/** Does a unit of work; resolves to its result. */
type Submit = () => Promise<{ readonly bytes: number }>;

const run = async ({ payload }: { readonly payload: string }): Promise<{ bytes: number }> => Promise.resolve({ bytes: payload.length });

async function bullMq(): Promise<BullMq> {
  return (await import(optionalPackage('bullmq') ?? 'bullmq')) as BullMq;
}

async function bullWorker(port: number): Promise<void> {
  const { Worker } = await bullMq();
  const worker = new Worker(QUEUE, async ({ data }) => run(data), { connection: { host: '127.0.0.1', port }, concurrency: RUNNING });
  await worker.waitUntilReady();
}

async function bullSubmit(port: number): Promise<Submit> {
  const { Queue, QueueEvents } = await bullMq();
  const connection = { host: '127.0.0.1', port };
  const queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: { count: KEPT } } });
  const events = new QueueEvents(QUEUE, { connection });
  // Each job that is waited for has some.
  queue.setMaxListeners(1_000);
  events.setMaxListeners(1_000);
  await events.waitUntilReady();
  return async () => (await queue.add('once', { payload: 'x' })).waitUntilFinished(events);
}

/** Work that goes to the processes in turns. */
function poolSubmit(): { readonly submit: Submit; readonly pids: readonly number[] } {
  const waiting = new Map<number, (result: { readonly bytes: number }) => void>();
  const children = Array.from({ length: POOL }, (): ChildProcess => {
    const child = fork(fileURLToPath(import.meta.url), ['pool', 'work'], { execArgv: process.execArgv });
    child.on('message', ({ id, bytes }: { readonly id: number; readonly bytes: number }) => {
      waiting.get(id)?.({ bytes });
      waiting.delete(id);
    });
    return child;
  });
  let last = 0;
  const submit: Submit = () =>
    new Promise((resolve) => {
      const id = ++last;
      waiting.set(id, resolve);
      children[id % POOL]?.send({ id, payload: 'x' });
    });
  return { submit, pids: children.map(({ pid }) => pid ?? 0) };
}

async function measure(submit: Submit, { units, inFlight }: RivalCommand): Promise<RivalReport> {
  const times: number[] = [];
  const began = performance.now();
  let left = units;
  const submitter = async (): Promise<void> => {
    while (left-- > 0) {
      const start = performance.now();
      const { bytes } = await submit();
      if (bytes !== 1) throw new Error('a wrong result');
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, submitter));
  return { seconds: (performance.now() - began) / 1_000, medianMs: median(times) };
}

const [kind = '', role = '', port = '0'] = process.argv.slice(2);
const tell = (report: RivalReport | { readonly pids: readonly number[] }): boolean | undefined => process.send?.(report);
if (role === 'work' && kind === 'pool') {
  process.on('message', ({ id, payload }: { readonly id: number; readonly payload: string }) => {
    void run({ payload }).then(({ bytes }) => process.send?.({ id, bytes }));
  });
} else if (role === 'work') {
  await bullWorker(Number(port));
  tell({ pids: [] });
} else {
  const { submit, pids } = kind === 'pool' ? poolSubmit() : { submit: await bullSubmit(Number(port)), pids: [] };
  process.on('message', (command: RivalCommand) => {
    void measure(submit, command).then(tell);
  });
  tell({ pids });
}

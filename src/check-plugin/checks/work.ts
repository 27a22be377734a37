/** Checks of the work that a program offers: how it is begun, how it pushes its results, how it ends, and how it is canceled. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault, RelayError, clean, withTimeout } from '../../core/core.ts';
import type { Sendable } from '../../values/values.ts';
import type { Description } from '../../plugin-host/programs/internal.ts';
import type { Check, Exam } from '../exam.ts';
import { describeError, failed, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { WorkRun } from '../work-run.ts';

const SECTION = 'Work';
// A push that comes while this one is not answered yet did not wait for it.
const ANSWER_MS = 50;
// What is pushed after the end, or after no more was wanted, comes within this time.
const AFTERWARDS_MS = 300;
const PAYLOAD = Buffer.from('a payload\nof two lines\n');

/** Work that a program offers. */
type Offered = Description['work'][number];

const EXECUTE: Check = {
  name: 'plugin.execute is answered before the work is done',
  section: SECTION,
  expected: 'an answer within 5 s, whatever it is',
  advice: 'begin the work in a thread or process of its own, or answer first, and push the results afterwards',
  needsMain: true,
  when: offersWork,
  run: async (exam) => {
    const { main, parts } = exam;
    for (const offered of exam.description?.work ?? []) {
      const run = new WorkRun(offered.type, () => later(exam, true));
      exam.runs.push(run);
      await execute(exam, offered, run, parts.limits.pingMs);
      parts.signal.throwIfAborted();
      if (main.end) break;
    }
    return ok(exam.runs.map(({ type }) => type).join(', '));
  },
};

const ENDS: Check = {
  name: 'its work pushes its end',
  section: SECTION,
  expected: 'a last relay.push_items with the option end: true, or error: a text that says why it failed',
  advice: 'end each unit of work with relay.push_items(stream, items, {end: true}), also if there is nothing to push, and after an error',
  needsMain: true,
  when: ran,
  run: async ({ runs, parts: { clock, limits } }) => {
    const seen: string[] = [];
    for (const { type, ended, pushes } of runs) {
      const end = await withTimeout(clock, limits.callMs, `${type}: no end within ${limits.callMs} ms`, () => ended);
      if (typeof end === 'object' && end.error.trim() === '') return failed(`${type}: an error without a text`);
      const items = pushes.reduce((sum, { items: { length } }) => sum + length, 0);
      seen.push(
        `${type}: ${items === 1 ? '1 item' : `${items} items`}${typeof end === 'object' ? `, then '${clean(end.error, 100)}'` : ''}`,
      );
    }
    return ok(seen.join('; '));
  },
};

const PUSHES: Check = {
  name: 'its pushes wait for each other, and hold structs, texts or bytes',
  section: SECTION,
  expected: 'at most 10,000 structs, strings or base64 in a push; the next push after the answer to the last one; none after the end',
  advice: 'push the next items when relay.push_items has answered: the answer is the permission for them',
  needsMain: true,
  when: ran,
  run: async (exam) => {
    await pause(exam, AFTERWARDS_MS);
    const run = exam.runs.find(({ wrong }) => wrong !== undefined);
    if (run) return failed(`${run.type}: ${run.wrong ?? ''}`);
    const stray = exam.parts.relay.strayPushes;
    return stray === undefined ? ok() : failed(`it pushed to the stream '${clean(stray, 60)}', which is none of its own`);
  },
};

const UNWANTED: Check = {
  name: 'it pushes no more when no more is wanted',
  section: SECTION,
  expected: 'no push after the answer false, except one that ends the work',
  advice: 'look at the answer of relay.push_items: false means that the work was canceled, so end it',
  needsMain: true,
  when: ran,
  run: async (exam) => {
    const { unwanted, type } = await stopFirst(exam, () => later(exam, false));
    return unwanted === 0 ? ok() : failed(`${type}: ${unwanted} more ${unwanted === 1 ? 'push' : 'pushes'}`);
  },
};

const CANCEL: Check = {
  name: 'plugin.cancel ends its work',
  section: SECTION,
  expected: 'an answer to plugin.cancel within 5 s, and no push after it, except one that ends the work',
  advice: 'have plugin.cancel(stream), answer true, and end the work of that stream; answer true for a stream that is over, too',
  needsMain: true,
  when: ran,
  run: async (exam) => {
    const { main, parts } = exam;
    let canceling: Promise<unknown> | undefined;
    const { unwanted, type } = await stopFirst(exam, async (stream) => {
      canceling ??= main.call('plugin.cancel', [stream], parts.limits.stopMs);
      canceling.catch(() => undefined);
      // A server with one thread takes the call once this push is answered.
      return later(exam, false);
    });
    try {
      await canceling;
      // Its work may be over already; that is no reason for a fault.
      await main.call('plugin.cancel', ['no-such-stream'], parts.limits.stopMs);
    } catch (error) {
      if (RelayError.is(error) && error.code === 'NO_SUCH_METHOD')
        return note('it has no method plugin.cancel', 'without it, work that pushes nothing goes on in vain until it ends by itself');
      throw error;
    }
    return unwanted === 0 ? ok() : failed(`${type}: ${unwanted} more ${unwanted === 1 ? 'push' : 'pushes'}`);
  },
};

const UNKNOWN_TYPE: Check = {
  name: 'work that it does not offer is refused',
  section: SECTION,
  expected: 'a fault of plugin.execute, or an error as the end of the stream, with a text that says why',
  advice: 'compare the type with those of plugin.describe, and answer fault -32602 to any other',
  needsMain: true,
  when: ran,
  run: async (exam) => {
    const type = `${exam.parts.record.name}:no_such_work`;
    return refused(exam, { type, payload: 'bytes' }, {}, failed);
  },
};

const UNKNOWN_PARAM: Check = {
  name: 'a parameter that its work does not know is refused',
  section: SECTION,
  expected: 'a fault of plugin.execute, or an error as the end of the stream, that names the parameter',
  advice: 'refuse parameters that the work does not know, so that a misspelt one is noticed',
  needsMain: true,
  when: (exam) => ran(exam) && withParams(exam) !== undefined,
  run: async (exam) => {
    const offered = withParams(exam);
    return offered ? refused(exam, offered, { no_such_parameter: 1 }, note) : ok();
  },
};

/** The checks of this file. They run the program's work, so they are made on request only, as its methods are called on request. */
export const WORK: readonly Check[] = [EXECUTE, ENDS, PUSHES, UNWANTED, CANCEL, UNKNOWN_TYPE, UNKNOWN_PARAM];

function offersWork({ parts, description }: Exam): boolean {
  return parts.callsMethods && (description?.work.length ?? 0) > 0;
}

function ran(exam: Exam): boolean {
  return offersWork(exam) && exam.runs.length > 0;
}

function withParams({ description }: Exam): Offered | undefined {
  return description?.work.find(({ takesParams }) => takesParams);
}

/** Runs its first work, and answers its first push with `answer`. Resolves when what it pushes afterwards has come. */
async function stopFirst(exam: Exam, answer: (stream: string) => Promise<boolean>): Promise<WorkRun> {
  const [offered] = exam.description?.work ?? [];
  if (!offered) throw new Error('it offers no work');
  const { clock, limits, relay } = exam.parts;
  const run: WorkRun = new WorkRun(offered.type, () => answer(relay.idOf(run)));
  await execute(exam, offered, run, limits.pingMs);
  await withTimeout(clock, limits.callMs, `${offered.type}: no push within ${limits.callMs} ms`, () => run.firstPush);
  await pause(exam, ANSWER_MS + AFTERWARDS_MS);
  return run;
}

/** Begins work that it has to refuse. */
async function refused(
  exam: Exam,
  offered: Pick<Offered, 'type' | 'payload'>,
  params: Readonly<Record<string, Sendable>>,
  bad: (found: string) => Outcome,
): Promise<Outcome> {
  const { clock, limits } = exam.parts;
  const run = new WorkRun(offered.type, () => later(exam, true));
  try {
    await execute(exam, offered, run, limits.pingMs, params);
  } catch (error) {
    if (Fault.is(error) || (RelayError.is(error) && ['INVALID_PARAMS', 'APPLICATION'].includes(error.code)))
      return ok(describeError(error));
    throw error;
  }
  const end = await withTimeout(clock, limits.callMs, `neither a fault nor an end within ${limits.callMs} ms`, () => run.ended);
  return typeof end === 'object' ? ok(`'${clean(end.error, 100)}'`) : bad('it ran it as if nothing were wrong');
}

/** Calls plugin.execute. Rejects with what it answers instead of a result. */
async function execute(
  { main, parts: { relay, clock } }: Exam,
  { type, payload }: Pick<Offered, 'type' | 'payload'>,
  run: WorkRun,
  timeoutMs: number,
  params: Readonly<Record<string, Sendable>> = {},
): Promise<void> {
  const stream = relay.open(run);
  const job = { unit: `check-${stream}`, stream, params, submitter: 'co2 check-plugin' };
  if (payload === 'bytes') {
    await main.call('plugin.execute', [type, { ...job, payload: PAYLOAD }], timeoutMs);
    return;
  }
  const directory = await mkdtemp(join(tmpdir(), 'co2-check-'));
  const path = join(directory, 'payload');
  await writeFile(path, PAYLOAD);
  // The file is there until the work has ended.
  const remove = (): void => void rm(directory, { recursive: true, force: true });
  void run.ended.then(remove);
  clock.after(timeoutMs, remove);
  await main.call('plugin.execute', [type, { ...job, payload_path: path }], timeoutMs);
}

/** The answer to a push after some time, so that pushes that do not wait for it are noticed. */
async function later(exam: Exam, isWanted: boolean): Promise<boolean> {
  await pause(exam, ANSWER_MS);
  return isWanted;
}

function pause({ parts: { clock } }: Exam, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

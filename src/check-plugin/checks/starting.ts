/** Checks from the program's start to its first line. */
import type { Check, Exam } from '../exam.ts';
import { failed, ok, note } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import type { CheckedProcess } from '../checked-process.ts';

const IN_TIME: Check = {
  name: 'its first line comes in time',
  section: 'The first line',
  expected: 'one line on its standard output',
  advice:
    'print co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll with a newline, and flush: most languages buffer output that is not a terminal',
  isVital: true,
  needsMain: true,
  run: async (exam) => {
    exam.main = exam.parts.start();
    return lineOf(exam.main, exam);
  },
};

const WELL_FORMED: Check = {
  name: 'its first line is valid',
  section: 'The first line',
  expected: 'co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll, at most 1,024 bytes',
  advice: 'write nothing else to standard output before it; write texts for people to standard error',
  isVital: true,
  needsMain: true,
  run: async ({ main }) => {
    const handshake = main.greet((await main.firstLine) ?? '');
    return ok(handshake.form === 'http' ? `it has a server on port ${handshake.port}` : 'it polls for its calls');
  },
};

const SECRET_PATH: Check = {
  name: 'its path is a secret',
  section: 'The first line',
  expected: 'a path that cannot be guessed: / and CO2_PLUGIN_TOKEN, or at least 16 letters and digits of its own',
  advice: 'use / and the value of CO2_PLUGIN_TOKEN',
  needsMain: true,
  when: ({ isHttp }) => isHttp,
  run: async ({ main: { handshake } }) => {
    const path = handshake?.form === 'http' ? handshake.path : '';
    return path.length > 16 ? ok() : failed(`the path is ${path}`);
  },
};

/** The checks of the main process up to its first line. */
export const STARTING: readonly Check[] = [IN_TIME, WELL_FORMED, SECRET_PATH];

/** Waits for the first line of a process. */
async function lineOf(process: CheckedProcess, { parts: { clock, limits } }: Exam): Promise<Outcome> {
  const begin = clock.now();
  let cancelTimer = (): void => undefined;
  const late = new Promise<'late'>((resolve) => {
    cancelTimer = clock.after(limits.startMs, () => {
      resolve('late');
    });
  });
  const line = await Promise.race([process.firstLine, late]);
  cancelTimer();
  if (line === 'late') return failed(`no line within ${limits.startMs} ms`);
  if (line !== undefined) return ok(`after ${Math.round(clock.now() - begin)} ms`);
  const lastLine = process.lines.at(-1);
  return failed(`${process.end?.reason ?? 'its output ended'}${lastLine === undefined ? '' : `; its last line was '${lastLine}'`}`);
}

/** Starts another process and reads its first line. Rejects with an Error that says why there is none. */
export async function greetAnother(exam: Exam, over?: Readonly<Record<string, string>>): Promise<CheckedProcess> {
  const another = exam.parts.start(over);
  const outcome = await lineOf(another, exam);
  if (outcome.verdict !== 'ok') throw new Error(outcome.found);
  another.greet((await another.firstLine) ?? '');
  return another;
}

/**
 * Starts another process and prepares it for work; `before` is called first. Rejects with an Error that says why it is not ready.
 */
export async function startAnother(exam: Exam, before?: (another: CheckedProcess) => Promise<unknown>): Promise<CheckedProcess> {
  const another = await greetAnother(exam);
  await before?.(another);
  await another.prepare(exam.parts.version, exam.parts.limits.setupMs);
  return another;
}

// Only a program that was started by a relay has these variables.
const NO_RELAY = {
  CO2_RELAY_URL: undefined,
  CO2_PLUGIN_NAME: undefined,
  CO2_PLUGIN_TOKEN: undefined,
  CO2_PROTOCOL_VERSIONS: undefined,
};

/** The check of a program that a person starts. */
export const BY_HAND: readonly Check[] = [
  {
    name: 'started by hand, it explains what it is and ends',
    section: 'Starting',
    expected: 'without CO2_PLUGIN_TOKEN: a text about programs in config.ts, and an exit code other than 0',
    advice:
      'if CO2_PLUGIN_TOKEN is not in the environment, write to standard error what the program is and where it is configured, and exit with 1',
    run: async ({ parts: { start, limits } }) => {
      const byHand = start(NO_RELAY);
      const end = await byHand.endWithin(limits.startMs);
      await byHand.kill();
      if (!end) return failed(`it was still running after ${limits.startMs} ms`);
      if (end.code === undefined) return failed(end.reason);
      const first = await byHand.firstLine;
      const output = [...(first === undefined ? [] : [first]), ...byHand.lines].join('\n');
      if (output === '') return failed(`it wrote nothing, and ${end.reason.replace(/^it /, '')}`);
      if (first?.startsWith('co2|') === true) return failed(`it wrote the line for a relay: ${first}`);
      if (end.code === 0) return failed('it ended with code 0, as if it had succeeded');
      if (!/config\.ts|programs/.test(output))
        return note(`it wrote '${output.slice(0, 200)}'`, 'say that it belongs in programs in config.ts');
      return ok(end.reason);
    },
  },
];

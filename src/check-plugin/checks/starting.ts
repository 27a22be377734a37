/** From the program's start to its first line. */
import type { Check, Exam } from '../exam.ts';
import { failed, ok, note } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import type { CheckedProcess } from '../checked-process.ts';

const IN_TIME: Check = {
  name: 'its first line comes in time',
  section: 'The first line',
  expected: 'one line on its standard output',
  advice:
    'print co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll with a newline, and flush: an output that is no terminal is kept back by most languages',
  isVital: true,
  needsMain: true,
  look: async (exam) => {
    exam.main = exam.parts.start();
    return lineOf(exam.main, exam);
  },
};

const WELL_FORMED: Check = {
  name: 'its first line says how it is called',
  section: 'The first line',
  expected: 'co2|1|http|127.0.0.1:<port>|/<token> or co2|1|poll, at most 1,024 bytes',
  advice: 'let nothing else write to standard output before it; what is for people goes to standard error',
  isVital: true,
  needsMain: true,
  look: async ({ main }) => {
    const handshake = main.greet((await main.firstLine) ?? '');
    return ok(handshake.form === 'http' ? `it has a server, at port ${handshake.port}` : 'it fetches its calls');
  },
};

const SECRET_PATH: Check = {
  name: 'its path is a secret',
  section: 'The first line',
  expected: 'a path that nobody can guess: / and CO2_PLUGIN_TOKEN, or 16 letters and digits or more of its own',
  advice: 'take / and the value of CO2_PLUGIN_TOKEN',
  needsMain: true,
  when: ({ isHttp }) => isHttp,
  look: async ({ main: { handshake } }) => {
    const path = handshake?.form === 'http' ? handshake.path : '';
    return path.length > 16 ? ok() : failed(`the path is ${path}`);
  },
};

export const STARTING: readonly Check[] = [IN_TIME, WELL_FORMED, SECRET_PATH];

/** Whether its first line came, and whether the process is still there. */
async function lineOf(process: CheckedProcess, { parts: { clock, limits } }: Exam): Promise<Outcome> {
  const begin = clock.now();
  let callOff = (): void => undefined;
  const late = new Promise<'late'>((resolve) => {
    callOff = clock.after(limits.startMs, () => {
      resolve('late');
    });
  });
  const line = await Promise.race([process.firstLine, late]);
  callOff();
  if (line === 'late') return failed(`nothing in ${limits.startMs} ms`);
  if (line !== undefined) return ok(`after ${Math.round(clock.now() - begin)} ms`);
  const said = process.lines.at(-1);
  return failed(`${process.end?.reason ?? 'its output ended'}${said === undefined ? '' : `; its last line was '${said}'`}`);
}

/** Starts one more, up to its first line. Rejects with an Error that says why it does not get there. */
export async function greetAnother(exam: Exam, over?: Readonly<Record<string, string>>): Promise<CheckedProcess> {
  const another = exam.parts.start(over);
  const outcome = await lineOf(another, exam);
  if (outcome.verdict !== 'ok') throw new Error(outcome.came);
  another.greet((await another.firstLine) ?? '');
  return another;
}

/**
 * Starts one more, up to the point where it works; `before`: what it is asked first. Rejects with an Error that says why it does not get
 * there.
 */
export async function startAnother(exam: Exam, before?: (another: CheckedProcess) => Promise<unknown>): Promise<CheckedProcess> {
  const another = await greetAnother(exam);
  await before?.(another);
  await another.prepare(exam.parts.version, exam.parts.limits.setupMs);
  return another;
}

// What a program that a relay starts finds, and nobody else has.
const NO_RELAY = {
  CO2_RELAY_URL: undefined,
  CO2_PLUGIN_NAME: undefined,
  CO2_PLUGIN_TOKEN: undefined,
  CO2_PROTOCOL_VERSIONS: undefined,
};

export const BY_HAND: readonly Check[] = [
  {
    name: 'run by hand, it says what it is and ends',
    section: 'Starting',
    expected: 'without CO2_PLUGIN_TOKEN: a text about programs in config.ts, and an exit code that is not 0',
    advice:
      'where CO2_PLUGIN_TOKEN is not in the environment, write what the program is and where it belongs to standard error, and exit with 1',
    look: async ({ parts: { start, limits } }) => {
      const byHand = start(NO_RELAY);
      const end = await byHand.endWithin(limits.startMs);
      await byHand.kill();
      if (!end) return failed(`it still ran after ${limits.startMs} ms`);
      if (end.code === undefined) return failed(end.reason);
      const first = await byHand.firstLine;
      const said = [...(first === undefined ? [] : [first]), ...byHand.lines].join('\n');
      if (said === '') return failed(`it said nothing, and ${end.reason.replace(/^it /, '')}`);
      if (first?.startsWith('co2|') === true) return failed(`it wrote the line for a relay: ${first}`);
      if (end.code === 0) return failed('it ended with code 0, as if it had done its work');
      if (!/config\.ts|programs/.test(said))
        return note(`it said '${said.slice(0, 200)}'`, 'say that it belongs into programs of config.ts');
      return ok(end.reason);
    },
  },
];

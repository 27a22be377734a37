/** Calls of a program that runs: signs of life, a method that it does not have, its own methods, what it says by itself. */
import { Fault, RelayError, clean } from '../../core/core.ts';
import { Int64 } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import { VALUE_TYPES, describeType } from '../../plugin-host/programs/internal.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, inWords, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';

const SECTION = 'What the relay calls';
const UNKNOWN = 'plugin.no_such_method';

const PING: Check = {
  name: 'it answers ping',
  section: SECTION,
  expected: 'any answer, also a fault, within 5 s',
  advice: 'answer ping at once, also while other work is under way: the third that is missed in a row ends the program',
  needsMain: true,
  when: ({ isHttp }) => isHttp,
  look: async ({ main, parts: { limits } }) => {
    await main.ping(limits.pingMs);
    return ok();
  },
};

const UNKNOWN_METHOD: Check = {
  name: 'a method that it does not have is answered with a fault',
  section: SECTION,
  expected: 'fault -32601',
  advice:
    'answer fault -32601 with a text; with a server the HTTP status of a fault is 200, without one it is plugin.answer_fault(id, -32601, text)',
  needsMain: true,
  look: async ({ main, parts: { limits } }) => {
    try {
      await main.call(UNKNOWN, [], limits.setupMs);
    } catch (error) {
      if (RelayError.is(error) && error.code === 'NO_SUCH_METHOD') return ok();
      if (!isFault(error)) throw error;
      return note(inWords(error), 'take the code -32601: the relay then knows that there is no such method');
    }
    return failed('it answered as if it had done something');
  },
};

const METHODS: Check = {
  name: 'its methods answer what their signatures say',
  section: SECTION,
  expected: 'a result of the declared type, or a fault',
  advice: 'correct the signature in plugin.describe, or the result',
  needsMain: true,
  when: ({ parts, description }) => parts.callsMethods && (description?.methods.length ?? 0) > 0,
  look: callAll,
};

const AT_THE_RELAY: Check = {
  name: 'what it calls at the relay is taken',
  section: 'What the program calls',
  expected: 'no call that is answered with a fault',
  advice: 'correct the call; a relay has more methods than this stand-in, which has those of the protocol and system.*',
  look: async ({ parts: { relay }, main }) => {
    const { calls, count } = relay.seen(main.id);
    const wrong = calls.find(({ fault }) => fault);
    if (wrong?.fault) return note(`${clean(wrong.method, 60)} got fault ${wrong.fault.code}: ${clean(wrong.fault.text)}`);
    if (count === 0) return ok('it called nothing');
    const shown = calls.slice(0, 5).map(({ text }) => text);
    return ok(`${shown.join(', ')}${count > shown.length ? ` and ${count - shown.length} more` : ''}`);
  },
};

const OUTPUT: Check = {
  name: 'what it writes besides is for the log',
  section: 'Starting',
  expected: 'no second line that begins with co2|, and at most 100 lines a second',
  advice: 'write the line once; keep what is only for you out of the log',
  look: async ({ main: { lines, lineCount, flood } }) => {
    const again = lines.find((line) => line.startsWith('co2|'));
    if (again !== undefined) return failed(`it wrote '${again}' as well`);
    if (flood !== undefined) return note(flood);
    return ok(lineCount === 0 ? undefined : `${lineCount} line${lineCount === 1 ? '' : 's'}`);
  },
};

export const CALLS: readonly Check[] = [PING, UNKNOWN_METHOD];
export const WORKING: readonly Check[] = [METHODS];
export const SAID: readonly Check[] = [AT_THE_RELAY, OUTPUT];

/** True for an answer that is a fault, false where there was no answer. */
function isFault(error: unknown): boolean {
  return Fault.is(error) || (RelayError.is(error) && ['INVALID_PARAMS', 'NO_SUCH_METHOD', 'APPLICATION'].includes(error.code));
}

const SAMPLES: Readonly<Record<string, Sendable>> = {
  ...{ int: 2, i4: 2, i8: new Int64(3n), boolean: true, string: 'check', double: 2.5, any: 'check' },
  'dateTime.iso8601': new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
  base64: Buffer.from('check'),
};

async function callAll(exam: Exam): Promise<Outcome> {
  const { main, parts } = exam;
  const told: string[] = [];
  for (const { name, signature = [] } of exam.description?.methods ?? []) {
    for (const [result = 'any', ...types] of signature) {
      if (!types.every((type) => Object.hasOwn(SAMPLES, type))) continue;
      const wrong = await callOne(exam, name, result, types);
      if (wrong !== undefined) return failed(wrong);
      told.push(`${name}(${types.join(', ')})`);
    }
    parts.signal.throwIfAborted();
    if (main.end) break;
  }
  if (told.length === 0) return note('none has a signature of simple parameters', 'say its signature, and it can be called here');
  return ok(told.join(', '));
}

/** What is wrong with its answer, if something is. */
async function callOne({ main, parts }: Exam, name: string, result: string, types: readonly string[]): Promise<string | undefined> {
  try {
    const answer = await main.call(
      name,
      types.map((type) => SAMPLES[type] ?? ''),
      parts.limits.callMs,
    );
    const type = Object.hasOwn(VALUE_TYPES, result) ? VALUE_TYPES[result as keyof typeof VALUE_TYPES] : VALUE_TYPES.any;
    return type.accepts(answer) ? undefined : `${name} answered ${describeType(answer)}, and its signature says ${result}`;
  } catch (error) {
    if (RelayError.is(error) && error.code === 'NO_SUCH_METHOD') return `${name} is described, and answers that there is no such method`;
    if (isFault(error)) return undefined;
    return `${name}: ${inWords(error)}`;
  }
}

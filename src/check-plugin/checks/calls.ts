/** Checks of a running program: pings, an unknown method, its own methods, its calls of the relay, and its output. */
import { Fault, RelayError, clean } from '../../core/core.ts';
import { Int64, describeValue } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import { VALUE_TYPES } from '../../plugin-host/programs/internal.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, describeError, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';

const SECTION = 'What the relay calls';
const UNKNOWN = 'plugin.no_such_method';

const PING: Check = {
  name: 'it answers ping',
  section: SECTION,
  expected: 'any answer, even a fault, within 5 s',
  advice: 'answer ping at once, even while other work is in progress: the third missed ping in a row ends the program',
  needsMain: true,
  when: ({ isHttp }) => isHttp,
  run: async ({ main, parts: { limits } }) => {
    await main.ping(limits.pingMs);
    return ok();
  },
};

const UNKNOWN_METHOD: Check = {
  name: 'a method that it does not have is answered with a fault',
  section: SECTION,
  expected: 'fault -32601',
  advice: 'answer fault -32601 with a text; with a server by HTTP status 200, without one by plugin.answer_fault(id, -32601, text)',
  needsMain: true,
  run: async ({ main, parts: { limits } }) => {
    try {
      await main.call(UNKNOWN, [], limits.setupMs);
    } catch (error) {
      if (RelayError.is(error) && error.code === 'NO_SUCH_METHOD') return ok();
      if (!isFault(error)) throw error;
      return note(describeError(error), 'use the code -32601, by which the relay knows that there is no such method');
    }
    return failed('it answered as if it had the method');
  },
};

const METHODS: Check = {
  name: 'its methods answer what their signatures say',
  section: SECTION,
  expected: 'a result of the declared type, or a fault',
  advice: 'correct the signature in plugin.describe, or the result',
  needsMain: true,
  when: ({ parts, description }) => parts.callsMethods && (description?.methods.length ?? 0) > 0,
  run: callAll,
};

const CALLS_OF_RELAY: Check = {
  name: 'its calls of the relay succeed',
  section: 'What the program calls',
  expected: 'no call that is answered with a fault',
  advice: 'correct the call; a relay has more methods than this fake relay, which has those of the protocol and system.*',
  run: async ({ parts: { relay }, main }) => {
    const { calls, count } = relay.seen(main.id);
    const wrong = calls.find(({ fault }) => fault);
    if (wrong?.fault) return note(`${clean(wrong.method, 60)} got fault ${wrong.fault.code}: ${clean(wrong.fault.text)}`);
    if (count === 0) return ok('it made no calls');
    const shown = calls.slice(0, 5).map(({ text }) => text);
    return ok(`${shown.join(', ')}${count > shown.length ? ` and ${count - shown.length} more` : ''}`);
  },
};

const OUTPUT: Check = {
  name: 'its other output is suitable for the log',
  section: 'Starting',
  expected: 'no second line that begins with co2|, and at most 100 lines a second',
  advice: 'write the first line once, and log only what an operator needs',
  run: async ({ main: { lines, lineCount, flood } }) => {
    const again = lines.find((line) => line.startsWith('co2|'));
    if (again !== undefined) return failed(`it also wrote '${again}'`);
    if (flood !== undefined) return note(flood);
    return ok(lineCount === 0 ? undefined : `${lineCount} line${lineCount === 1 ? '' : 's'}`);
  },
};

/** Checks that any program must pass. */
export const CALLS: readonly Check[] = [PING, UNKNOWN_METHOD];
/** Calls of the program's own methods. */
export const METHOD_CALLS: readonly Check[] = [METHODS];
/** Checks of everything that the program called and wrote. */
export const OUTPUT_CHECKS: readonly Check[] = [CALLS_OF_RELAY, OUTPUT];

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
  const called: string[] = [];
  for (const { name, signature = [] } of exam.description?.methods ?? []) {
    for (const [result = 'any', ...types] of signature) {
      if (!types.every((type) => Object.hasOwn(SAMPLES, type))) continue;
      const wrong = await callOne(exam, name, result, types);
      if (wrong !== undefined) return failed(wrong);
      called.push(`${name}(${types.join(', ')})`);
    }
    parts.signal.throwIfAborted();
    if (main.end) break;
  }
  if (called.length === 0)
    return note('no method has a signature with simple parameters', 'declare a signature, so that it can be called here');
  return ok(called.join(', '));
}

/** What is wrong with the answer of a method; undefined if nothing is. */
async function callOne({ main, parts }: Exam, name: string, result: string, types: readonly string[]): Promise<string | undefined> {
  try {
    const answer = await main.call(
      name,
      types.map((type) => SAMPLES[type] ?? ''),
      parts.limits.callMs,
    );
    const type = Object.hasOwn(VALUE_TYPES, result) ? VALUE_TYPES[result as keyof typeof VALUE_TYPES] : VALUE_TYPES.any;
    return type.accepts(answer) ? undefined : `${name} answered ${describeValue(answer)}, but its signature says ${result}`;
  } catch (error) {
    if (RelayError.is(error) && error.code === 'NO_SUCH_METHOD') return `${name} is described, but answers that there is no such method`;
    if (isFault(error)) return undefined;
    return `${name}: ${describeError(error)}`;
  }
}

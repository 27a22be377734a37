/** Checks that a program which receives messages accepts whatever the network may send. */
import { Fault, RelayError } from '../../core/core.ts';
import { Int64, dictOf, freezeDict } from '../../values/values.ts';
import { HOP_LIMIT } from '../../message/message.ts';
import type { Message } from '../../message/message.ts';
import type { Sendable } from '../../values/values.ts';
import { notificationOf } from '../../plugin-host/programs/internal.ts';
import { serialiseStructBytes } from '../../xmlrpc/xmlrpc.ts';
import type { Check, Exam } from '../exam.ts';
import { describeError, note, ok } from '../outcome.ts';
import type { Outcome, Section } from '../outcome.ts';
import type { CheckedProcess } from '../checked-process.ts';
import { startAnother } from './starting.ts';

const HOST_ID = 'check@192.0.2.1:2004';
const LARGE = 300_000;
// One character of each kind: accents, markup, and three bytes in UTF-8.
const TEXT = 'Grüße <&> "日本" \u00a0end';
const BEYOND = 'satellite 🛰';

const ANYTHING: Sendable = {
  list: [1, -2_147_483_648, 2.5, true, false, ''],
  date: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
  bytes: Buffer.from([0, 1, 254, 255]),
  'a name with spaces': { deep: { deeper: [[], {}] } },
};

function messageCheck(name: string, data: Sendable, section: Section = 'What the relay calls'): Check {
  return {
    name,
    section,
    expected: 'an answer to notify, whatever the message contains',
    advice: 'check the contents of a message, ignore messages of no interest, and answer true',
    needsMain: true,
    when: receives,
    run: (exam) => deliver(exam.main, exam, data),
  };
}

/** Uses a process of its own, since some libraries cannot parse such characters, and the process may end. */
const BEYOND_16_BITS: Check = {
  name: 'it accepts characters beyond 16 bits, such as emoji',
  section: 'Values',
  expected: 'an answer to notify',
  advice:
    'use a library that reads all of UTF-8, or write send: { astral: \'replace\' } beside the program in config.ts (--send \'{"astral":"replace"}\' here)',
  when: receives,
  needsMain: true,
  run: async (exam) => {
    const another = await startAnother(exam);
    return deliver(another, exam, BEYOND).finally(() => another.kill());
  },
};

/** The checks of this file. */
export const MESSAGES: readonly Check[] = [
  messageCheck('it accepts a message', 'ping'),
  messageCheck('it accepts characters of other languages', { text: TEXT, [TEXT]: 1 }, 'Values'),
  BEYOND_16_BITS,
  messageCheck('it accepts nil', { nothing: null }, 'Values'),
  messageCheck('it accepts integers of 64 bits', { long: new Int64(9_007_199_254_740_993n), short: new Int64(7n) }, 'Values'),
  messageCheck('it accepts an unknown message, with values of every type', ANYTHING, 'Values'),
  messageCheck('it accepts a message of 300,000 characters', { large: 'x'.repeat(LARGE) }),
];

function receives({ description }: Exam): boolean {
  return description?.capabilities.has('receive') ?? true;
}

async function deliver(process: CheckedProcess, { parts: { clock, limits } }: Exam, data: Sendable): Promise<Outcome> {
  try {
    const now = clock.now();
    await process.send(notificationOf(messageOf(data, now), now, false), limits.callMs);
    return ok();
  } catch (error) {
    // After a fault, the relay continues with the next message.
    const isFault =
      Fault.is(error) || (RelayError.is(error) && !['TRANSPORT', 'TIMEOUT', 'RATE_LIMITED', 'UNAVAILABLE'].includes(error.code));
    if (!isFault) throw error;
    return note(
      describeError(error),
      'each message that it answers with a fault is logged as an error; answer true to messages of no interest',
    );
  }
}

/** A message like that of a client of the relay. */
function messageOf(data: Sendable, arrivedAt: number): Message {
  return {
    id: 'check.1',
    hostId: HOST_ID,
    clientAddress: ['192.0.2.9', 51_234],
    payload: serialiseStructBytes({ data }, { nil: true, i8: true }),
    frozen: () => freezeDict(dictOf()),
    destination: 'all',
    hopsLeft: HOP_LIMIT,
    ageMs: 12,
    arrivedAt,
    via: [],
    verdict: 'checked',
  };
}

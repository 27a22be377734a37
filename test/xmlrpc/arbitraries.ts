/** Arbitrary values for fast-check: what a program may send, and what its reader then has. */
import fc from 'fast-check';
import { Double, Int64, dictOf } from '../../src/values/values.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';

/** A value as it is sent and as it is read: a whole Double is a number, a Map a dict, a Uint8Array a Buffer. */
export interface Sent {
  readonly sent: Sendable;
  readonly read: Value;
}

const XML = /^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u;
const UNUSUAL = [
  '',
  ' ',
  '\r',
  '\r\n',
  '\t',
  ']]>',
  '<',
  '&',
  '&lt;',
  '>',
  '"',
  '\u0085',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\u007f',
  '😀',
  '\u{10ffff}',
  'e\u0301',
  '\ud7ff',
  '\ue000',
];

/** Any text that XML can carry. */
export const text = fc.oneof(
  fc.string({ unit: 'binary' }).filter((s) => XML.test(s)),
  fc.string({ unit: 'grapheme' }).filter((s) => XML.test(s)),
  fc.array(fc.constantFrom(...UNUSUAL), { maxLength: 6 }).map((parts) => parts.join('')),
);
const INHERITED = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'toJSON',
  'then',
  'length',
  '0',
  '1',
  '4294967295',
  '',
];
const name = fc.oneof(text, fc.constantFrom(...INHERITED));

const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -10n, max: 10n }),
  fc.constantFrom(2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)),
);
const double = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.constantFrom(-0, 5e-324, Number.MAX_VALUE, Number.EPSILON, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e21, 1e-7),
);
const seconds = fc
  .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000));

const same = <T extends Sendable & Value>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Sent> =>
  arbitrary.map((value) => ({ sent: value, read: value }));
const numberOf = (value: bigint): Value => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
const dictFrom = (members: readonly (readonly [string, Sent])[]): Value => dictOf(members.map(([key, { read }]) => [key, read] as const));
const sentMembers = (members: readonly (readonly [string, Sent])[]): [string, Sendable][] => members.map(([key, { sent }]) => [key, sent]);

const scalar: fc.Arbitrary<Sent> = fc.oneof(
  same(fc.oneof(fc.constant(null), fc.boolean())),
  same(double),
  double.map((value) => ({ sent: new Double(value), read: value })),
  int64.map((value) => ({ sent: value, read: numberOf(value) })),
  int64.map((value) => ({ sent: new Int64(value), read: numberOf(value) })),
  same(text),
  same(seconds),
  fc.uint8Array().map((bytes) => ({ sent: bytes, read: Buffer.from(bytes) })),
  same(fc.uint8Array().map((bytes) => Buffer.from(bytes))),
);

/** Any value that can be sent with every extension. */
export const anySent: fc.Arbitrary<Sent> = fc.letrec<{ value: Sent }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }).map((list) => ({ sent: list.map(({ sent }) => sent), read: list.map(({ read }) => read) })),
    membersOf(tie('value')).map((members) => ({ sent: dictOf(sentMembers(members) as [string, Value][]), read: dictFrom(members) })),
    membersOf(tie('value')).map((members) => ({ sent: new Map(sentMembers(members)), read: dictFrom(members) })),
    membersOf(tie('value')).map((members) => ({ sent: Object.fromEntries(sentMembers(members)), read: dictFrom(members) })),
  ),
})).value;

function membersOf(value: fc.Arbitrary<Sent>): fc.Arbitrary<[string, Sent][]> {
  return fc.uniqueArray(fc.tuple(name, value), { maxLength: 4, selector: ([key]) => key });
}

// Few names, so that the markup of one document is that of another.
const usualName = fc.oneof(
  fc.constantFrom('data', 'id', 'a', 'temperature', 'a_name_of_many_letters', '__proto__', 'length', '0'),
  fc.constantFrom('ä', 'a b', '&', ''),
);
const usualValue: fc.Arbitrary<Sendable> = fc.letrec<{ value: Sendable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.integer(),
      fc.nat(20),
      double,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => new Double(value)),
      fc.boolean(),
      text,
      fc.constantFrom('a', 'some words & others', ']', ' '),
      seconds,
      fc.uint8Array({ maxLength: 300 }),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.uniqueArray(fc.tuple(usualName, tie('value')), { maxLength: 3, selector: ([key]) => key }).map((members) => new Map(members)),
    // As in a table: the same members in each row.
    fc.array(tie('value'), { maxLength: 4 }).map((rows) =>
      rows.map(
        (row, id) =>
          new Map<string, Sendable>([
            ['id', id],
            ['row', row],
          ]),
      ),
    ),
  ),
})).value;
const GAPS = ['', '', '', '', '\n', '\r\n  ', '\t'];

/** A call as programs write it, with `<i4>`, untyped texts and white space between elements now and then. */
export const usualCall: fc.Arbitrary<Buffer> = fc
  .tuple(fc.constantFrom('notify', 'system.a:b/c', 'x'), fc.array(usualValue, { maxLength: 3 }), fc.nat(), fc.boolean())
  .map(([method, params, seed, isSpaced]) => {
    let xml = serialiseCall(method, params, { nil: true }).toString();
    if (seed % 3 === 0) xml = xml.replaceAll(/<(\/?)int>/g, '<$1i4>');
    if (seed % 5 === 0) xml = xml.replaceAll(/<\/?string>/g, '');
    if (seed % 7 === 0) xml = xml.replace(/<params>.*<\/params>/s, '');
    let at = seed;
    if (isSpaced)
      xml = xml.replaceAll(/<\/?(?:param|params|member|struct|array|data|methodName|methodCall)>/g, (tag) => gap(at++) + tag + gap(at++));
    return Buffer.from(xml);
  });

function gap(at: number): string {
  return GAPS[Math.imul(at, 2654435761) >>> 29] ?? '';
}

/**
 * Runs the table `text <-> value` (test/xmlrpc/table): each row in every direction that it has, then all of them in other encodings and cut
 * short.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Sendable } from '../../src/values/values.ts';
import { dictOf } from '../../src/values/values.ts';
import { parseCall, parseResponse, parseStruct, serialiseCall, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParseOptions } from '../../src/xmlrpc/xmlrpc.ts';
import { arrays } from './table/arrays.ts';
import { base64 } from './table/base64.ts';
import { dates } from './table/dates.ts';
import { doubles } from './table/doubles.ts';
import { encodings } from './table/encodings.ts';
import { extensions } from './table/extensions.ts';
import { grammar } from './table/grammar.ts';
import { integers } from './table/integers.ts';
import { limits } from './table/limits.ts';
import type { Reader, Row } from './table/rows.ts';
import { ALL, ANYWHERE, member } from './table/rows.ts';
import { strings } from './table/strings.ts';
import { structs } from './table/structs.ts';
import { wellFormed } from './table/well-formed.ts';
import {
  CALL_HEAD,
  CALL_TAIL,
  RESPONSE_HEAD,
  RESPONSE_TAIL,
  callOf,
  canonical,
  canonicalUnder,
  errorOf,
  read,
  readStruct,
  refusalOf,
} from './wire.ts';

const TABLE: Readonly<Record<string, readonly Row[]>> = {
  ...{ integers, doubles, strings, dates, base64, arrays, structs, extensions, encodings, grammar, limits },
  'well-formed': wellFormed,
};
const ALL_ROWS = Object.values(TABLE).flat();
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
const STRUCT_HEAD = '<struct><member><name>v</name><value>';

for (const [idea, rows] of Object.entries(TABLE)) {
  rows.forEach((row, index) => {
    test(`${idea} ${index + 1}, ${row.kind}: ${row.from}`, (t) => {
      check(t, row);
    });
  });
}

function check(t: ExecutionContext, row: Row): void {
  switch (row.kind) {
    case 'both':
      isRead(t, row.xml, row.value);
      t.is(written(row.value, ALL), row.xml);
      t.is(canonical(row.xml), row.xml);
      break;
    case 'reads':
      isRead(t, row.xml, row.value);
      t.is(canonical(row.xml), row.own);
      isRead(t, row.own, row.value);
      break;
    case 'writes':
      t.is(written(row.value, row.options), row.xml);
      t.notThrows(() => read(row.xml));
      break;
    case 'unwritable':
      isUnwritable(t, row);
      break;
    case 'refused':
      isRefused(t, row);
      break;
    case 'accepts':
      t.like(reader(row.as)(row.body, row.options), row.gives);
      break;
    case 'refuses':
      isRefusal(t, () => reader(row.as)(row.body, row.options), row.refusal, row.reason);
  }
}

function isRead(t: ExecutionContext, inner: string, value: Sendable): void {
  t.deepEqual(read(inner), value as unknown);
  t.like(parseResponse(Buffer.from(RESPONSE_HEAD + inner + RESPONSE_TAIL), { leniency: 'forms' }), { kind: 'value' });
  t.deepEqual(parseStruct(`<struct>${member('v', inner)}</struct>`), dictOf([['v', value as string]]));
}

function written(value: Sendable, options: typeof ALL): string {
  const text = serialiseResponse(value, options).toString().slice(DECLARATION.length);
  return text.slice(RESPONSE_HEAD.length, -RESPONSE_TAIL.length);
}

function isUnwritable(t: ExecutionContext, { value, place, reason, options }: Row & { kind: 'unwritable' }): void {
  const { code, text } = errorOf(() => serialiseCall('m', [value as Sendable], options));
  t.is(code, 'INTERNAL');
  t.is(text.slice(0, place.length), place);
  t.regex(text.slice(place.length), reason);
  t.true(text.length < 400 && !text.includes('hunter2'));
}

function isRefused(t: ExecutionContext, { xml, code, column, reason, limits: own }: Row & { kind: 'refused' }): void {
  const attempt = (): unknown => parseCall(callOf(xml), { limits: own });
  const place = column === ANYWHERE ? refusalOf(attempt).split(' ')[1] : `1:${CALL_HEAD.length + column}`;
  isRefusal(t, attempt, `${code} ${place}`, reason);
  // A refused text has no canonical text.
  const refusal = refusalOf(() => canonicalUnder(STRUCT_HEAD + xml + CALL_TAIL, own));
  t.is(refusal.split(' ')[0], own.maxDepth !== undefined || own.maxValues !== undefined ? 'LIMIT' : code, refusal);
}

function isRefusal(t: ExecutionContext, attempt: () => unknown, refusal: string, reason: RegExp): void {
  t.is(refusalOf(attempt), refusal);
  t.regex(errorOf(attempt).text, reason);
}

function reader(as: Reader): (body: string | Buffer, options: ParseOptions) => object {
  if (as === 'call') return (body, options) => parseCall(Buffer.from(body), options);
  if (as === 'response') return (body, options) => parseResponse(Buffer.from(body), options);
  return (body, { limits: own }) => readStruct(body.toString(), own);
}

const INNER = ALL_ROWS.flatMap((row) => ('xml' in row && row.xml.length < 2000 ? [row.xml] : []));
const READ = ALL_ROWS.flatMap((row) => ((row.kind === 'both' || row.kind === 'reads') && row.xml.length < 500 ? [row] : []));

/** The result of a document: its parameters and extensions, or its refusal. */
function outcome(body: Buffer, charset?: string): unknown {
  try {
    const { params, extensions: used } = parseCall(body, { charset });
    return { params, used };
  } catch (error) {
    return (error as Error).message;
  }
}

test('every row gives the same result in UTF-16 of both byte orders, with the same line and column', (t) => {
  for (const inner of INNER) {
    // A lone surrogate has no UTF-8.
    if (/\p{Surrogate}/u.test(inner)) continue;
    const little = Buffer.from(`\ufeff${CALL_HEAD}${inner}${CALL_TAIL}`, 'utf16le');
    const expected = outcome(callOf(inner));
    t.deepEqual(outcome(little), expected, inner);
    t.deepEqual(outcome(Buffer.from(little).swap16()), expected, inner);
  }
});

test('every row of Latin letters gives the same result in ISO-8859-1, with the same line and column', (t) => {
  const latin = INNER.filter((inner) => /^[\t\n\r\u0020-\u00ff]*$/.test(inner));
  t.true(latin.length > 300);
  for (const inner of latin) {
    t.deepEqual(outcome(Buffer.from(CALL_HEAD + inner + CALL_TAIL, 'latin1'), 'iso-8859-1'), outcome(callOf(inner)), inner);
  }
});

test('every accepted row is refused if it is truncated at any byte', (t) => {
  for (const { xml } of READ) {
    const body = callOf(xml);
    for (let length = CALL_HEAD.length - 9; length < body.length; length++) {
      const refusal = refusalOf(() => parseCall(body.subarray(0, length)));
      if (/^(accepted|not a)/.test(refusal)) t.fail(`cut after ${length} bytes: ${refusal}: ${body.toString()}`);
    }
  }
  t.true(READ.length > 250);
});

test('every accepted row gives the same result among other values', (t) => {
  const all = READ.map(({ xml }) => `<value>${xml}</value>`).join('');
  t.deepEqual(
    read(`<array><data>${all}</data></array>`),
    READ.map(({ value }) => value),
  );
});

/** Spellings outside the specification that programs write: accepted in calls, and in responses where the reader asks for it. */
import test from 'ava';
import { parseResponse, parseResponseInSlices } from '../../src/xmlrpc/xmlrpc.ts';
import { RESPONSE_HEAD, RESPONSE_TAIL, errorOf, read } from './wire.ts';

const FORMS: readonly (readonly [inner: string, value: unknown])[] = [
  ['<int> 5</int>', 5],
  ['<i8>5 </i8>', 5],
  ['<double>\n1.5\n</double>', 1.5],
  ['<boolean>true</boolean>', true],
  ['<boolean> 1</boolean>', true],
  ['<dateTime.iso8601>19980717T140855</dateTime.iso8601>', new Date('1998-07-17T14:08:55Z')],
  ['<dateTime.iso8601>19980717 14:08:55</dateTime.iso8601>', new Date('1998-07-17T14:08:55Z')],
  ['<dateTime.iso8601>19980717T14:08:55,5</dateTime.iso8601>', new Date('1998-07-17T14:08:55.500Z')],
  ['<array/>', []],
  ['<array></array>', []],
];

for (const [inner, value] of FORMS) {
  test(`${inner.replaceAll('\n', ' ')} is accepted in a call, and in a response only with the leniency 'forms'`, async (t) => {
    const body = Buffer.from(RESPONSE_HEAD + inner + RESPONSE_TAIL);
    t.deepEqual(read(inner), value);
    t.like(parseResponse(body, { leniency: 'forms' }), { kind: 'value' });
    t.like(await parseResponseInSlices(body, { leniency: 'forms', sliceBytes: 1 }), { kind: 'value' });
    t.is(errorOf(() => parseResponse(body)).code, 'INVALID_REQUEST');
  });
}

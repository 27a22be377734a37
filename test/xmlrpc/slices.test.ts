/** Reading a body in slices gives the same result as reading it at once, wherever the slices end, and other work runs between them. */
import test from 'ava';
import { dictOf } from '../../src/values/values.ts';
import type { Dict } from '../../src/values/values.ts';
import { parseResponseInSlices } from '../../src/xmlrpc/read/messages.ts';
import { parseCall, parseCallInSlices, parseResponse, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { turnsDuring } from '../support/turns.ts';
import { READ, REFUSED } from './corpus.ts';
import { callOf, errorOf } from './wire.ts';

// Turns of the event loop while a body is read.
async function turnsOf(body: Buffer, sliceBytes: number): Promise<number> {
  return (await turnsDuring(() => parseCallInSlices(body, { sliceBytes }))).turns;
}

const SIZES = [1, 2, 3, 5, 16, 61, 1000];

for (const [clause, body] of READ) {
  test(`same value: ${clause}`, async (t) => {
    const { methodName, params, extensions } = parseCall(body);
    for (const sliceBytes of SIZES) {
      const call = await parseCallInSlices(body, { sliceBytes });
      t.deepEqual({ methodName: call.methodName, params: call.params, extensions: call.extensions }, { methodName, params, extensions });
    }
  });

  test(`same refusal, truncated after any byte: ${clause}`, async (t) => {
    // Long documents only near both ends, to save time.
    const cuts = Array.from({ length: body.length }, (_, cut) => cut).filter((cut) => cut < 700 || cut > body.length - 100);
    for (const cut of cuts) {
      const part = body.subarray(0, cut);
      const { code, text } = errorOf(() => parseCall(part));
      t.notRegex(code, /NONE|FOREIGN/, `cut after ${cut} bytes: ${text}`);
      if (cut % 7 === 0) await t.throwsAsync(parseCallInSlices(part, { sliceBytes: 13 }), { code, message: text });
    }
  });
}

for (const [clause, body] of REFUSED) {
  test(`same refusal: ${clause}`, async (t) => {
    const { code, text } = errorOf(() => parseCall(body));
    t.notRegex(code, /NONE|FOREIGN/);
    for (const sliceBytes of SIZES) await t.throwsAsync(parseCallInSlices(body, { sliceBytes }), { code, message: text });
  });
}

test('other work runs after every slice, in tags, text, base64, white space and comments', async (t) => {
  const KIB = 1024;
  const bodies = {
    structs: `<array><data>${'<value><struct><member><name>a</name><value><int>1</int></value></member></struct></value>'.repeat(3000)}</data></array>`,
    text: 'a'.repeat(256 * KIB),
    references: '&#65;'.repeat(52_000),
    base64: `<base64>${'QUJD'.repeat(64 * KIB)}</base64>`,
    lines: `<base64>${'QUJDQUJD\n'.repeat(28 * KIB)}</base64>`,
    blanks: `<array>${' '.repeat(256 * KIB)}<data/></array>`,
    comments: `<array>${'<!---->'.repeat(37 * KIB)}<data/></array>`,
  };
  for (const [what, inner] of Object.entries(bodies)) {
    const turns = await turnsOf(callOf(inner), 16 * KIB);
    t.true(turns >= 14, `${what}: ${turns} turns`);
  }
});

test('the number of values in a slice is limited', async (t) => {
  const turns = await turnsOf(callOf(`<array><data>${'<value/>'.repeat(60_000)}</data></array>`), Infinity);
  t.true(turns >= 4, `${turns} turns`);
});

test('other work runs in white space before and after the root element', async (t) => {
  const blanks = Buffer.alloc(128 * 1024, ' ');
  t.true((await turnsOf(Buffer.concat([blanks, callOf(''), blanks]), 16 * 1024)) >= 14);
});

test('base64 is decoded while it is read, also around markup and with namespaces, and nothing is read twice', async (t) => {
  const KIB = 1024;
  const lines = 'QUJDQUJD\n'.repeat(28 * KIB);
  const bodies = {
    comment: callOf(`<base64>${lines}<!-- --></base64>`),
    comments: callOf(`<base64>${`${lines.slice(0, 9 * KIB)}<!-- -->`.repeat(28)}</base64>`),
    section: callOf(`<base64><![CDATA[${lines}]]></base64>`),
    references: callOf(`<base64>${'&#81;UJD&#xD;'.repeat(20 * KIB)}</base64>`),
    namespace: Buffer.from(callOf(`<base64>${lines}</base64>`).toString().replace('<methodCall', '<methodCall xmlns:x="urn:x"')),
  };
  for (const [what, body] of Object.entries(bodies)) {
    const slices = Math.ceil(body.length / (16 * KIB));
    const turns = await turnsOf(body, 16 * KIB);
    t.true(turns >= slices - 2 && turns < slices + 3, `${what}: ${turns} turns for ${slices} slices`);
    const bytes = await parseCallInSlices(body, { sliceBytes: 1000 });
    t.deepEqual(bytes.params, parseCall(body).params);
    t.is((bytes.params[0] as Buffer).toString('latin1').replaceAll('ABC', ''), '');
  }
});

test('a struct of a call read in slices has its source, also with text that is not ASCII', async (t) => {
  const struct = '<struct>\n<member><name>ä</name><value>漢😀</value></member> </struct>';
  const call = await parseCallInSlices(callOf(`<array><data><value>ü</value><value>${struct}</value></data></array>`), { sliceBytes: 5 });
  const [, dict] = call.params[0] as [string, Dict];
  t.is(call.sourceOf(dict)?.toString(), struct);
  t.is(call.sourceOf(dictOf([['ä', '漢😀']])), undefined);
});

test('the default slice is smaller than a large body', async (t) => {
  const { turns } = await turnsDuring(() => parseCallInSlices(callOf('a'.repeat(1024 * 1024))));
  t.true(turns > 0);
});

// Without its function, which differs between responses.
const bare = (response: ParsedResponse): unknown => ({ ...response, exact: undefined, exactOf: undefined, faultIn: undefined });

test('reading a response in slices gives the same result as reading it at once', async (t) => {
  const bodies = [serialiseResponse([1, 'ä😀', { a: [true, 2.5] }]), serialiseFault(7, 'no such room'), serialiseResponse('x'.repeat(500))];
  for (const body of bodies) {
    for (const sliceBytes of SIZES) t.deepEqual(bare(await parseResponseInSlices(body, { sliceBytes })), bare(parseResponse(body)));
    const part = body.subarray(0, body.length - 9);
    const { code, text } = errorOf(() => parseResponse(part));
    await t.throwsAsync(parseResponseInSlices(part, { sliceBytes: 3 }), { code, message: text });
    await t.throwsAsync(parseResponseInSlices(body, { sliceBytes: 3, limits: { maxBodyBytes: 10 } }), { code: 'LIMIT' });
  }
});

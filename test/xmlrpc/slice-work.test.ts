/** One turn of the event loop decodes about one slice of a large body to strings, whatever the body contains. */
import test from 'ava';
import { parseCall, parseCallInSlices } from '../../src/xmlrpc/xmlrpc.ts';
import { callOf, errorOf } from './wire.ts';

const KIB = 1024;
const SLICE = 64 * KIB;
const LETTERS = 'aä漢😀\r\n'.repeat(40_000);
const LINES = 'QUJDQUJD\n'.repeat(56 * KIB);
const spaced = (body: Buffer): Buffer => Buffer.from(body.toString().replace('<methodCall', '<methodCall xmlns:x="urn:x"'));

const BODIES: Readonly<Record<string, Buffer>> = {
  'a string': callOf(`<string>${LETTERS}</string>`),
  'a string in which only the last letter is not ASCII': callOf(`<string>${'a'.repeat(512 * KIB)}ä</string>`),
  'a string under a namespace': spaced(callOf(`<string>${LETTERS}</string>`)),
  'a string with references': callOf(`<string>${LETTERS}&amp;${LETTERS}<![CDATA[${LETTERS}]]></string>`),
  'an untyped string': callOf(LETTERS),
  base64: callOf(`<base64>${LINES}</base64>`),
  'base64 and a comment': callOf(`<base64>${LINES}<!-- --></base64>`),
  'base64 in a section': callOf(`<base64><![CDATA[${LINES}]]></base64>`),
  'base64 under a namespace': spaced(callOf(`<base64>${LINES}</base64>`)),
};

for (const [what, body] of Object.entries(BODIES)) {
  test.serial(what, async (t) => {
    const { most, result } = await mostInOneTurn(async () => parseCallInSlices(body, { sliceBytes: SLICE }));
    t.true(most < 3 * SLICE, `${most} bytes`);
    t.deepEqual(result.params, parseCall(body).params);
  });
}

test.serial('a name that is far too long is refused without being decoded', async (t) => {
  for (const body of [
    callOf(`<struct><member><name>${LETTERS}</name><value/></member></struct>`),
    Buffer.from(`<methodCall><methodName>${LETTERS}</methodName></methodCall>`),
  ]) {
    const { most, result } = await mostInOneTurn(async () => {
      await Promise.resolve();
      return errorOf(() => parseCall(body));
    });
    t.is(result.code, 'LIMIT');
    t.true(most < SLICE, `${most} bytes`);
  }
});

test('long white space before a typed value is ignored, and long text is refused, wherever the slices end', async (t) => {
  const long = (filling: string): Buffer => callOf(`${filling.repeat(40 * KIB)}<int>1</int>`);
  const sliced = async (body: Buffer): Promise<unknown> => (await parseCallInSlices(body, { sliceBytes: 17 * KIB })).params;
  t.deepEqual(await sliced(long(' \r')), [1]);
  t.deepEqual(await sliced(spaced(long('\n'))), [1]);
  const { code, text } = errorOf(() => parseCall(long('ä')));
  t.regex(text, /text beside <int>/);
  await t.throwsAsync(sliced(long('ä')), { code, message: text });
  await t.throwsAsync(sliced(callOf(`${' '.repeat(20 * KIB)}x${' '.repeat(40 * KIB)}<int>1</int>`)), { code });
});

// The maximum number of bytes decoded to strings between two turns of the event loop.
async function mostInOneTurn<T>(work: () => Promise<T>): Promise<{ most: number; result: T }> {
  const original = Object.getOwnPropertyDescriptor(Buffer.prototype, 'toString') as {
    value: (this: Buffer, encoding?: BufferEncoding, from?: number, to?: number) => string;
  };
  let most = 0;
  let bytes = 0;
  const next = (): void => {
    bytes = 0;
    turning = setImmediate(next);
  };
  let turning = setImmediate(next);
  function toString(this: Buffer, encoding?: BufferEncoding, from = 0, to = this.length): string {
    bytes += Math.min(to, this.length) - from;
    most = Math.max(most, bytes);
    return original.value.call(this, encoding, from, to);
  }
  Object.defineProperty(Buffer.prototype, 'toString', { ...original, value: toString });
  try {
    const result = await work();
    return { most, result };
  } finally {
    Object.defineProperty(Buffer.prototype, 'toString', original);
    clearImmediate(turning);
  }
}

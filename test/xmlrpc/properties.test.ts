/** Properties of arbitrary values and documents. */
import { inspect, isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { RelayError } from '../../src/core/core.ts';
import { dictOf } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import {
  canonicalMembers,
  parseCall,
  parseResponse,
  parseStruct,
  serialiseCall,
  serialiseFault,
  serialiseResponse,
  serialiseStruct,
} from '../../src/xmlrpc/xmlrpc.ts';
import { examine } from '../fuzz/examine.ts';
import { document } from '../fuzz/generate.ts';
import { MUTATIONS, mutate } from '../fuzz/mutate.ts';
import { Random } from '../fuzz/random.ts';
import { anySent, text } from './arbitraries.ts';
import { ALL } from './table/rows.ts';
import { refusalOf, structText } from './wire.ts';

/** Replaces ava's deepEqual, which takes a dict with a large member `length` for an array. */
function isSame(found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected)) throw new Error(`${inspect(found)} for ${inspect(expected)}`);
}

test('every value survives a round trip in a call, a response and a struct', (t) => {
  fc.assert(
    fc.property(anySent, ({ sent, read }) => {
      isSame(parseCall(serialiseCall('m', [sent, sent], ALL)).params, [read, read]);
      const response = parseResponse(serialiseResponse(sent, ALL));
      isSame(response.kind === 'value' && response.value, read);
      isSame(parseStruct(serialiseStruct({ sent }, ALL)), dictOf([['sent', read]]));
    }),
    { numRuns: 700 },
  );
  t.pass();
});

test('written structs are canonical: reading their members returns the same bytes', (t) => {
  fc.assert(
    fc.property(anySent, ({ sent }) => {
      const struct = serialiseStruct({ sent }, ALL);
      t.is(structText(canonicalMembers(struct)), struct);
    }),
    { numRuns: 300 },
  );
});

test('any object is written, or causes a RelayError', (t) => {
  const options = {
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
  };
  fc.assert(
    fc.property(fc.anything({ ...options, withObjectString: true }), (thing) => {
      try {
        parseResponse(serialiseResponse(thing as Sendable, ALL));
      } catch (error) {
        t.true(RelayError.is(error) && error.code === 'INTERNAL', String(error));
      }
    }),
    { numRuns: 700 },
  );
});

test('every fault is written and read, whatever its code and text', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer(), fc.double()),
      fc.oneof(text, fc.string({ unit: fc.integer({ max: 0xffff }).map((u) => String.fromCharCode(u)) })),
      (code, said) => {
        const fault = parseResponse(serialiseFault(code, said));
        t.is(fault.kind, 'fault');
        if (fault.kind === 'fault' && !/[^\t\n\r -\ud7ff\ue000-\ufffd]/.test(said)) t.is(fault.text, said);
      },
    ),
    { numRuns: 300 },
  );
});

const seed = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const mutation = fc.record({ kind: fc.constantFrom(...MUTATIONS), at: fc.nat(), size: fc.nat(), other: fc.nat() });

test('any mutated document results in a value or a refusal', (t) => {
  fc.assert(
    fc.property(seed, fc.array(mutation, { maxLength: 4 }), (from, changes) => {
      examine(changes.reduce(mutate, Buffer.from(document(new Random(from)))));
    }),
    { numRuns: 700 },
  );
  t.pass();
});

test('any mutated document of a written value results in a value or a refusal', (t) => {
  fc.assert(
    fc.property(anySent, fc.array(mutation, { minLength: 1, maxLength: 3 }), ({ sent }, changes) => {
      examine(changes.reduce(mutate, serialiseCall('m', [sent], ALL)));
    }),
    { numRuns: 700 },
  );
  t.pass();
});

test('any written document is refused if it is truncated at any byte', (t) => {
  fc.assert(
    fc.property(anySent, ({ sent }) => {
      const body = serialiseCall('m', [sent], ALL);
      for (let length = 0; length < Math.min(body.length, 3000); length++) {
        const refusal = refusalOf(() => parseCall(body.subarray(0, length)));
        if (/^(accepted|not a)/.test(refusal)) throw new Error(`cut after ${length} of ${body.length} bytes: ${refusal}`);
      }
    }),
    { numRuns: 25 },
  );
  t.pass();
});

test('a body that is part of a larger buffer is read on its own', (t) => {
  fc.assert(
    fc.property(anySent, fc.uint8Array(), fc.uint8Array(), ({ sent, read }, before, after) => {
      const body = serialiseCall('m', [sent], ALL);
      const whole = Buffer.concat([before, body, after]);
      const view = new Uint8Array(whole.buffer, whole.byteOffset + before.length, body.length);
      const { params } = parseCall(view);
      // Values do not change when the buffer is reused.
      whole.fill(0);
      isSame(params, [read]);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

/** Properties of arbitrary values and documents. */
import { inspect, isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { RelayError } from '../../src/core/core.ts';
import type { Message } from '../../src/message/message.ts';
import { dictOf } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import {
  DEFAULT_LIMITS,
  canonicalMembers,
  parseCall,
  parseResponse,
  parseStruct,
  serialiseCall,
  serialiseFault,
  serialiseNotify,
  serialiseResponse,
  serialiseStruct,
  serialiseStructBytes,
  writeStruct,
} from '../../src/xmlrpc/xmlrpc.ts';
import { firstRun, learnRun, recallRun } from '../../src/xmlrpc/read/markup-runs.ts';
import type { Scalar } from '../../src/xmlrpc/read/markup-runs.ts';
import { TagBytes } from '../../src/xmlrpc/read/tag-bytes.ts';
import { readPlainCall, readPlainStruct } from '../../src/xmlrpc/read/plain-call.ts';
import { examine, examineLimits, examinePlainStruct, examineShortcut } from '../fuzz/examine.ts';
import { document } from '../fuzz/generate.ts';
import { MUTATIONS, mutate } from '../fuzz/mutate.ts';
import { Random } from '../fuzz/random.ts';
import { anySent, text, usualCall } from './arbitraries.ts';
import { ALL } from './table/rows.ts';
import { refusalOf, structText } from './wire.ts';

const MESSAGE: Omit<Message, 'payload'> = {
  ...{ id: '1', hostId: 'a@192.0.2.1:2004', clientAddress: ['192.0.2.1', 2004], destination: 'all', hopsLeft: 16, ageMs: 0 },
  ...{ arrivedAt: 0, via: [], verdict: 'local', frozen: () => ({ dict: dictOf([]), holders: undefined }) },
};

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

test('a dict that this relay wrote is forwarded in the same bytes as one that it reads again', (t) => {
  fc.assert(
    fc.property(anySent, anySent, ({ sent }, { sent: other }) => {
      const message = { ...MESSAGE, payload: serialiseStructBytes({ data: sent, 'ö<': other }, { nil: true, i8: true }) };
      const own = { host_id: 'a@192.0.2.1:2004', co2: { id: '1', via: [] } };
      t.deepEqual(serialiseNotify({ ...message, isOwnWriting: true }, own), serialiseNotify(message, own));
    }),
    { numRuns: 200 },
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

// The relay does not read again what it has written itself.
test('a struct that is written has the names that are read from it, and is refused for its number of members or values only', (t) => {
  const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true, withNullPrototype: true });
  let written = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, fc.oneof(value, fc.date(), fc.string({ unit: 'binary' }), text))),
      fc.boolean(),
      (members, isMap) => {
        let struct: ReturnType<typeof writeStruct>;
        try {
          struct = writeStruct((isMap ? new Map(members) : Object.fromEntries(members)) as Sendable, { nil: true, i8: true });
        } catch (error) {
          t.true(RelayError.is(error), String(error));
          return;
        }
        written++;
        t.true(struct.isReadable);
        t.deepEqual(struct.names.toSorted(), Object.keys(parseStruct(struct.source)).sort());
      },
    ),
    { numRuns: 1000 },
  );
  t.true(written > 100, `only ${written} structs could be written`);
  const many = (count: number): Sendable => ({ data: new Map(Array.from({ length: count }, (_, index) => [index.toString(36), null])) });
  t.like(writeStruct(many(DEFAULT_LIMITS.maxMembers + 1), { nil: true }), { isReadable: false });
  t.like(writeStruct(many(DEFAULT_LIMITS.maxMembers / 2), { nil: true }), { isReadable: true });
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

// Both readers share what they remember of earlier documents, so each run also depends on those before it.
test('a call in the usual form, mutated or not, is read as the grammar reads it', (t) => {
  let shortcuts = 0;
  fc.assert(
    fc.property(usualCall, fc.array(mutation, { maxLength: 3 }), (body, changes) => {
      if (changes.length === 0 && isReadInOneGo(body)) shortcuts++;
      examineShortcut(changes.reduce(mutate, body));
    }),
    { numRuns: 4000 },
  );
  t.true(shortcuts > 200, `only ${shortcuts} calls were read in one go`);
});

test('limits apply to a call in the usual form as the grammar applies them', (t) => {
  const limit = fc.integer({ min: 0, max: 12 });
  const limits = fc.record({ maxDepth: limit, maxValues: limit, maxMembers: limit, maxDigits: limit, maxNameLength: fc.nat(24) });
  fc.assert(
    fc.property(usualCall, limits, (body, all) => {
      for (const [name, value] of Object.entries(all)) examineLimits(body, { [name]: value });
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('a struct alone in the usual form, mutated or not, and under limits, is read as the grammar reads it', (t) => {
  let shortcuts = 0;
  const limit = fc.integer({ min: 0, max: 12 });
  const limits = fc.record({ maxDepth: limit, maxValues: limit, maxMembers: limit, maxDigits: limit, maxNameLength: fc.nat(24) });
  fc.assert(
    fc.property(usualCall, fc.array(mutation, { maxLength: 3 }), limits, (call, changes, all) => {
      // Also with what follows it in the call, and with the end of another document: calls and structs share what is remembered.
      const from = call.indexOf('<struct>');
      const struct = call.subarray(Math.max(0, from), call.lastIndexOf('</struct>') + '</struct>'.length);
      if (isStructReadInOneGo(struct)) shortcuts++;
      examineShortcut(call);
      examinePlainStruct(struct);
      examinePlainStruct(changes.reduce(mutate, struct));
      examinePlainStruct(call.subarray(Math.max(0, from)));
      examineShortcut(call.subarray(0, from + struct.length));
      for (const [name, value] of Object.entries(all)) examinePlainStruct(struct, { [name]: value });
    }),
    { numRuns: 1500 },
  );
  t.true(shortcuts > 100, `only ${shortcuts} structs were read in one go`);
});

test('what ends a struct alone ends no call, and the other way round', (t) => {
  // What is remembered of the second member is shared by both.
  const members = '<member><name>a</name><value><int>1</int></value></member><member><name>data</name><value><int>1</int></value></member>';
  const struct = `<struct>${members}</struct>`;
  const inner = `<struct><member><name>data</name><value>${struct}</value></member></struct>`;
  const head = '<methodCall><methodName>m</methodName><params><param><value>';
  const tail = '</value></param></params></methodCall>';
  const more = `</value></param><param><value>${struct}`;
  // Each is read after all others.
  for (let round = 0; round < 3; round++) {
    for (const alone of [struct, inner]) t.true(isStructReadInOneGo(Buffer.from(alone)), alone);
    for (const call of [struct, inner, struct + more]) t.true(isReadInOneGo(Buffer.from(head + call + tail)), call);
    for (const broken of [
      struct + tail,
      struct + more,
      inner.slice(0, -'</value></member></struct>'.length),
      struct + struct,
      `${struct}x`,
    ]) {
      t.false(isStructReadInOneGo(Buffer.from(broken)), broken);
      examinePlainStruct(broken);
    }
    for (const broken of [head + struct, `${head.replace('<param><value>', '')}${struct}${tail}`, head + struct + more]) {
      t.false(isReadInOneGo(Buffer.from(broken)), broken);
      examineShortcut(Buffer.from(broken));
    }
  }
});

test('a struct in bytes that are not UTF-8 is refused', (t) => {
  const source = Buffer.from('<struct><member><name>data</name><value>\u00e4</value></member></struct>', 'latin1');
  t.is(
    refusalOf(() => parseStruct(source)),
    `INVALID_CHARACTER 1:${source.indexOf(0xe4) + 1}`,
  );
});

test('calls as our client, Python and npm xmlrpc write them are read in one go', (t) => {
  const value = { data: [1, 'a & b', 2.5, true, 'ä', new Date(0), Buffer.from('x'.repeat(300)), { deep: [[], {}] }], more: '' };
  const ours = serialiseCall('bench.box.add', [value, 1e300]);
  const python = ours
    .toString()
    .replace('<?xml version="1.0"?>', "<?xml version='1.0'?>\n")
    .replace(/(<methodCall>|<\/methodName>|<params>|<param>|<\/value>|<\/param>|<struct>|<member>|<\/name>|<data>|<\/member>)/g, '$1\n');
  const npm = ours.toString().replace('?>', '?>\n');
  // Also after calls that leave out the type of texts.
  const untyped = ours.toString().replaceAll(/<\/?string>/g, '');
  for (const xml of [ours.toString(), python, npm, untyped, ours.toString()]) t.true(isReadInOneGo(Buffer.from(xml)), xml);
});

test('markup that was seen in one kind of container is refused in another', (t) => {
  const list = '<array><data><value><int>1</int></value><value><int>2</int></value></data></array></value>';
  const three = '<value><int>3</int></value>';
  const end = '</param></params></methodCall>';
  const heads = {
    params: '',
    array: '<array><data><value>',
    struct: '<struct><member><name>m</name><value>',
  };
  const tails = {
    params: [end, `</param><param>${three}${end}`],
    array: [`</data></array></value>${end}`, `${three}</data></array></value>${end}`],
    struct: ['n', 'm'].map((name) => `</member><member><name>${name}</name>${three}</member></struct></value>${end}`),
  };
  const kinds = ['params', 'array', 'struct'] as const;
  const read = (head: (typeof kinds)[number], tail: string): boolean => {
    const body = Buffer.from(`<methodCall><methodName>m</methodName><params><param><value>${heads[head]}${list}${tail}`);
    examineShortcut(body);
    return isReadInOneGo(body);
  };
  for (const kind of kinds) t.true(read(kind, tails[kind][0]!), kind);
  for (const known of kinds) {
    for (const tail of tails[known]) {
      read(known, tail);
      for (const kind of kinds) if (kind !== known) t.false(read(kind, tail), `${kind} ${tail}`);
    }
  }
  t.false(read('struct', tails.struct[1]!), 'the name m occurs twice');
  t.false(read('array', `</member><member><name>n</name>${three}${tails.array[0]!}`), 'a member of an array');
  t.false(read('struct', `${three}</member></struct></value>${end}`), 'two values in one member');
});

test('markup is only recognised after a scalar of the same type', (t) => {
  const [double, int] = [scalarOf('double'), scalarOf('int')];
  // What follows a run that is followed by nothing yet is looked up in the first slot, so one is needed that is there.
  for (let name = 0; name < 100_000; name++) {
    const bytes = Buffer.from(`</int></value></member><member><name>${name}</name><value><int>`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const run = learnRun(firstRun(int), { after: int, steps: [] }, view, 0, bytes.length);
    if (recallRun(firstRun(int), view, 0, bytes.length) !== run) continue;
    t.is(recallRun(firstRun(double), view, 0, bytes.length), undefined);
    return;
  }
  t.fail('no run is in the first slot');
});

function scalarOf(type: 'int' | 'double'): Scalar {
  return { type, start: new TagBytes(`<${type}>`), end: new TagBytes(`</${type}></value>`) };
}

function isStructReadInOneGo(source: Buffer): boolean {
  return readPlainStruct(source, { limits: DEFAULT_LIMITS, allowNonFinite: false, leniency: 'forms' }) !== undefined;
}

function isReadInOneGo(body: Buffer): boolean {
  return readPlainCall(body, { limits: DEFAULT_LIMITS, allowNonFinite: false, leniency: 'forms' }) !== undefined;
}

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

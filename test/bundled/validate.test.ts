/** The bundled suites validator1 and interopEchoTests in a real relay: each method with valid input, and with input that it must reject. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Double } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { PROJECT_DIR } from '../support/processes.ts';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const start = (t: ExecutionContext): Promise<TestRelay> =>
  startRelay(t, { pluginsDir: join(PROJECT_DIR, 'plugins'), pluginList: ['validate'] });

const STOOGES = { moe: 1, larry: 20, curly: 300 };
const MAX = 2 ** 31 - 1;
const WHEN = new Date('2001-04-10T12:00:00Z');
const BYTES = Buffer.from([0, 1, 0xff]);
const SAMPLE = { varString: 'é', varInt: -1, varFloat: 0.5 };

type Case = readonly [method: string, params: readonly Sendable[], answer: unknown];

const RIGHT: readonly Case[] = [
  ['validator1.arrayOfStructsTest', [[STOOGES, { ...STOOGES, curly: -1, shemp: 'x' }, STOOGES]], 599],
  ['validator1.arrayOfStructsTest', [[]], 0],
  [
    'validator1.countTheEntities',
    [`<a> & 'b' "c" >& ]]>`],
    { ctLeftAngleBrackets: 1, ctRightAngleBrackets: 3, ctAmpersands: 2, ctApostrophes: 2, ctQuotes: 2 },
  ],
  [
    'validator1.countTheEntities',
    [''],
    { ctLeftAngleBrackets: 0, ctRightAngleBrackets: 0, ctAmpersands: 0, ctApostrophes: 0, ctQuotes: 0 },
  ],
  ['validator1.easyStructTest', [{ ...STOOGES, more: [] }], 321],
  ['validator1.echoStructTest', [{ a: { b: [1, { c: '' }] } }], { a: { b: [1, { c: '' }] } }],
  ['validator1.manyTypesTest', [1, true, 'text', 2.5, WHEN, BYTES], [1, true, 'text', 2.5, WHEN, BYTES]],
  ['validator1.moderateSizeArrayCheck', [Array.from({ length: 150 }, (_, n) => `text ${n} `)], 'text 0 text 149 '],
  ['validator1.moderateSizeArrayCheck', [['one']], 'oneone'],
  ['validator1.nestedStructTest', [{ '1999': {}, '2000': { '03': {}, '04': { '01': STOOGES, '02': {} } } }], 321],
  ['validator1.simpleStructReturnTest', [-7], { times10: -70, times100: -700, times1000: -7000 }],
  ['interopEchoTests.echoString', ['<é & 🐍>\r\n'], '<é & 🐍>\r\n'],
  ['interopEchoTests.echoInteger', [-MAX - 1], -MAX - 1],
  ['interopEchoTests.echoFloat', [-1.5e-7], -1.5e-7],
  ['interopEchoTests.echoBoolean', [false], false],
  ['interopEchoTests.echoStruct', [SAMPLE], SAMPLE],
  ['interopEchoTests.echoStruct', [{ anything: ['else'] }], { anything: ['else'] }],
  ['interopEchoTests.echoDate', [WHEN], WHEN],
  ['interopEchoTests.echoBase64', [BYTES], BYTES],
  ['interopEchoTests.echoValue', [[SAMPLE, 'text', true, WHEN, BYTES, 1]], [SAMPLE, 'text', true, WHEN, BYTES, 1]],
  ['interopEchoTests.echoStringArray', [['a', '']], ['a', '']],
  ['interopEchoTests.echoIntegerArray', [[1, -MAX - 1]], [1, -MAX - 1]],
  ['interopEchoTests.echoFloatArray', [[0.5, -1]], [0.5, -1]],
  ['interopEchoTests.echoStructArray', [[SAMPLE, {}]], [SAMPLE, {}]],
  ['interopEchoTests.noInParams', [], 42],
];

const WRONG: readonly Case[] = [
  ['validator1.arrayOfStructsTest', [[{ moe: 1, larry: 2 }]], -32602],
  ['validator1.arrayOfStructsTest', [STOOGES], -32602],
  ['validator1.arrayOfStructsTest', [[STOOGES, { ...STOOGES, curly: MAX }]], 1],
  ['validator1.countTheEntities', [1], -32602],
  ['validator1.easyStructTest', [{ ...STOOGES, moe: '1' }], -32602],
  ['validator1.easyStructTest', [{ ...STOOGES, moe: 0.5 }], -32602],
  ['validator1.easyStructTest', [{ ...STOOGES, moe: MAX }], 1],
  ['validator1.echoStructTest', [[]], -32602],
  ['validator1.manyTypesTest', [1, true, 'text', 2.5, WHEN], -32602],
  ['validator1.manyTypesTest', [1, true, 'text', 2.5, 'now', BYTES], -32602],
  ['validator1.moderateSizeArrayCheck', [[]], -32602],
  ['validator1.moderateSizeArrayCheck', [['a', 1]], -32602],
  ['validator1.nestedStructTest', [{ '2000': { '04': {} } }], -32602],
  ['validator1.nestedStructTest', [{ '2000': { '04': { '01': { ...STOOGES, larry: -MAX - 1, moe: -1000 } } } }], 1],
  ['validator1.simpleStructReturnTest', ['7'], -32602],
  ['validator1.simpleStructReturnTest', [MAX], 1],
  ['interopEchoTests.echoString', [1], -32602],
  ['interopEchoTests.echoInteger', [0.5], -32602],
  ['interopEchoTests.echoFloat', ['1'], -32602],
  ['interopEchoTests.echoBoolean', [1], -32602],
  ['interopEchoTests.echoStruct', [[SAMPLE]], -32602],
  ['interopEchoTests.echoDate', ['20010410T12:00:00'], -32602],
  ['interopEchoTests.echoBase64', ['AAH/'], -32602],
  ['interopEchoTests.echoValue', [], -32602],
  ['interopEchoTests.echoStringArray', [['a', 1]], -32602],
  ['interopEchoTests.echoIntegerArray', [[1, 0.5]], -32602],
  ['interopEchoTests.echoIntegerArray', [1], -32602],
  ['interopEchoTests.echoFloatArray', [['1']], -32602],
  ['interopEchoTests.echoStructArray', [[SAMPLE, []]], -32602],
  ['interopEchoTests.echoStructArray', [[WHEN]], -32602],
  ['interopEchoTests.noInParams', [1], -32602],
  ['interopEchoTests.whichToolkit', [{}], -32602],
];

/** Decoded structs have no prototype; those in tests have one. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

test('each method returns what its suite expects', async (t) => {
  const relay = await start(t);
  for (const [method, params, answer] of RIGHT) t.deepEqual(plain(await relay.call(`validate.${method}`, ...params)), answer, method);
});

test('each method rejects wrong types and results beyond 32 bits', async (t) => {
  const relay = await start(t);
  for (const [method, params, code] of WRONG) {
    const fault = await t.throwsAsync(relay.call(`validate.${method}`, ...params), undefined, method);
    t.is((fault as { code?: unknown }).code, code, `${method}: ${fault.message}`);
  }
});

test('whichToolkit describes the implementation', async (t) => {
  const relay = await start(t);
  const toolkit = (await relay.call('validate.interopEchoTests.whichToolkit')) as Record<string, string>;
  t.deepEqual(Object.keys(toolkit), ['toolkitDocsUrl', 'toolkitName', 'toolkitVersion', 'toolkitOperatingSystem']);
  t.is(toolkit.toolkitName, 'co2-relay');
  t.regex(toolkit.toolkitVersion!, /^\d+\.\d+\.\d+/);
});

test('every method of both suites exists, has help and a signature, and was tested with valid and invalid input', async (t) => {
  const relay = await start(t);
  const names = ((await relay.call('system.listMethods')) as string[]).filter((name) => name.startsWith('validate.'));
  t.is(names.length, 8 + 14);
  const tried = (cases: readonly Case[]): string[] => [...new Set(cases.map(([method]) => `validate.${method}`))].sort();
  t.deepEqual(tried([...RIGHT, ['interopEchoTests.whichToolkit', [], {}]]), names);
  t.deepEqual(tried(WRONG), names);
  for (const name of names) {
    t.regex((await relay.call('system.methodHelp', name)) as string, /^[A-Z].*\.$/s, name);
    t.true(Array.isArray(await relay.call('system.methodSignature', name)), name);
  }
});

test('a whole double stays a double where the suite says double', async (t) => {
  const relay = await start(t);
  const one = new Double(1);
  for (const [method, params, doubles] of [
    ['validator1.manyTypesTest', [1, true, 'text', one, WHEN, BYTES], 1],
    ['interopEchoTests.echoFloat', [one], 1],
    ['interopEchoTests.echoFloatArray', [[one, one]], 2],
    ['interopEchoTests.echoStruct', [{ ...SAMPLE, varFloat: one }], 1],
    ['interopEchoTests.echoStructArray', [[{ ...SAMPLE, varFloat: one }]], 1],
  ] as const) {
    const body = serialiseCall(`validate.${method}`, params);
    const response = await fetch(`${relay.url}/RPC2`, { method: 'POST', headers: { 'Content-Type': 'text/xml' }, body });
    const xml = await response.text();
    t.is(xml.split('<double>1.0</double>').length - 1, doubles, xml);
  }
});

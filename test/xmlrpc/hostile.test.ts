/** Documents of 1 MiB made to hurt: each ends in a refusal or a value, with the stack and the prototypes as they were. */
import test from 'ava';
import { canonicalMembers, parseCall, parseStruct, serialiseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import { CALL_HEAD, CALL_TAIL, refusalOf } from './wire.ts';

const MIB = 1024 * 1024;
const fill = (unit: string): string => unit.repeat(Math.floor(MIB / unit.length));
const numbered = (write: (i: number) => string, count: number): string => Array.from({ length: count }, (_, i) => write(i)).join('');

// The body, and what must come of it: a code, or the length of the text that is the value.
const DOCUMENTS: readonly (readonly [clause: string, body: string, outcome: string | number])[] = [
  ['nested unknown tags', fill('<a>'), 'INVALID_REQUEST'],
  ['200,000 nested arrays', CALL_HEAD + '<array><data><value>'.repeat(200_000), 'LIMIT'],
  ['nested structs', CALL_HEAD + fill('<struct><member><name>a</name><value>'), 'LIMIT'],
  ['nested values', CALL_HEAD + fill('<value>'), 'INVALID_REQUEST'],
  ['end tags', fill('</a>'), 'NOT_WELL_FORMED'],
  ['an endless name', `<${fill('a')}`, 'LIMIT'],
  ['an 8 MB name', `<${'a'.repeat(8_000_000)}/>`, 'LIMIT'],
  ['an endless attribute name', `<a ${fill('b')}`, 'LIMIT'],
  ['an endless attribute value', `<methodCall a="${fill('b')}`, 'NOT_WELL_FORMED'],
  ['blanks in a tag', `<methodCall${fill(' ')}`, 'LIMIT'],
  ['blanks in an end tag', `${CALL_HEAD}</value${fill(' ')}`, 'LIMIT'],
  ['a million attributes', `<methodCall${numbered((i) => ` a${i}=""`, 100_000)}>`, 'LIMIT'],
  ['references in an attribute', `<methodCall a="${fill('&#65;')}"/>`, 'LIMIT'],
  ['bare ampersands', CALL_HEAD + fill('&'), 'NOT_WELL_FORMED'],
  ['left angle brackets', fill('<'), 'NOT_WELL_FORMED'],
  ['right angle brackets', CALL_HEAD + fill('>') + CALL_TAIL, MIB],
  ['square brackets', CALL_HEAD + fill(']') + CALL_TAIL, MIB],
  ['a reference that does not end', `${CALL_HEAD}&#${fill('0')}`, 'LIMIT'],
  ['a reference with a million zeros', `${CALL_HEAD}&#${fill('0')}65;${CALL_TAIL}`, 'LIMIT'],
  ['a million references', CALL_HEAD + '&#65;'.repeat(1_000_000) + CALL_TAIL, 1_000_000],
  ['entities', CALL_HEAD + fill('&amp;') + CALL_TAIL, Math.floor(MIB / 5)],
  ['100,000 CDATA sections', CALL_HEAD + '<![CDATA[a]]>'.repeat(100_000) + CALL_TAIL, 100_000],
  ['CDATA sections that do not end', CALL_HEAD + fill('<![CDATA['), 'NOT_WELL_FORMED'],
  ['comments', CALL_HEAD + fill('<!---->') + CALL_TAIL, 0],
  ['comments that do not end', CALL_HEAD + fill('<!--'), 'NOT_WELL_FORMED'],
  ['hyphens in a comment', `<!--${fill('- ')}-->`, 'NOT_WELL_FORMED'],
  ['instructions', `${fill('<?a?>')}<a/>`, 'INVALID_REQUEST'],
  ['instructions that do not end', fill('<?a '), 'NOT_WELL_FORMED'],
  ['a declaration that does not end', `<?xml version="1.0"${fill(' ')}`, 'NOT_WELL_FORMED'],
  ['an encoding that does not end', `<?xml version="1.0" encoding="${fill('a')}`, 'NOT_WELL_FORMED'],
  [
    'entity expansion',
    `<!DOCTYPE a [<!ENTITY a "a">${numbered((i) => `<!ENTITY a${i} "&a;&a;">`, 1000)}]>${CALL_HEAD}&a999;${CALL_TAIL}`,
    'NOT_WELL_FORMED',
  ],
  ['an endless DOCTYPE', `<!DOCTYPE a [${fill('<!ENTITY')}`, 'NOT_WELL_FORMED'],
  ['carriage returns', CALL_HEAD + fill('\r') + CALL_TAIL, MIB],
  ['CRLF', CALL_HEAD + fill('\r\n') + CALL_TAIL, MIB / 2],
  ['blanks between elements', `<methodCall>${fill(' \n')}<x/>`, 'INVALID_REQUEST'],
  ['NULs', fill('\0'), 'NOT_WELL_FORMED'],
  ['a million digits', `${CALL_HEAD}<int>${fill('1')}</int>${CALL_TAIL}`, 'LIMIT'],
  ['a million digits of an i8', `${CALL_HEAD}<i8>${fill('1')}</i8>${CALL_TAIL}`, 'LIMIT'],
  ['a million digits of a double', `${CALL_HEAD}<double>${fill('1')}</double>${CALL_TAIL}`, 'LIMIT'],
  ['a million blanks before a typed child', `${CALL_HEAD}${fill(' ')}<string>a</string>${CALL_TAIL}`, 1],
  ['broken base64', `${CALL_HEAD}<base64>${fill('A')}*</base64>${CALL_TAIL}`, 'INVALID_REQUEST'],
  ['padding', `${CALL_HEAD}<base64>${fill('=')}</base64>${CALL_TAIL}`, 'INVALID_REQUEST'],
  ['a million empty values', `${CALL_HEAD}<array><data>${'<value/>'.repeat(1_000_000)}`, 'LIMIT'],
  ['members of one name', `${CALL_HEAD}<struct>${fill('<member><name>a</name><value/></member>')}</struct>`, 'INVALID_REQUEST'],
  [
    'members of many names',
    `${CALL_HEAD}<struct>${numbered((i) => `<member><name>${i}</name><value/></member>`, 30_000)}</struct>`,
    'LIMIT',
  ],
  ['namespaces', `${CALL_HEAD}<array><data>${fill('<value xmlns:n="u"><n:a/></value>')}</data></array>`, 'INVALID_REQUEST'],
  ['a text of one line with an error at its end', `${CALL_HEAD}${fill('a')}&`, 'NOT_WELL_FORMED'],
  ['surrogate pairs', CALL_HEAD + '😀'.repeat(MIB / 4) + CALL_TAIL, MIB / 2],
];

for (const [clause, body, outcome] of DOCUMENTS) {
  test(`1 MiB: ${clause}`, (t) => {
    const bytes = Buffer.from(body);
    if (typeof outcome === 'number') t.is((parseCall(bytes).params[0] as string).length, outcome);
    else
      t.regex(
        refusalOf(() => parseCall(bytes)),
        new RegExp(`^${outcome}( |$)`),
      );
  });
}

// Processor time, the least of three; a quadratic way would take 64 times as long for eight times the text.
const costOf = (body: Buffer): number =>
  Math.min(
    ...[1, 2, 3].map(() => {
      const before = process.cpuUsage();
      refusalOf(() => parseCall(body));
      const { user, system } = process.cpuUsage(before);
      return user + system;
    }),
  );
const GROWING: readonly (readonly [clause: string, write: (length: number) => string])[] = [
  ['references', (length) => CALL_HEAD + '&#65;'.repeat(length / 5) + CALL_TAIL],
  ['CDATA sections', (length) => CALL_HEAD + '<![CDATA[a]]>'.repeat(length / 13) + CALL_TAIL],
  ['comments', (length) => CALL_HEAD + '<!---->'.repeat(length / 7) + CALL_TAIL],
  ['carriage returns', (length) => CALL_HEAD + '\r'.repeat(length) + CALL_TAIL],
  ['square brackets', (length) => CALL_HEAD + ']'.repeat(length) + CALL_TAIL],
  [
    'base64 values',
    (length) => `${CALL_HEAD}<array><data>${'<value><base64>QQ==</base64></value>'.repeat(length / 36)}</data></array>${CALL_TAIL}`,
  ],
  ['base64 with references', (length) => `${CALL_HEAD}<base64>${'QUJD&#10;'.repeat(length / 9)}</base64>${CALL_TAIL}`],
  ['attributes', (length) => `${CALL_HEAD}<array><data>${'<value a="1" b="2"/>'.repeat(length / 20)}</data></array>${CALL_TAIL}`],
  [
    'names of one slot',
    (length) => `${CALL_HEAD}<struct>${numbered((i) => `<member><name>n${i}</name><value/></member>`, length / 44)}</struct>`,
  ],
  ['latin1', (length) => `<?xml version="1.0" encoding="latin1"?>${CALL_HEAD}${'ä'.repeat(length / 2)}${CALL_TAIL}`],
];

for (const [clause, write] of GROWING) {
  test(`eight times the text costs about eight times the work: ${clause}`, (t) => {
    const [small, large] = [128, 1024].map((kib) => Buffer.from(write(kib * 1024)));
    costOf(small!);
    const [least, most] = [costOf(small!), costOf(large!)];
    t.true(most < 32 * Math.max(least, 1000), `${least} µs, then ${most} µs`);
  });
}

test('1 MiB of random bytes, of each single byte, and of cut and repeated markup', (t) => {
  let seed = 42;
  const random = Buffer.alloc(MIB, 0).map(() => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 16);
  t.notRegex(
    refusalOf(() => parseCall(random)),
    /^(accepted|not a)/,
  );
  for (let byte = 0; byte < 256; byte++) {
    t.notRegex(
      refusalOf(() => parseCall(Buffer.alloc(4096, byte))),
      /^(accepted|not a)/,
    );
  }
});

const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__', '', '0'];
for (const name of NAMES) {
  test(`a member named ${JSON.stringify(name)} is plain own data`, (t) => {
    const text = `<struct><member><name>${name}</name><value><struct><member><name>x</name><value>evil</value></member></struct></value></member></struct>`;
    const dict = parseStruct(text);
    t.is(Object.getPrototypeOf(dict), null);
    t.deepEqual(Object.keys(dict), [name]);
    t.true(Object.getOwnPropertyDescriptor(dict, name)?.writable);
    t.is(Reflect.get({}, 'x'), undefined);
    t.is(dict.x, undefined);
    t.deepEqual([...canonicalMembers(text).keys()], [name]);
    t.deepEqual(parseStruct(serialiseStruct(dict)), dict);
  });
}

test('a member that is not there is undefined, whatever it is called', (t) => {
  const dict = parseStruct('<struct/>');
  for (const name of NAMES) t.false(name in dict);
});

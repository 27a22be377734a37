/** Each limit: the largest allowed value is accepted, and one more is refused at its position. */
import type { XmlRpcLimits } from '../../../src/xmlrpc/xmlrpc.ts';
import type { Row } from './rows.ts';
import { ANYWHERE, accepts, beyond, member, refuses } from './rows.ts';
import { callOf } from '../wire.ts';

const arrays = (depth: number): string => '<array><data><value>'.repeat(depth) + '</value></data></array>'.repeat(depth);
const structs = (depth: number): string => '<struct><member><name/><value>'.repeat(depth) + '</value></member></struct>'.repeat(depth);
const values = (count: number): string => `<array><data>${'<value/>'.repeat(count)}</data></array>`;
const numbered = (write: (i: number) => string, count: number): string => Array.from({ length: count }, (_, i) => write(i)).join('');
const members = (count: number): string => `<struct>${numbered((i) => `<member><name>${i}</name><value/></member>`, count)}</struct>`;
const attributes = (count: number): string => `<nil${numbered((i) => ` a${i}=""`, count)}/>`;
const within = (from: string, inner: string, limits: Partial<XmlRpcLimits> = {}): Row =>
  accepts(`${from}: within`, 'call', callOf(inner), { methodName: 'm' }, { limits });
const TAG_BYTES = 64 * 1024;
const TAG_LIMIT = /longer than 65536 bytes/;
const methodOf = (length: number): string => `<methodCall><methodName>${'m'.repeat(length)}</methodName></methodCall>`;

export const limits: readonly Row[] = [
  within('depth of arrays', arrays(64)),
  beyond('CVE-2003-1564 and heirs: depth of arrays', arrays(65), 64 * 20 + 1, /deeper than 64/),
  within('depth of structs', structs(64)),
  beyond('depth of structs', structs(65), 64 * 30 + 1, /deeper than 64/),
  within('depth of both together', `<struct><member><name/><value>${arrays(63)}</value></member></struct>`),
  beyond('depth of both together', `<struct><member><name/><value>${arrays(64)}</value></member></struct>`, 30 + 63 * 20 + 1, /deeper/),
  within('a depth of our own', arrays(2), { maxDepth: 2 }),
  beyond('a depth of our own', arrays(3), 41, /deeper than 2/, { maxDepth: 2 }),
  within('depth is how deep, not how many', `<array><data>${`<value>${arrays(1)}</value>`.repeat(100)}</data></array>`, { maxDepth: 2 }),
  within('values', values(3), { maxValues: 4 }),
  beyond('values', values(4), 14 + 3 * 8, /values/, { maxValues: 4 }),
  within('values, default', values(199_999)),
  beyond('values, default', values(200_000), 14 + 199_999 * 8, /200000 values/),
  within('members', members(2), { maxMembers: 2 }),
  beyond('members', members(3), ANYWHERE, /2 members/, { maxMembers: 2 }),
  within('members of one struct, not of all', structs(20), { maxMembers: 1 }),
  within('members, default', members(10_000)),
  within('a member name', `<struct>${member('a'.repeat(10), '')}</struct>`, { maxNameLength: 10 }),
  beyond('a member name', `<struct>${member('a'.repeat(11), '')}</struct>`, 23, /longer than 10/, { maxNameLength: 10 }),
  within('a member name, default', `<struct>${member('a'.repeat(1024), '')}</struct>`),
  beyond('a member name, default', `<struct>${member('a'.repeat(1025), '')}</struct>`, 23, /longer than 1024/),
  beyond('a member name of one million', `<struct>${member('a'.repeat(1_000_000), '')}</struct>`, 23, /longer than 1024/),
  beyond('an element name', `<${'a'.repeat(1025)}/>`, 2, /longer than 1024/),
  within('an attribute name', `<nil ${'a'.repeat(1024)}=""/>`),
  beyond('an attribute name', `<nil ${'a'.repeat(1025)}=""/>`, 6, /longer than 1024/),
  within('attributes', attributes(32)),
  beyond('attributes', attributes(33), 6 + 10 * 6 + 22 * 7, /32 attributes/),
  within('blanks in a tag', `<nil${' '.repeat(TAG_BYTES - '<nil/>'.length)}/>`),
  beyond('blanks in a tag', `<nil${' '.repeat(TAG_BYTES)}/>`, 1, TAG_LIMIT),
  within('blanks in an end tag', `<int>1</int${' '.repeat(TAG_BYTES - '</int>'.length)}>`),
  beyond('blanks in an end tag', `<int>1</int${' '.repeat(TAG_BYTES)}>`, 7, TAG_LIMIT),
  beyond('blanks before a =', `<nil a${' '.repeat(TAG_BYTES)}=""/>`, 1, TAG_LIMIT),
  beyond('blanks after a =', `<nil a=${' '.repeat(TAG_BYTES)}""/>`, 1, TAG_LIMIT),
  within('an attribute value', `<nil a="${'x'.repeat(TAG_BYTES - '<nil a=""/>'.length)}"/>`),
  beyond('an attribute value', `<nil a="${'x'.repeat(TAG_BYTES)}"/>`, 1, TAG_LIMIT),
  beyond('attribute values together', `<nil a="${'x'.repeat(TAG_BYTES / 2)}" b="${'x'.repeat(TAG_BYTES / 2)}"/>`, 1, TAG_LIMIT),
  within('digits of a reference', `&#${'0'.repeat(62)}65;`),
  beyond('digits of a reference', `ab&#${'0'.repeat(63)}65;`, 3, /64 digits/),
  beyond('digits of a reference in an attribute', `<nil a="&#x${'0'.repeat(63)}41;"/>`, 9, /64 digits/),
  within('digits of an int', `<int>${'0'.repeat(1199)}1</int>`),
  beyond('CVE-2020-10735: digits are not linear; an int', `<int>${'0'.repeat(1200)}1</int>`, 6, /1200/),
  within('digits of an i8', `<i8>${'0'.repeat(1199)}1</i8>`),
  beyond('digits of an i8', `<i8>${'0'.repeat(1200)}1</i8>`, 5, /1200/),
  beyond('digits of a double', '<double>1.55</double>', 9, /3/, { maxDigits: 3 }),
  within('digits of a double', '<double>1.5</double>', { maxDigits: 3 }),
  beyond('digits of a date', `<dateTime.iso8601>${'1'.repeat(1201)}</dateTime.iso8601>`, 19, /1200/),
  within('a string has no digits', `<string>${'1'.repeat(100)}</string>`, { maxDigits: 3 }),
  within('base64 has no digits', `<base64>${'AAAA'.repeat(100)}</base64>`, { maxDigits: 3 }),
  accepts('a method name', 'call', methodOf(1024), { params: [] }),
  refuses('a method name', 'call', methodOf(1025), 'LIMIT 1:25', /1024/),
  accepts('bytes', 'call', callOf('ä'), { params: ['ä'] }, { limits: { maxBodyBytes: callOf('ä').length } }),
  refuses('bytes', 'call', callOf('ä'), 'LIMIT', /bytes/, { limits: { maxBodyBytes: callOf('ä').length - 1 } }),
  refuses('bytes, default', 'call', Buffer.alloc(8 * 1024 * 1024 + 1, 32), 'LIMIT', /8388608/),
  refuses('bytes of a response', 'response', '<methodResponse/>', 'LIMIT', /16/, { limits: { maxBodyBytes: 16 } }),
  refuses('characters of a text', 'struct', '<struct/>', 'LIMIT', /8/, { limits: { maxBodyBytes: 8 } }),
];

/** Documents of 1 MiB that are made to slow a parser down. */

const SIZE = 1024 * 1024;
const HEAD = '<methodCall><methodName>m</methodName><params><param><value>';
const TAIL = '</value></param></params></methodCall>';

/** Name -> document; includes documents that are rejected at once, because a parser might read on. */
export function hostileDocuments(): ReadonlyMap<string, Buffer> {
  const member = (name: string): string => `<member><name>${name}</name><value>1</value></member>`;
  const members = Array.from({ length: SIZE / 45 }, (_, i) => member(`n${i}`)).join('');
  return new Map([
    ['character references', inValue('&#65;')],
    ['CDATA sections', inValue('<![CDATA[x]]>')],
    ['empty comments', inValue('<!---->')],
    ['processing instructions', inValue('<?p?>')],
    ['nested tags', inValue('<array><data><value>')],
    ['empty values', inList('<value/>')],
    ['values with white space', inList('<value> <int>1</int> </value>')],
    ['attributes', Buffer.from(`<methodCall ${fill('a="" ')}>`)],
    ['one long tag name', Buffer.from(`<${fill('a')}>`)],
    ['one long attribute', Buffer.from(`<methodCall a="${fill('a')}">`)],
    ['DOCTYPE with entities', Buffer.from(`<!DOCTYPE a [${fill('<!ENTITY b "c">')}]><a/>`)],
    ['line ends', inValue('\r\n')],
    ['brackets', inValue(']')],
    ['characters of three bytes', inValue('\uffef')],
    ['one long digit string', inValue('9', '<double>', '</double>')],
    ['base64 with white space', inValue('QUJD\n', '<base64>', '</base64>')],
    ['different member names', Buffer.from(`${HEAD}<struct>${members}</struct>${TAIL}`)],
    ['dates', inList('<value><dateTime.iso8601>20260101T00:00:00</dateTime.iso8601></value>')],
    ['UTF-16', Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(`${HEAD}${'ü'.repeat(SIZE / 2)}${TAIL}`, 'utf16le')])],
  ]);
}

function inValue(piece: string, start = '', end = ''): Buffer {
  return Buffer.from(`${HEAD}${start}${fill(piece)}${end}${TAIL}`);
}

function inList(piece: string): Buffer {
  return inValue(piece, '<array><data>', '</data></array>');
}

function fill(piece: string): string {
  return piece.repeat(Math.ceil(SIZE / Buffer.byteLength(piece)));
}

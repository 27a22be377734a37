/** Reads documents of any elements by the XML layer alone, for a conformance suite. */
import { RelayError } from '../../src/core/core.ts';
import { decodeBody } from '../../src/xmlrpc/read/encoding.ts';
import { DEFAULT_LIMITS } from '../../src/xmlrpc/xmlrpc.ts';
import { ParseError } from '../../src/xmlrpc/read/parse-error.ts';
import { XmlReader } from '../../src/xmlrpc/read/xml-reader.ts';

/** Reads a whole document and returns its character data, or why it is not well-formed. */
export function readXml(body: Uint8Array): { text: string } | { refused: string } {
  try {
    return { text: textOf(body) };
  } catch (error) {
    if (error instanceof ParseError) return { refused: `${error.code} at byte ${error.at}: ${error.reason}` };
    if (RelayError.is(error)) return { refused: `${error.code}: ${error.message}` };
    throw error;
  }
}

/** The document as UTF-8, whatever its encoding. */
export function decoded(body: Uint8Array): Buffer {
  const decoding = decodeBody(body);
  let step = decoding.next();
  while (step.done !== true) step = decoding.next();
  return step.value;
}

function textOf(body: Uint8Array): string {
  const reader = new XmlReader(decoded(body), DEFAULT_LIMITS);
  const open: string[] = [];
  let text = '';
  for (let isRootSeen = false; ;) {
    const inside = open.at(-1);
    const token = inside === undefined ? reader.nextOutside(isRootSeen) : reader.next(inside);
    if (token === 'end') return text;
    if (token === 'close') open.pop();
    else if (token === 'text') text += reader.bytes.toString('utf8', reader.from, reader.to);
    else if (token === 'reference') text += String.fromCodePoint(reader.reference.point);
    else if (token === 'open') {
      isRootSeen = true;
      open.push(reader.name);
    }
  }
}

/** Bytes to text: which encoding a body has (byte order mark, then charset parameter, then XML declaration), and its strict decoding. */
import { isAscii, isUtf8 } from 'node:buffer';

import { RelayError, clean } from '../message/message.ts';
import { refuse } from './refuse.ts';

type Decoder = (body: Buffer) => string;

// The part of a declaration that can hold the encoding's name; longer ones are read as UTF-8 and judged by the scanner.
const DECLARATION_BYTES = 256;
const DECLARED = /^<\?xml[ \t\r\n][^>]{0,200}?[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*(["'])([^"'<>]{0,64})\1/;
const REPLACEMENT = '\ufffd';
// 0x80..0x9f of windows-1252; five of them have no character.
const WINDOWS_1252 = '€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ';

const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ...names(['utf-8', 'utf8'], utf8),
  ...names(['us-ascii', 'ascii', 'ansi_x3.4-1968'], ascii),
  ...names(['iso-8859-1', 'iso_8859-1', 'iso8859-1', 'latin1', 'l1'], latin1),
  ...names(['windows-1252', 'cp1252'], windows1252),
  ...[1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258].flatMap((page) =>
    names([`windows-${page}`, `cp${page}`], codePage(`windows-${page}`)),
  ),
]);

/** The text of a body without its byte order mark; `charset` is the parameter of its Content-Type. */
export function decodeBody(bytes: Uint8Array, charset?: string): string {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marked = decodeMarked(body);
  if (marked !== undefined) return marked;
  const parameter = charset?.trim().replace(/^"(.{0,64})"$/, '$1') ?? '';
  if (parameter !== '') return decoderFor(parameter, 'the Content-Type')(body);
  const declared = DECLARED.exec(body.toString('latin1', 0, Math.min(body.length, DECLARATION_BYTES)));
  return (declared ? decoderFor(declared[2] ?? '', 'the XML declaration') : utf8)(body);
}

function decodeMarked(body: Buffer): string | undefined {
  const [first, second, third, fourth] = body;
  if (first === 0xef && second === 0xbb && third === 0xbf) return utf8(body.subarray(3));
  const isLittle = first === 0xff && second === 0xfe;
  const isUtf32 = isLittle ? third === 0 && fourth === 0 : first === 0 && second === 0 && third === 0xfe && fourth === 0xff;
  if (isUtf32) return unsupported('UTF-32', 'the byte order mark');
  if (isLittle) return utf16(body.subarray(2));
  if (first === 0xfe && second === 0xff) return utf16(swapped(body.subarray(2)));
  return undefined;
}

function decoderFor(name: string, where: string): Decoder {
  return DECODERS.get(name.toLowerCase()) ?? unsupported(name, where);
}

function unsupported(name: string, where: string): never {
  const hint = /^utf-?16/i.test(name) ? 'UTF-16 is read with a byte order mark only' : 'send UTF-8';
  throw new RelayError('UNSUPPORTED_ENCODING', `line 1, column 1: the encoding ${clean(name, 40)} of ${where} is not read here; ${hint}`);
}

function utf8(body: Buffer): string {
  if (isAscii(body)) return body.toString('latin1');
  const text = body.toString('utf8');
  if (!isUtf8(body)) invalid(text, invalidUtf8At(body, text), 'UTF-8');
  return text;
}

// A replacement character in the text is the first bad byte unless the body spells it out: EF BF BD.
function invalidUtf8At(body: Buffer, text: string): number {
  let byte = 0;
  let from = 0;
  for (let at = text.indexOf(REPLACEMENT); at !== -1; at = text.indexOf(REPLACEMENT, from)) {
    byte += Buffer.byteLength(text.slice(from, at));
    if (body[byte] !== 0xef || body[byte + 1] !== 0xbf || body[byte + 2] !== 0xbd) return at;
    byte += 3;
    from = at + 1;
  }
  return text.length;
}

function ascii(body: Buffer): string {
  const text = body.toString('latin1');
  if (!isAscii(body))
    invalid(
      text,
      body.findIndex((byte) => byte > 127),
      'US-ASCII',
    );
  return text;
}

// Not TextDecoder: to WHATWG, iso-8859-1 is a name of windows-1252.
function latin1(body: Buffer): string {
  return body.toString('latin1');
}

// Not TextDecoder either: some versions of Node read 0x80..0x9f as latin1.
function windows1252(body: Buffer): string {
  const text = body.toString('latin1').replace(/[\x80-\x9f]/g, (char) => WINDOWS_1252.charAt(char.charCodeAt(0) - 0x80));
  // A NUL of the body itself is found here too: it is as illegal as an undefined byte.
  const at = text.indexOf('\0');
  if (at !== -1) invalid(text, at, 'windows-1252');
  return text;
}

function codePage(name: string): Decoder {
  return (body) => {
    try {
      return new TextDecoder(name, { fatal: true, ignoreBOM: true }).decode(body);
    } catch (error) {
      // RangeError: this Node was built without the table. TypeError: a byte without a character.
      if (error instanceof RangeError) return unsupported(name, 'the request');
      const text = new TextDecoder(name).decode(body);
      return invalid(text, text.indexOf(REPLACEMENT), name);
    }
  };
}

function utf16(body: Buffer): string {
  const text = body.toString('utf16le');
  if (body.length % 2 !== 0) return invalid(text, text.length, 'UTF-16');
  const at = text.search(/\p{Surrogate}/u);
  return at === -1 ? text : invalid(text, at, 'UTF-16');
}

function swapped(body: Buffer): Buffer {
  return body.length % 2 === 0 ? Buffer.from(body).swap16() : invalid('', 0, 'UTF-16');
}

function invalid(text: string, at: number, encoding: string): never {
  return refuse('INVALID_CHARACTER', text, at, `a byte here is not valid ${encoding}`);
}

function names(all: readonly string[], decoder: Decoder): [string, Decoder][] {
  return all.map((name) => [name, decoder]);
}

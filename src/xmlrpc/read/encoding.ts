/**
 * Decodes a body to UTF-8: determines its encoding (byte order mark, then charset parameter, then XML declaration) and decodes it strictly.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { RelayError, clean, memoize } from '../../core/core.ts';
import { LESS } from '../chars.ts';
import { declaredEncoding } from './declaration.ts';
import { ParseError, positioned } from './parse-error.ts';

/** A decoding in steps, because a body may be large. Returns the UTF-8, which is the body itself where possible. */
type Decoding = Generator<undefined, Buffer>;

/** A single-byte encoding. */
interface CodePage {
  readonly name: string;
  /** Byte -> code point; {@link REPLACEMENT} for bytes without a character. */
  readonly points: Uint16Array;
}

const REPLACEMENT = 0xfffd;
const CHUNK = 64 * 1024;
// Bytes between two pauses: a few milliseconds.
const STEP = 512 * 1024;

/** Decodes a body and removes its byte order mark; `charset` is the parameter of its Content-Type. */
export function* decodeBody(bytes: Uint8Array, charset?: string): Decoding {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marked = decodingByMark(body);
  if (marked) return yield* marked;
  const parameter = charset?.trim().replace(/^"(.{0,64})"$/, '$1') ?? '';
  if (parameter !== '') return yield* decodingByName(body, parameter, 'the Content-Type');
  const declared = declaredEncoding(body);
  return yield* declared === undefined ? utf8(body) : decodingByName(body, declared, 'the XML declaration');
}

/** The fast path of {@link decodeBody} for UTF-8 without a byte order mark, which nearly all bodies are; undefined for all others. */
export function plainBody(bytes: Uint8Array, charset?: string): Buffer | undefined {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isNamed = charset === undefined ? (declaredEncoding(body) ?? 'utf-8') === 'utf-8' : charset === 'utf-8' || charset === 'UTF-8';
  return body[0] === LESS && isNamed && isUtf8(body) ? body : undefined;
}

function decodingByMark(body: Buffer): Decoding | undefined {
  const [first, second, third, fourth] = body;
  if (first === 0xef && second === 0xbb && third === 0xbf) return utf8(body.subarray(3));
  const isLittle = first === 0xff && second === 0xfe;
  const isUtf32 = isLittle ? third === 0 && fourth === 0 : first === 0 && second === 0 && third === 0xfe && fourth === 0xff;
  if (isUtf32) return unsupported('UTF-32', 'the byte order mark');
  if (isLittle || (first === 0xfe && second === 0xff)) return utf16(body.subarray(2), isLittle);
  return undefined;
}

function decodingByName(body: Buffer, name: string, where: string): Decoding {
  const lower = name.toLowerCase();
  if (lower === 'utf-8' || lower === 'utf8') return utf8(body);
  const page = codePage(lower);
  if (!page) return unsupported(name, where);
  return isAscii(body) ? utf8(body) : singleBytes(body, page);
}

function unsupported(name: string, where: string): never {
  const hint = /^utf-?16/i.test(name) ? 'UTF-16 requires a byte order mark' : 'send UTF-8';
  throw new RelayError('UNSUPPORTED_ENCODING', `line 1, column 1: the encoding ${clean(name, 40)} of ${where} is not supported; ${hint}`);
}

/** Checks that a body is UTF-8, in one go: Node checks 32 MiB in less than 4 ms. */
export function* utf8(body: Buffer): Decoding {
  if (isUtf8(body)) return body;
  throw yield* positioned(body, new ParseError('INVALID_CHARACTER', invalidUtf8At(body), 'invalid UTF-8'));
}

/** UTF-16 without its byte order mark. */
function* utf16(body: Buffer, isLittle: boolean): Decoding {
  const parts: Buffer[] = [];
  for (let from = 0, to; from < body.length; from = to) {
    if (from > 0) yield;
    to = utf16Boundary(body, from + STEP, isLittle);
    const units = body.subarray(from, to & ~1);
    const text = (isLittle ? units : Buffer.from(units).swap16()).toString('utf16le');
    const lone = text.search(/\p{Surrogate}/u);
    if (lone !== -1) return yield* invalidAfter([...parts, Buffer.from(text.slice(0, lone))], 'UTF-16');
    parts.push(Buffer.from(text));
  }
  return body.length % 2 === 0 ? yield* joined(parts) : yield* invalidAfter(parts, 'UTF-16');
}

function* singleBytes(body: Buffer, { name, points }: CodePage): Decoding {
  const parts: Buffer[] = [];
  for (let from = 0; from < body.length; from += STEP) {
    if (from > 0) yield;
    const part = body.subarray(from, from + STEP);
    const units = Buffer.allocUnsafe(2 * part.length);
    let count = 0;
    for (; count < part.length; count++) {
      const point = points[part[count] ?? 0] ?? REPLACEMENT;
      if (point === REPLACEMENT) break;
      units[2 * count] = point & 0xff;
      units[2 * count + 1] = point >> 8;
    }
    parts.push(Buffer.from(units.toString('utf16le', 0, 2 * count)));
    if (count < part.length) return yield* invalidAfter(parts, name);
  }
  return yield* joined(parts);
}

// Like Buffer.concat, but in steps, because it copies the whole body once more.
function* joined(parts: readonly Buffer[]): Decoding {
  const whole = Buffer.allocUnsafeSlow(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    if (at > 0) yield;
    at += part.copy(whole, at);
  }
  return whole;
}

/** Refuses the byte after `parts`. */
function* invalidAfter(parts: readonly Buffer[], encoding: string): Generator<undefined, never> {
  const read = yield* joined(parts);
  throw yield* positioned(read, new ParseError('INVALID_CHARACTER', read.length, `invalid ${encoding}`));
}

// Moved behind the second half of a surrogate pair.
function utf16Boundary(body: Buffer, at: number, isLittle: boolean): number {
  if (at >= body.length) return body.length;
  const high = body[isLittle ? at - 1 : at - 2] ?? 0;
  return high >> 2 === 0xd8 >> 2 ? at + 2 : at;
}

function invalidUtf8At(body: Buffer): number {
  for (let from = 0; from < body.length;) {
    const to = utf8Boundary(body, from + CHUNK);
    const chunk = body.subarray(from, to);
    if (!isUtf8(chunk)) return from + invalidInChunk(chunk);
    from = to;
  }
  return body.length;
}

// The last offset up to `at` where a character may start.
function utf8Boundary(body: Buffer, at: number): number {
  if (at >= body.length) return body.length;
  let start = at;
  while (start > at - 3 && ((body[start] ?? 0) & 0xc0) === 0x80) start--;
  return start;
}

// Node decodes invalid bytes to U+FFFD. The first one that the chunk does not spell out as EF BF BD marks the invalid byte.
function invalidInChunk(chunk: Buffer): number {
  const text = chunk.toString('utf8');
  const replacement = String.fromCharCode(REPLACEMENT);
  let byte = 0;
  let from = 0;
  for (let at = text.indexOf(replacement); at !== -1; at = text.indexOf(replacement, from)) {
    byte += Buffer.byteLength(text.slice(from, at));
    if (chunk[byte] !== 0xef || chunk[byte + 1] !== 0xbf || chunk[byte + 2] !== 0xbd) return byte;
    byte += 3;
    from = at + 1;
  }
  return chunk.length;
}

// 0x80..0x9f of windows-1252; five of them have no character.
const WINDOWS_1252 = '€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ';
// Computed here and not by TextDecoder, which treats iso-8859-1 and us-ascii as windows-1252, and reads even that as Latin-1 in some
// versions of Node.
const COMPUTED: Readonly<Record<string, (byte: number) => number>> = {
  'US-ASCII': (byte) => (byte < 128 ? byte : REPLACEMENT),
  'ISO-8859-1': (byte) => byte,
  'windows-1252': (byte) => (byte >> 5 === 4 ? WINDOWS_1252.charCodeAt(byte - 0x80) : byte),
};
const PAGE_NAMES: ReadonlyMap<string, string> = new Map([
  ...['us-ascii', 'ascii', 'ansi_x3.4-1968'].map((alias) => [alias, 'US-ASCII'] as const),
  ...['iso-8859-1', 'iso_8859-1', 'iso8859-1', 'latin1', 'l1'].map((alias) => [alias, 'ISO-8859-1'] as const),
  ...[1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258].flatMap((number) =>
    ['windows-', 'cp'].map((prefix) => [`${prefix}${number}`, `windows-${number}`] as const),
  ),
]);

/** The code page with this name, in lower case. */
const codePage = memoize((alias): CodePage | undefined => {
  const name = PAGE_NAMES.get(alias);
  return name === undefined ? undefined : pageNamed(name);
});

// Undefined if this build of Node lacks the table.
function pageNamed(name: string): CodePage | undefined {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const compute = COMPUTED[name];
  if (compute) return { name, points: Uint16Array.from(bytes, compute) };
  try {
    const text = new TextDecoder(name).decode(bytes);
    return { name, points: Uint16Array.from(bytes, (byte) => text.charCodeAt(byte)) };
  } catch {
    return undefined;
  }
}

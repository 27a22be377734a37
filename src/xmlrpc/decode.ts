/** Bytes to UTF-8: which encoding a body has (byte order mark, then charset parameter, then XML declaration), and its strict decoding. */
import { isAscii, isUtf8 } from 'node:buffer';
import { RelayError, clean } from '../core/core.ts';
import { LESS } from './chars.ts';
import { declaredEncoding } from './declaration.ts';
import { Refusal, placed } from './refuse.ts';
import { codePage, transcodePage, transcodeUtf16 } from './transcode.ts';
import type { Decoding } from './transcode.ts';

const REPLACEMENT = '\ufffd';
const CHUNK = 64 * 1024;

/** The body without its byte order mark; `charset` is the parameter of its Content-Type. */
export function* decodeBody(bytes: Uint8Array, charset?: string): Decoding {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marked = decoderOfMark(body);
  if (marked) return yield* marked;
  const parameter = charset?.trim().replace(/^"(.{0,64})"$/, '$1') ?? '';
  if (parameter !== '') return yield* decoding(body, parameter, 'the Content-Type');
  const declared = declaredEncoding(body);
  return yield* declared === undefined ? utf8(body) : decoding(body, declared, 'the XML declaration');
}

/**
 * The body as {@link decodeBody} would give it, if that is plain to see: UTF-8 without a byte order mark, as nearly all are. Undefined
 * else.
 */
export function plainBody(bytes: Uint8Array, charset?: string): Buffer | undefined {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isNamed = charset === undefined ? (declaredEncoding(body) ?? 'utf-8') === 'utf-8' : charset === 'utf-8' || charset === 'UTF-8';
  return body[0] === LESS && isNamed && isUtf8(body) ? body : undefined;
}

function decoderOfMark(body: Buffer): Decoding | undefined {
  const [first, second, third, fourth] = body;
  if (first === 0xef && second === 0xbb && third === 0xbf) return utf8(body.subarray(3));
  const isLittle = first === 0xff && second === 0xfe;
  const isUtf32 = isLittle ? third === 0 && fourth === 0 : first === 0 && second === 0 && third === 0xfe && fourth === 0xff;
  if (isUtf32) return unsupported('UTF-32', 'the byte order mark');
  if (isLittle || (first === 0xfe && second === 0xff)) return transcodeUtf16(body.subarray(2), isLittle);
  return undefined;
}

function decoding(body: Buffer, name: string, where: string): Decoding {
  const lower = name.toLowerCase();
  if (lower === 'utf-8' || lower === 'utf8') return utf8(body);
  const page = codePage(lower);
  if (!page) return unsupported(name, where);
  return isAscii(body) ? utf8(body) : transcodePage(body, page);
}

function unsupported(name: string, where: string): never {
  const hint = /^utf-?16/i.test(name) ? 'UTF-16 is read with a byte order mark only' : 'send UTF-8';
  throw new RelayError('UNSUPPORTED_ENCODING', `line 1, column 1: the encoding ${clean(name, 40)} of ${where} is not read here; ${hint}`);
}

// In one go: Node checks 32 MiB in less than 4 ms.
function* utf8(body: Buffer): Decoding {
  if (isUtf8(body)) return body;
  throw yield* placed(body, new Refusal('INVALID_CHARACTER', invalidUtf8At(body), 'a byte here is not valid UTF-8'));
}

function invalidUtf8At(body: Buffer): number {
  for (let from = 0; from < body.length;) {
    const to = boundary(body, from + CHUNK);
    const chunk = body.subarray(from, to);
    if (!isUtf8(chunk)) return from + invalidInChunk(chunk);
    from = to;
  }
  return body.length;
}

// The last offset up to `at` where a character may start.
function boundary(body: Buffer, at: number): number {
  if (at >= body.length) return body.length;
  let start = at;
  while (start > at - 3 && ((body[start] ?? 0) & 0xc0) === 0x80) start--;
  return start;
}

// A replacement character in the text is the first bad byte unless the body spells it out: EF BF BD.
function invalidInChunk(chunk: Buffer): number {
  const text = chunk.toString('utf8');
  let byte = 0;
  let from = 0;
  for (let at = text.indexOf(REPLACEMENT); at !== -1; at = text.indexOf(REPLACEMENT, from)) {
    byte += Buffer.byteLength(text.slice(from, at));
    if (chunk[byte] !== 0xef || chunk[byte + 1] !== 0xbf || chunk[byte + 2] !== 0xbd) return byte;
    byte += 3;
    from = at + 1;
  }
  return chunk.length;
}

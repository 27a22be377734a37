/**
 * Encodings other than UTF-8, written as UTF-8 once: single-byte code pages by a table, UTF-16 by Node; in steps, for a body may be large.
 */
import { Refusal, placed } from './refuse.ts';

/** Pauses now and then in a large body, and ends in its UTF-8, which is the body itself if it can be. */
export type Decoding = Generator<undefined, Buffer>;

/** A single-byte encoding. */
export interface CodePage {
  readonly name: string;
  /** Byte -> code point; {@link NO_CHARACTER} where the encoding has none. */
  readonly points: Uint16Array;
}

const NO_CHARACTER = 0xfffd;
// 0x80..0x9f of windows-1252; five of them have no character.
const WINDOWS_1252 = '€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ';
// Bytes between two pauses: some milliseconds.
const STEP = 512 * 1024;

// Not TextDecoder, to which both iso-8859-1 and us-ascii are names of windows-1252, which some versions of Node read as latin1.
const PAGES: ReadonlyMap<string, () => CodePage | undefined> = new Map<string, () => CodePage | undefined>([
  ...names(['us-ascii', 'ascii', 'ansi_x3.4-1968'], () => page('US-ASCII', (byte) => (byte < 128 ? byte : NO_CHARACTER))),
  ...names(['iso-8859-1', 'iso_8859-1', 'iso8859-1', 'latin1', 'l1'], () => page('ISO-8859-1', (byte) => byte)),
  ...names(['windows-1252', 'cp1252'], () =>
    page('windows-1252', (byte) => (byte >> 5 === 4 ? WINDOWS_1252.charCodeAt(byte - 0x80) : byte)),
  ),
  ...[1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258].flatMap((number) =>
    names([`windows-${number}`, `cp${number}`], () => decoderPage(`windows-${number}`)),
  ),
]);
const made = new Map<string, CodePage>();

/** The code page of this name, in small letters. */
export function codePage(name: string): CodePage | undefined {
  const known = made.get(name);
  if (known) return known;
  const fresh = PAGES.get(name)?.();
  if (fresh) made.set(name, fresh);
  return fresh;
}

/** A body of single bytes as UTF-8. */
export function* transcodePage(body: Buffer, { name, points }: CodePage): Decoding {
  const parts: Buffer[] = [];
  for (let from = 0; from < body.length; from += STEP) {
    if (from > 0) yield;
    const part = body.subarray(from, from + STEP);
    const invalid = invalidIn(part, points);
    parts.push(write(part.subarray(0, invalid), points));
    if (invalid < part.length) return yield* refuseByte(parts, name);
  }
  return yield* joined(parts);
}

/** A body of UTF-16, without its mark, as UTF-8. */
export function* transcodeUtf16(body: Buffer, isLittle: boolean): Decoding {
  const parts: Buffer[] = [];
  for (let from = 0, to; from < body.length; from = to) {
    if (from > 0) yield;
    to = utf16Boundary(body, from + STEP, isLittle);
    const units = body.subarray(from, to & ~1);
    const text = (isLittle ? units : Buffer.from(units).swap16()).toString('utf16le');
    const half = text.search(/\p{Surrogate}/u);
    if (half !== -1) return yield* refuseByte([...parts, Buffer.from(text.slice(0, half))], 'UTF-16');
    parts.push(Buffer.from(text));
  }
  return body.length % 2 === 0 ? yield* joined(parts) : yield* refuseByte(parts, 'UTF-16');
}

// As Buffer.concat, but in steps: it is the whole body once more.
function* joined(parts: readonly Buffer[]): Decoding {
  const whole = Buffer.allocUnsafeSlow(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    if (at > 0) yield;
    at += part.copy(whole, at);
  }
  return whole;
}

// Moved behind the second half of a surrogate pair.
function utf16Boundary(body: Buffer, at: number, isLittle: boolean): number {
  if (at >= body.length) return body.length;
  const high = body[isLittle ? at - 1 : at - 2] ?? 0;
  return high >> 2 === 0xd8 >> 2 ? at + 2 : at;
}

// The offset of the first byte that is no character, or the length.
function invalidIn(part: Buffer, points: Uint16Array): number {
  let at = 0;
  while (at < part.length && points[part[at] ?? 0] !== NO_CHARACTER) at++;
  return at;
}

function write(part: Buffer, points: Uint16Array): Buffer {
  const out = Buffer.allocUnsafe(part.length * 3);
  let length = 0;
  for (const byte of part) {
    const point = points[byte] ?? NO_CHARACTER;
    if (point < 0x80) {
      out[length++] = point;
    } else {
      if (point < 0x800) {
        out[length++] = 0xc0 | (point >> 6);
      } else {
        out[length++] = 0xe0 | (point >> 12);
        out[length++] = 0x80 | ((point >> 6) & 0x3f);
      }
      out[length++] = 0x80 | (point & 0x3f);
    }
  }
  return Buffer.from(out.subarray(0, length));
}

// The byte after `parts` is the bad one.
function* refuseByte(parts: readonly Buffer[], encoding: string): Generator<undefined, never> {
  const read = yield* joined(parts);
  throw yield* placed(read, new Refusal('INVALID_CHARACTER', read.length, `a byte here is not valid ${encoding}`));
}

function page(name: string, pointOf: (byte: number) => number): CodePage {
  return { name, points: Uint16Array.from({ length: 256 }, (_, byte) => pointOf(byte)) };
}

// Undefined if this Node was built without the table.
function decoderPage(name: string): CodePage | undefined {
  try {
    const chars = new TextDecoder(name).decode(Uint8Array.from({ length: 256 }, (_, byte) => byte));
    return page(name, (byte) => chars.charCodeAt(byte));
  } catch {
    return undefined;
  }
}

function names<T>(all: readonly string[], value: T): [string, T][] {
  return all.map((name) => [name, value]);
}

/** The bytes of JSON's grammar, and its strings. */
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN_STRUCT = 0x7b;
export const CLOSE_STRUCT = 0x7d;

/** True for space, tab, LF and CR, the only white space of JSON. */
export function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** True for the bytes of a number. */
export function isNumeric(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x65 || byte === 0x45;
}

/** Throws the error for a value at a known position. */
export type Fail = (reason: string) => never;

/** Throws the error for the byte at an offset. */
type FailAt = (at: number, reason: string) => never;

/** Where a string ends, and how it has to be decoded. */
interface StringEnd {
  /** Offset of the closing quote. */
  readonly end: number;
  readonly isAscii: boolean;
  readonly isEscaped: boolean;
}

// V8 copies slices up to this length; longer ones would keep the whole body alive.
const MAX_COPIED_SLICE = 12;

/**
 * Reads the string whose first byte after the quote is at `from`; `end` is the offset after its closing quote. `latin1` is `body` with one
 * character per byte.
 */
export function readString(body: Buffer, latin1: string, from: number, fail: FailAt): { text: string; end: number } {
  const { end, isAscii, isEscaped } = endOfString(body, from, fail);
  if (isEscaped) return { text: unescaped(body, from, end, fail), end: end + 1 };
  if (isAscii && end - from <= MAX_COPIED_SLICE) return { text: latin1.slice(from, end), end: end + 1 };
  return { text: body.toString(isAscii ? 'latin1' : 'utf8', from, end), end: end + 1 };
}

/** True if a text contains a lone surrogate. `json` is the output of JSON.stringify, which escapes lone surrogates but not pairs. */
export function hasLoneSurrogate(json: string): boolean {
  return json.includes('\\ud') && /\p{Surrogate}/u.test(JSON.parse(json) as string);
}

function unescaped(body: Buffer, from: number, end: number, fail: FailAt): string {
  const text = JSON.parse(body.toString('utf8', from - 1, end + 1)) as string;
  if (/\p{Surrogate}/u.test(text)) fail(from, 'the string contains a lone surrogate');
  return text;
}

function endOfString(body: Buffer, from: number, fail: FailAt): StringEnd {
  let isAscii = true;
  let isEscaped = false;
  for (let at = from; at < body.length; at++) {
    const byte = body[at] ?? 0;
    if (byte === QUOTE) return { end: at, isAscii, isEscaped };
    if (byte >= 0x80) isAscii = false;
    else if (byte < 0x20) fail(at, 'a control character in a string; write it as an escape like \\n or \\u0000');
    else if (byte === BACKSLASH) {
      isEscaped = true;
      at += escapeLength(body, at, fail) - 1;
    }
  }
  return fail(from - 1, 'the string has no closing quote');
}

// `\n` takes two bytes, `\u00e4` six.
function escapeLength(body: Buffer, at: number, fail: FailAt): number {
  const letter = body[at + 1] ?? 0;
  if (letter === 0x75) {
    let end = at + 2;
    while (end < at + 6 && isHexDigit(body[end] ?? 0)) end++;
    if (end === at + 6) return 6;
  } else if (SHORT_ESCAPES.has(letter)) {
    return 2;
  }
  return fail(at, 'an unknown escape; the valid ones are \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hexadecimal digits');
}

const SHORT_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));

function isHexDigit(byte: number): boolean {
  const small = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (small >= 0x61 && small <= 0x66);
}

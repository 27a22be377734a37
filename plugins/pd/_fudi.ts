/**
 * FUDI, the text protocol of Pure Data's netsend and netreceive: atoms separated by spaces, `;` ends a message, `\` escapes a character.
 */
import { isUtf8 } from 'node:buffer';

/** An element of a message: Pure Data's float or symbol. */
export type Atom = number | string;

/** What Pure Data parses as a float; everything else is a symbol. */
const FLOAT = /^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Characters with a meaning in messages unless escaped by a backslash; `$` starts an argument, which netreceive rejects. */
const SPECIAL = /[\\;,$ \t\r\n]/g;
const BLANKS: ReadonlySet<string> = new Set([' ', '\t', '\r', '\n']);
const [BACKSLASH, SEMICOLON, COMMA] = Buffer.from('\\;,');

export interface ReaderParts {
  /** Bytes of one message; longer ones are skipped. */
  readonly maxMessageBytes: number;
  /** Called with the reason when a message is skipped; the following messages are read. */
  refuse(reason: string): void;
}

/** Parses messages from bytes, however they are split into chunks. */
export class FudiReader {
  readonly #parts: ReaderParts;
  /** The message that has not ended yet. */
  readonly #bytes: Buffer;
  #length = 0;
  #isTooLong = false;
  #isEscaped = false;

  constructor(parts: ReaderParts) {
    this.#bytes = Buffer.alloc(parts.maxMessageBytes);
    this.#parts = parts;
  }

  /** The messages that end within `chunk`, one at a time, except empty ones. A comma ends a message, as in netreceive. */
  *read(chunk: Uint8Array): Generator<readonly Atom[]> {
    for (const byte of chunk) {
      const isLiteral = this.#isEscaped;
      this.#isEscaped = byte === BACKSLASH && !isLiteral;
      if (isLiteral || (byte !== SEMICOLON && byte !== COMMA)) {
        this.#keep(byte);
        continue;
      }
      const atoms = this.#finish();
      if (atoms.length > 0) yield atoms;
    }
  }

  /** Ends the input: an incomplete message is rejected. */
  end(): void {
    if (this.#finish().length > 0) this.#parts.refuse('a message without a semicolon at its end');
    this.#isEscaped = false;
  }

  #keep(byte: number): void {
    if (this.#length < this.#bytes.length) this.#bytes[this.#length++] = byte;
    else this.#isTooLong = true;
  }

  #finish(): readonly Atom[] {
    const bytes = this.#bytes.subarray(0, this.#length);
    const isTooLong = this.#isTooLong;
    this.#length = 0;
    this.#isTooLong = false;
    if (isTooLong) this.#parts.refuse(`a message of more than ${this.#bytes.length} bytes`);
    else if (isUtf8(bytes)) return atomsOf(bytes.toString('utf8'));
    else this.#parts.refuse('a message that is not UTF-8');
    return [];
  }
}

/**
 * Formats a list as a message, with the newline that Pure Data expects at the end of a datagram. Throws a RangeError that names the invalid
 * atom.
 */
export function formatFudi(list: readonly unknown[], maxBytes: number): Buffer {
  if (list.length === 0) throw new RangeError('an empty list is not a message');
  // Each atom takes at least two bytes, so a list that is too long is not formatted at all.
  if (list.length * 2 > maxBytes + 1) throw tooLong(maxBytes);
  const message = Buffer.from(`${list.map((atom, index) => formatAtom(atom, index + 1, maxBytes)).join(' ')};\n`);
  if (message.length > maxBytes + ';\n'.length) throw tooLong(maxBytes);
  return message;
}

function formatAtom(atom: unknown, position: number, maxBytes: number): string {
  if (typeof atom === 'number' && Number.isFinite(atom)) return String(atom);
  if (typeof atom !== 'string') throw new RangeError(`atom ${position} is neither a number nor a text`);
  if (atom === '') throw new RangeError(`atom ${position} is an empty text, for which Pure Data has no form`);
  if (atom.length > maxBytes) throw tooLong(maxBytes);
  return FLOAT.test(atom) ? `\\${atom}` : atom.replace(SPECIAL, '\\$&');
}

function tooLong(maxBytes: number): RangeError {
  return new RangeError(`the message is longer than ${maxBytes} bytes (maxMessageBytes)`);
}

function atomsOf(message: string): readonly Atom[] {
  const atoms: Atom[] = [];
  let text = '';
  let hasEscape = false;
  let isEscaped = false;
  const finishAtom = (): void => {
    if (text !== '') atoms.push(hasEscape ? text : atomOf(text));
    text = '';
    hasEscape = false;
  };
  for (const char of message) {
    if (isEscaped) {
      text += char;
      isEscaped = false;
    } else if (char === '\\') isEscaped = hasEscape = true;
    else if (BLANKS.has(char)) finishAtom();
    else text += char;
  }
  finishAtom();
  return atoms;
}

/** A float beyond the range of a double stays text. */
function atomOf(text: string): Atom {
  const number = FLOAT.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : text;
}

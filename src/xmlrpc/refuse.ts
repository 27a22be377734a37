/** How a parse fails: a refusal that knows its offset, made into a RelayError whose text opens with line and column. */
import { RelayError, clean } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';

/** Ends a parse at the byte `at`; line and column are counted only when it leaves this room, by {@link placed}. */
export class Refusal extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly at: number,
    readonly reason: string,
  ) {
    super(reason);
  }
}

/** Throws a {@link Refusal}. */
export function refuse(code: ErrorCode, at: number, reason: string): never {
  throw new Refusal(code, at, reason);
}

/** An element name fit for an error text: `<name>`, cleaned and cut. */
export function tag(name: string): string {
  return `<${clean(name, 40)}>`;
}

// Bytes between two pauses: a few milliseconds.
const STEP = 1024 * 1024;

/** `line L, column C: reason` for a refusal of the document `bytes`; pauses now and then in a large one. */
export function* placed(bytes: Uint8Array, { code, at, reason }: Refusal): Generator<undefined, RelayError> {
  const place = { line: 1, column: 1 };
  for (let from = 0; from < at; from += STEP) {
    if (from > 0) yield;
    count(bytes, from, Math.min(at, bytes.length, from + STEP), place);
  }
  return new RelayError(code, `line ${place.line}, column ${place.column}: ${reason}`);
}

// Lines end with LF, CRLF or CR; a column counts characters, so the later bytes of one are none.
function count(bytes: Uint8Array, from: number, to: number, place: { line: number; column: number }): void {
  for (let i = from; i < to; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === 10 || (byte === 13 && bytes[i + 1] !== 10)) {
      place.line++;
      place.column = 1;
    } else if ((byte & 0xc0) !== 0x80) {
      place.column++;
    }
  }
}

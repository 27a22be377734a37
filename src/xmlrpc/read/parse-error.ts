/** How reading fails: a refusal holds a byte offset, and becomes a RelayError whose text starts with line and column. */
import { RelayError, clean, countPosition } from '../../core/core.ts';
import type { ErrorCode } from '../../core/core.ts';

/** Ends the reading at the byte `at`. {@link positioned} counts line and column once it leaves the codec. */
export class ParseError extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly at: number,
    readonly reason: string,
  ) {
    super(reason);
  }
}

/** Throws a {@link ParseError}. */
export function refuse(code: ErrorCode, at: number, reason: string): never {
  throw new ParseError(code, at, reason);
}

/** `<name>` for an error text, cleaned and shortened. */
export function tag(name: string): string {
  return `<${clean(name, 40)}>`;
}

// Bytes between two pauses: a few milliseconds.
const STEP = 1024 * 1024;

/** The error `line L, column C: reason` for a refusal of the document `bytes`; pauses now and then in a large document. */
export function* positioned(bytes: Uint8Array, { code, at, reason }: ParseError): Generator<undefined, RelayError> {
  const position = { line: 1, column: 1 };
  for (let from = 0; from < at; from += STEP) {
    if (from > 0) yield;
    countPosition(bytes, from, Math.min(at, from + STEP), position);
  }
  return new RelayError(code, `line ${position.line}, column ${position.column}: ${reason}`);
}

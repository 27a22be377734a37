/** How a read fails: a RelayError whose text opens with line and column; these are counted only when it is made. */
import { RelayError } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';

/** Throws the refusal of what is being read. */
export type Fail = (reason: string) => never;

/** Throws `line L, column C: reason` for the byte offset `at` of `body`, which is UTF-8. */
export function refuse(code: ErrorCode, body: Uint8Array, at: number, reason: string): never {
  throw new RelayError(code, `${placeOf(body, at)}: ${reason}`);
}

// Lines end with LF, CRLF or CR; a column counts characters, so a continuation byte is none.
function placeOf(body: Uint8Array, at: number): string {
  let line = 1;
  let column = 1;
  for (let i = 0; i < at && i < body.length; i++) {
    const byte = body[i] ?? 0;
    if (byte === 10 || (byte === 13 && body[i + 1] !== 10)) {
      line++;
      column = 1;
    } else if ((byte & 0xc0) !== 0x80) {
      column++;
    }
  }
  return `line ${line}, column ${column}`;
}

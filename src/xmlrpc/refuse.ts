/** How a parse fails: a RelayError whose text opens with line and column; these are counted only when it is made. */
import { RelayError, clean } from '../message/message.ts';
import type { ErrorCode } from '../message/message.ts';

/** Throws the refusal of a scalar or name whose place its caller knows. */
export type Fail = (reason: string, code?: ErrorCode) => never;

/** Throws `line L, column C: reason` for the UTF-16 offset `at` of `source`. */
export function refuse(code: ErrorCode, source: string, at: number, reason: string): never {
  throw new RelayError(code, `${placeOf(source, at)}: ${reason}`);
}

/** An element name fit for an error text: `<name>`, cleaned and cut. */
export function tag(name: string): string {
  return `<${clean(name, 40)}>`;
}

// Lines end with LF, CRLF or CR; a column counts characters, so the second half of a surrogate pair is none.
function placeOf(source: string, at: number): string {
  let line = 1;
  let column = 1;
  for (let i = 0; i < at && i < source.length; i++) {
    const unit = source.charCodeAt(i);
    if (unit === 10 || (unit === 13 && source.charCodeAt(i + 1) !== 10)) {
      line++;
      column = 1;
    } else if (unit < 0xdc00 || unit > 0xdfff) {
      column++;
    }
  }
  return `line ${line}, column ${column}`;
}

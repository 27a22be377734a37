/** Line and column of a byte in UTF-8 text, for error messages. */

/** A position in a text; both start at 1. */
export interface TextPosition {
  line: number;
  column: number;
}

/**
 * Advances `position` over the bytes `from..to`. Lines end with LF, CRLF or CR; columns count characters, so continuation bytes do not
 * count.
 */
export function countPosition(bytes: Uint8Array, from: number, to: number, position: TextPosition): void {
  const end = Math.min(to, bytes.length);
  for (let i = from; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === 10 || (byte === 13 && bytes[i + 1] !== 10)) {
      position.line++;
      position.column = 1;
    } else if ((byte & 0xc0) !== 0x80) {
      position.column++;
    }
  }
}

/** The header `Range` (RFC 9110, section 14). Pure. */

/** Bytes of a body: from an offset to the one after the last. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/**
 * The range that a request for a body of `size` bytes asks for. Undefined: the whole body, because there is no header, or one that is
 * ignored, as the standard permits: several ranges, another unit, or a text that is not a range.
 */
export function readRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.trim() ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') return Number(last) === 0 || size === 0 ? 'unsatisfiable' : { from: Math.max(0, size - Number(last)), to: size };
  const from = Number(first);
  if (last !== '' && Number(last) < from) return undefined;
  if (from >= size) return 'unsatisfiable';
  return { from, to: last === '' ? size : Math.min(size, Number(last) + 1) };
}

/** The XML-RPC extensions that a caller reads: from the query, a header, its token, or the options of a peer. Pure. */
import type { IncomingHttpHeaders } from 'node:http';
import { memoize } from '../core/core.ts';
import type { Extensions, WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** Lists extensions: `Accept-XMLRPC-Extensions: nil, i8`. */
const HEADER = 'accept-xmlrpc-extensions';
/** The queries that name only extensions; the fast path accepts these. */
export const EXTENSION_QUERIES: readonly string[] = ['?nil=1', '?i8=1', '?nil=1&i8=1', '?i8=1&nil=1'];

const NONE: Extensions = { nil: false, i8: false };
const REMEDIES = Object.freeze({ nil: remedyFor('nil'), i8: remedyFor('i8') });

/** The extensions named by the query and header of a request; undefined if they name none. */
export function readsOf({
  url = '',
  headers,
}: {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}): Extensions | undefined {
  const at = url.indexOf('?');
  const query = at === -1 ? undefined : inQuery(url.slice(at));
  const header = headers[HEADER];
  return header === undefined ? query : both(query, inHeader(String(header)));
}

/** The extensions that either names. */
export function both(one: Extensions | undefined, other: Extensions | undefined): Extensions | undefined {
  if (!one || !other) return one ?? other;
  return { nil: one.nil || other.nil, i8: one.i8 || other.i8 };
}

const inQuery = memoize((query): Extensions => {
  const params = new URLSearchParams(query);
  const isOn = (name: string): boolean => /^(?:1|true)$/i.test(params.get(name) ?? '');
  return { nil: isOn('nil'), i8: isOn('i8') };
});

const inHeader = memoize((header): Extensions => {
  const names = header.split(',').map((name) => name.trim().toLowerCase());
  return { nil: names.includes('nil'), i8: names.includes('i8') };
});

// Made once, because every response uses one of them.
const WRITING: readonly WriteOptions[] = Array.from({ length: 8 }, (_, bits) =>
  Object.freeze({ nil: (bits & 1) !== 0, i8: (bits & 2) !== 0, wideInts: (bits & 4) !== 0, remedies: REMEDIES }),
);

/**
 * How to write the response to a call that used the extensions `used`, for a caller that reads `reads`; every caller of the endpoint reads
 * `always`.
 * Whole numbers beyond 32 bits are `<i8>` only to who used or named i8.
 */
export function writingFor(used: Extensions, reads: Extensions = NONE, always: Extensions = NONE): WriteOptions {
  const wide = used.i8 || reads.i8;
  const bits = (used.nil || reads.nil || always.nil ? 1 : 0) | (wide || always.i8 ? 2 : 0) | (wide ? 4 : 0);
  return WRITING[bits] ?? NONE;
}

function remedyFor(name: 'nil' | 'i8'): string {
  return `if it does, add ?${name}=1 to its URL, or send the header Accept-XMLRPC-Extensions: ${name}`;
}

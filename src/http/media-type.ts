/** Accepts exactly the media types of an endpoint, and never a form or text/plain, which any web page could send. */
import { clean, parseMediaType } from '../core/core.ts';
import type { Rejection } from './rejection.ts';

/** XML in the charset that the header names, if any. */
export interface XmlType {
  readonly kind: 'xml';
  readonly charset: string | undefined;
}

/** The type of a body. */
export type BodyType = XmlType | { readonly kind: 'json' };

/** The kinds of bodies that an endpoint may read. */
export type BodyKind = BodyType['kind'];

const KINDS: ReadonlyMap<string, BodyKind> = new Map([
  ['text/xml', 'xml'],
  ['application/xml', 'xml'],
  ['application/json', 'json'],
]);
// Longer than any real header.
const MAX_LENGTH = 300;

const HINTS: Readonly<Record<BodyKind, string>> = { xml: 'text/xml for XML-RPC', json: 'application/json for JSON' };

// The last header, with its result: nearly every request has the same one, and it is needed twice.
const last: { header: string | undefined; kinds: readonly BodyKind[]; type: BodyType | Rejection | undefined } = {
  header: undefined,
  kinds: [],
  type: undefined,
};

/** Reads the Content-Type of a request for an endpoint that accepts `kinds`; a rejection says what to send. */
export function readMediaType(header: string | undefined, kinds: readonly BodyKind[]): BodyType | Rejection {
  if (header === undefined) return refused('the request has no Content-Type', kinds);
  if (last.type && last.header === header && last.kinds === kinds) return last.type;
  const type = judged(header, kinds);
  if (header.length <= MAX_LENGTH) Object.assign(last, { header, kinds, type });
  return type;
}

function judged(header: string, kinds: readonly BodyKind[]): BodyType | Rejection {
  const media = header.length <= MAX_LENGTH ? parseMediaType(header) : undefined;
  const kind = media?.isWellFormed === true ? KINDS.get(media.type) : undefined;
  if (media === undefined || kind === undefined || !kinds.includes(kind)) return refused(`Content-Type is '${clean(header, 100)}'`, kinds);
  const charsets = media.parameters.filter(([name]) => name === 'charset').map(([, value]) => value);
  if (charsets.length > 1) return refused('Content-Type names two charsets', kinds);
  const [charset] = charsets;
  if (kind === 'xml') return { kind, charset };
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8') return refused('JSON is accepted only in UTF-8', kinds);
  return { kind };
}

function refused(found: string, kinds: readonly BodyKind[]): Rejection {
  return { status: 415, text: `${found}; send it with Content-Type: ${kinds.map((kind) => HINTS[kind]).join(', ')}` };
}

/** Decides which bodies are read: only the media types of an endpoint, never a form or text/plain that a web page could send. Pure. */
import { clean } from '../core/core.ts';
import type { Rejection } from './rejection.ts';

/** XML; `charset` is the parameter of the media type, if any. */
export interface XmlType {
  readonly kind: 'xml';
  readonly charset: string | undefined;
}

/** What a body contains. */
export type BodyType = XmlType | { readonly kind: 'json' };

/** The kinds of bodies that an endpoint reads. */
export type BodyKind = BodyType['kind'];

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}";
const PARAMETER = `[ \\t]*;[ \\t]*(${TOKEN})=(?:"([^"\\\\\\r\\n]{0,64})"|(${TOKEN}))`;
const TYPE = new RegExp(`^(?:(text/xml|application/xml)|application/json)((?:${PARAMETER})*)[ \\t]*;?[ \\t]*$`, 'i');
const EACH_PARAMETER = new RegExp(PARAMETER, 'g');
// Longer than any real one; keeps the expression above short of work.
const MAX_LENGTH = 300;

const HINTS: Readonly<Record<BodyKind, string>> = { xml: 'text/xml for XML-RPC', json: 'application/json for JSON' };

// The last header and its result: most requests repeat it, and each request reads it twice.
const last: { header: string | undefined; kinds: readonly BodyKind[]; type: BodyType | Rejection | undefined } = {
  header: undefined,
  kinds: [],
  type: undefined,
};

/** Reads a Content-Type header for an endpoint that reads `kinds`; anything else is rejected with a text that says what to send. */
export function readMediaType(header: string | undefined, kinds: readonly BodyKind[]): BodyType | Rejection {
  if (header === undefined) return refused('the request has no Content-Type', kinds);
  if (last.type && last.header === header && last.kinds === kinds) return last.type;
  const type = judged(header, kinds);
  if (header.length <= MAX_LENGTH) Object.assign(last, { header, kinds, type });
  return type;
}

function judged(header: string, kinds: readonly BodyKind[]): BodyType | Rejection {
  const [, xml, parameters] = (header.length <= MAX_LENGTH ? TYPE.exec(header.trim()) : undefined) ?? [];
  const kind = xml === undefined ? 'json' : 'xml';
  if (parameters === undefined || !kinds.includes(kind)) return refused(`Content-Type is '${clean(header, 100)}'`, kinds);
  const charsets = charsetsIn(parameters);
  if (charsets.length > 1) return refused('Content-Type names two charsets', kinds);
  const [charset] = charsets;
  if (kind === 'xml') return { kind, charset };
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8') return refused('JSON comes in no charset but UTF-8', kinds);
  return { kind };
}

// Parameter by parameter, so that quoted text is not taken for another parameter.
function charsetsIn(parameters: string): readonly (string | undefined)[] {
  const found: (string | undefined)[] = [];
  for (const [, name = '', quoted, plain] of parameters.matchAll(EACH_PARAMETER)) {
    if (name.toLowerCase() === 'charset') found.push(quoted ?? plain);
  }
  return found;
}

function refused(found: string, kinds: readonly BodyKind[]): Rejection {
  return { status: 415, text: `${found}; send it with Content-Type: ${kinds.map((kind) => HINTS[kind]).join(', ')}` };
}

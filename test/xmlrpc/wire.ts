/** Helpers to write documents and inspect refusals, for the tests of the codec. */
import { RelayError } from '../../src/core/core.ts';
import type { Dict, Value } from '../../src/values/values.ts';
import type { ErrorCode } from '../../src/core/core.ts';
import { canonicalMembers, parseCall, parseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits } from '../../src/xmlrpc/xmlrpc.ts';

export const CALL_HEAD = '<methodCall><methodName>m</methodName><params><param><value>';
export const CALL_TAIL = '</value></param></params></methodCall>';
export const RESPONSE_HEAD = '<methodResponse><params><param><value>';
export const RESPONSE_TAIL = '</value></param></params></methodResponse>';

/** A call with one parameter, given as the content of its `<value>`. */
export function callOf(inner: string): Buffer {
  return Buffer.from(CALL_HEAD + inner + CALL_TAIL);
}

/** The value of the content of a `<value>`. */
export function read(inner: string): Value | undefined {
  return parseCall(callOf(inner)).params[0];
}

/** The content of a `<value>` in canonical form. */
export function canonical(inner: string): string | undefined {
  const text = canonicalMembers(`<struct><member><name>v</name><value>${inner}</value></member></struct>`).get('v');
  return text?.replace(/^<value>/, '').replace(/<\/value>$/, '');
}

/** A refusal as `CODE line:column`, or what happened instead. */
export function refusalOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (!RelayError.is(error)) return `not a RelayError: ${String(error)}`;
    const place = /^line (\d+), column (\d+): ./.exec(error.message);
    return place ? `${error.code} ${place[1] ?? ''}:${place[2] ?? ''}` : error.code;
  }
  return 'accepted';
}

/** The code and the text of the error that `attempt` throws. */
export function errorOf(attempt: () => unknown): { code: ErrorCode | 'NONE' | 'FOREIGN'; text: string } {
  try {
    attempt();
  } catch (error) {
    return RelayError.is(error) ? { code: error.code, text: error.message } : { code: 'FOREIGN', text: String(error) };
  }
  return { code: 'NONE', text: '' };
}

/** `<struct>…</struct>` of canonical members, as `canonicalMembers` returns them. */
export function structText(members: ReadonlyMap<string, string>): string {
  const escaped = (name: string): string =>
    name.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\r', '&#13;');
  return `<struct>${[...members].map(([name, value]) => `<member><name>${escaped(name)}</name>${value}</member>`).join('')}</struct>`;
}

/** Reads a struct under limits. */
export function readStruct(text: string, limits: Partial<XmlRpcLimits> | undefined): Dict {
  return parseStruct(text, { limits });
}

/** The canonical members of a struct under limits. */
export function canonicalUnder(text: string, limits: Partial<XmlRpcLimits> | undefined): Map<string, string> {
  return canonicalMembers(text, { limits });
}

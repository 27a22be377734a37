/** The head of an HTTP response: what it says of the body. Pure, and strict: what could be read in two ways is refused. */
import { clean, memoize } from '../../core/core.ts';

/** What the head of a response with status 200 says. */
export interface ResponseHead {
  /** Of its Content-Type. */
  readonly charset: string | undefined;
  /** True if the connection may be used again. */
  readonly isReusable: boolean;
  /** How its body ends: after so many bytes, after the last chunk, or with the connection. */
  readonly body: number | 'chunked' | 'to-the-end';
}

const XML = /^(?:text|application)\/xml[ \t]*(?:;|$)/i;
const CHARSET = /;[ \t]*charset="?([!#-+.0-9:A-Z_a-z-]{1,64})/i;
// What servers send: a date, some words on the connection.
const USUAL_LENGTH = 400;

/**
 * Reads a head without the empty line at its end; 'continue' for one that says that the answer proper comes after it. Throws an Error that says what is wrong
 * with it. The same few come within a second.
 */
export const readHead = memoize<ResponseHead | 'continue'>((text) => {
  const [statusLine = '', ...fields] = text.split('\r\n');
  const [, minor, status = ''] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(statusLine) ?? [];
  if (minor === undefined) throw new Error(`it answered something that is not HTTP: '${clean(statusLine, 60)}'`);
  if (status.startsWith('1')) return 'continue';
  return frame(headersOf(fields), minor === '1', status);
}, USUAL_LENGTH);

function frame(headers: ReadonlyMap<string, string>, isModern: boolean, status: string): ResponseHead {
  if (status !== '200') throw new Error(`it answered HTTP ${status}`);
  const type = headers.get('content-type') ?? '';
  if (!XML.test(type)) throw new Error('it answered no XML');
  if ((headers.get('content-encoding') ?? 'identity').toLowerCase() !== 'identity')
    throw new Error('it answered with a Content-Encoding that was not asked for');
  const charset = CHARSET.exec(type)?.[1];
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const isReusable = isModern ? !connection.includes('close') : connection.includes('keep-alive');
  const [coding, length] = [headers.get('transfer-encoding'), headers.get('content-length')];
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked' || length !== undefined) throw new Error('the length of its answer has two meanings');
    return { charset, isReusable, body: 'chunked' };
  }
  if (length === undefined) return { charset, isReusable: false, body: 'to-the-end' };
  if (!/^\d{1,15}$/.test(length)) throw new Error('the Content-Length of its answer is no number');
  return { charset, isReusable, body: Number(length) };
}

/** By their names in small letters. */
function headersOf(fields: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw new Error('the headers of its answer are not HTTP');
    const isRepeated = headers.has(name) && (name === 'content-length' || name === 'transfer-encoding' || name === 'content-type');
    if (isRepeated) throw new Error(`it answered two headers ${name}`);
    headers.set(name, field.slice(colon + 1).trim());
  }
  return headers;
}

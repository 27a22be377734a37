/**
 * Recognizes the head of a plain XML-RPC call: an exact request line, and headers of a short list, each at most once and in the form that
 * clients write. It is not an HTTP parser: a head in any other form is not understood here, and Node's parser reads it. Pure.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { SESSION_HEADER } from '../identity/identity.ts';

/** The head of a plain call: what Node's parser would make of the same bytes. */
export interface PlainHead {
  /** All bytes, with the empty line at the end. */
  readonly bytes: Buffer;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values, one after the other. */
  readonly rawHeaders: string[];
  /** From 1 to {@link MAX_BODY_BYTES}. */
  readonly contentLength: number;
}

/** Longer bodies come by the general path, which counts their bytes while they arrive. */
export const MAX_BODY_BYTES = 64 * 1024;

// Heads of real clients have 100 to 400 bytes, or some more with a long token.
const MAX_HEAD_BYTES = 2048;
const END = '\r\n\r\n';

const METHOD = 'POST ';
const VERSION = ' HTTP/1.1';
// Printable ASCII without blanks around it.
const HEADER = /^([A-Za-z\d-]{1,40}): ?([!-~](?:[ -~]*[!-~])?)$/;
const LENGTH = /^[1-9]\d{0,4}$/;

// The headers that a plain call may have. Those without a check say nothing about how the request is read.
const ALLOWED: ReadonlyMap<string, RegExp | undefined> = new Map([
  ['host', undefined],
  ['content-type', undefined],
  ['content-length', LENGTH],
  ['connection', /^keep-alive$/i],
  ['authorization', undefined],
  ['accept-xmlrpc-extensions', undefined],
  [SESSION_HEADER, undefined],
  ['user-agent', undefined],
  ['accept', undefined],
  ['accept-encoding', undefined],
  ['accept-language', undefined],
  ['accept-charset', undefined],
  ['cache-control', undefined],
  ['pragma', undefined],
  ['sec-fetch-mode', undefined],
]);

/** The head at the beginning of `chunk`, for one of `urls`; undefined if it is not there as a whole, or not plain. */
export function recognizeHead(chunk: Buffer, urls: ReadonlyMap<string, unknown>): PlainHead | undefined {
  const end = chunk.indexOf(END, 0, 'latin1');
  if (end === -1 || end > MAX_HEAD_BYTES - END.length) return undefined;
  const [first = '', ...lines] = chunk.toString('latin1', 0, end).split('\r\n');
  if (!first.startsWith(METHOD) || !first.endsWith(VERSION)) return undefined;
  const url = first.slice(METHOD.length, -VERSION.length);
  if (!urls.has(url)) return undefined;
  const headers: Record<string, string> = {};
  const rawHeaders: string[] = [];
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    const key = name.toLowerCase();
    if (!ALLOWED.has(key) || ALLOWED.get(key)?.test(value) === false || headers[key] !== undefined) return undefined;
    headers[key] = value;
    rawHeaders.push(name, value);
  }
  const contentLength = Number(headers['content-length'] ?? 0);
  if (headers.host === undefined || headers['content-type'] === undefined || contentLength === 0 || contentLength > MAX_BODY_BYTES)
    return undefined;
  // A copy, since a part of a chunk keeps all of its memory.
  return { bytes: Buffer.from(chunk.subarray(0, end + END.length)), url, headers, rawHeaders, contentLength };
}

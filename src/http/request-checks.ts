/** What is refused before a body is read: headers that have two meanings, wrong verbs, types and encodings. Pure. */
import type { IncomingMessage } from 'node:http';
import { clean } from '../core/core.ts';
import { doorAt } from './endpoint.ts';
import type { Door } from './endpoint.ts';
import type { Refusal } from './guard.ts';
import { readMediaType } from './media-type.ts';
import type { HttpOptions } from './options.ts';

/** What the operator says about bodies. */
export type BodyRules = Pick<HttpOptions, 'acceptGzip' | 'maxBodyBytes'>;

/** What of a request is looked at; its body is not. */
export type Head = Pick<IncomingMessage, 'headers' | 'httpVersion' | 'method' | 'rawHeaders' | 'socket' | 'url'>;

/** Why a request must not come in, or undefined. `door` is what serves it, undefined if nothing of `doors` does. */
export function refuseEarly(request: Head, door: Door | undefined, doors: readonly Door[], options: BodyRules): Refusal | undefined {
  const refusal = refuseFraming(request) ?? refuseHeaders(request);
  if (refusal || asksForAll(request)) return refusal;
  return door ? refuseBody(request, door, options) : noRoute(request, doors);
}

/** True for `OPTIONS *`: what the server knows as a whole. */
export function asksForAll({ method, url }: Pick<Head, 'method' | 'url'>): boolean {
  return method === 'OPTIONS' && url === '*';
}

/** The answer to a body over the limit. */
export function tooLarge(maxBodyBytes: number): Refusal {
  return { status: 413, text: `the body is larger than ${maxBodyBytes} bytes (maxBodyBytes)` };
}

/** The path of a request, without its query. */
export function pathOf({ url = '' }: Pick<Head, 'url'>): string {
  return url.split('?', 1)[0] ?? '';
}

/** The answer where no door is, or one that knows no such verb. */
export function noRoute(request: Pick<Head, 'method' | 'url'>, doors: readonly Door[]): Refusal {
  const { method: verb = '' } = request;
  const door = doorAt(doors, pathOf(request));
  if (door?.get) return { status: 405, text: `${verb} is not understood here; POST a call, or GET a description` };
  if (door) return { status: 405, text: `${verb} is not understood here; POST the parameters as JSON` };
  const path = clean(pathOf(request), 100);
  return {
    status: 404,
    text: `there is nothing at ${path}; the doors are POST /RPC2 (XML-RPC, JSON-RPC), POST /api/METHOD (JSON) and GET /`,
  };
}

/** True for a body in gzip; `x-gzip` is its name of 1997. */
export function isGzip(header: string | undefined): boolean {
  return header !== undefined && /^(?:x-)?gzip$/i.test(header);
}

/** Bodies are read as they are unless gzip is let in; never in several codings, which could grow without bound. */
export function refuseEncoding(header: string | undefined, acceptGzip: boolean): Refusal | undefined {
  if (header === undefined || header.toLowerCase() === 'identity' || (acceptGzip && isGzip(header))) return undefined;
  const what = acceptGzip ? 'in gzip, or as it is' : 'as it is (the operator can set acceptGzip)';
  return { status: 415, text: `Content-Encoding '${clean(header, 50)}' is not read; send the body ${what}` };
}

function refuseFraming({ headers, url = '', httpVersion }: Head): Refusal | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return { status: 505, text: 'this is neither HTTP/1.1 nor HTTP/1.0' };
  if (headers.host === undefined && httpVersion !== '1.0') return { status: 400, text: 'the request has no Host, which HTTP/1.1 needs' };
  const authority = url.startsWith('/') ? undefined : /^[a-z]{1,10}:\/\/([^/?#]*)/i.exec(url)?.[1];
  if (authority !== undefined && authority.toLowerCase() !== headers.host?.toLowerCase())
    return { status: 400, text: 'the request names one host in its first line and another in Host' };
  const coding = headers['transfer-encoding'];
  // Whatever does not end in chunked Node refuses itself; what is coded in another way as well it would hand on as it is.
  if (coding?.includes(',') === true)
    return { status: 400, text: `Transfer-Encoding '${clean(coding, 50)}' is not read; there is chunked` };
  if (coding !== undefined && httpVersion === '1.0')
    return { status: 400, text: 'HTTP/1.0 knows no Transfer-Encoding; send Content-Length' };
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
    return { status: 417, text: `Expect '${clean(headers.expect, 50)}' is not understood; there is 100-continue` };
  return undefined;
}

// By their lengths, which tell them from nearly all other headers without a look at case.
const SINGLE: ReadonlyMap<number, string> = new Map(
  ['host', 'content-type', 'content-encoding', 'authorization'].map((name) => [name.length, name]),
);

/** As many as Apache takes; clients and proxies send a tenth of it. */
const MAX_HEADERS = 100;

/** Refuses what does not say one thing for certain, before anybody looks who sent it: too many headers, or one twice that must be there once. */
export function refuseHeaders(head: Pick<Head, 'rawHeaders'>): Refusal | undefined {
  // Names and values, one after the other.
  if (head.rawHeaders.length > 2 * MAX_HEADERS) return { status: 431, text: `the request has more than ${MAX_HEADERS} headers` };
  return refuseRepeated(head);
}

/** Node takes the first of two, a proxy in front perhaps the second; so there must be one. */
function refuseRepeated({ rawHeaders }: Pick<Head, 'rawHeaders'>): Refusal | undefined {
  // A bit for the length of each that was there.
  let seen = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const raw = rawHeaders[index] ?? '';
    const name = SINGLE.get(raw.length);
    if (name === undefined || raw.toLowerCase() !== name) continue;
    const bit = 1 << raw.length;
    if ((seen & bit) !== 0) return { status: 400, text: `the header ${name} stands twice; send it once` };
    seen |= bit;
  }
  return undefined;
}

function refuseBody({ method, headers }: Head, door: Door, { acceptGzip, maxBodyBytes }: BodyRules): Refusal | undefined {
  if (method !== 'POST') return undefined;
  const type = readMediaType(headers['content-type'], door.reads);
  if ('status' in type) return type;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
    return { status: 411, text: 'the request says no length; send Content-Length, 0 if there is no body' };
  // Before a client that waits for 100 Continue is told to go on.
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return tooLarge(maxBodyBytes);
  return refuseEncoding(headers['content-encoding'], acceptGzip);
}

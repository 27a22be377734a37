/** What is refused before a body is read: headers that have two meanings, wrong verbs, types and encodings. Pure. */
import type { IncomingMessage } from 'node:http';
import { clean, memoize } from '../core/core.ts';
import { endpointAt } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { readMediaType } from './media-type.ts';
import type { HttpOptions } from './options.ts';
import { canonicalAddress, isUnspecified } from '../message/message.ts';

/** What the operator says about bodies. */
export type BodyRules = Pick<HttpOptions, 'acceptGzip' | 'maxBodyBytes'>;

/** What of a request is looked at; its body is not. */
export type Head = Pick<IncomingMessage, 'headers' | 'httpVersion' | 'method' | 'rawHeaders' | 'socket' | 'url'>;

/** Why a request must not come in, or undefined. `door` is what serves it, undefined if nothing of `doors` does. */
export function checkRequest(
  request: Head,
  door: Endpoint | undefined,
  doors: readonly Endpoint[],
  options: BodyRules,
): Rejection | undefined {
  const refusal = checkFraming(request) ?? checkHeaders(request);
  if (refusal || isServerOptions(request)) return refusal;
  return door ? checkBody(request, door, options) : noEndpoint(request, doors);
}

/** True for `OPTIONS *`: what the server knows as a whole. */
export function isServerOptions({ method, url }: Pick<Head, 'method' | 'url'>): boolean {
  return method === 'OPTIONS' && url === '*';
}

/** The answer to a body over the limit. */
export function tooLarge(maxBodyBytes: number): Rejection {
  return { status: 413, text: `the body is larger than ${maxBodyBytes} bytes (maxBodyBytes)` };
}

/** The path of a request, without its query. */
export function pathOf({ url = '' }: Pick<Head, 'url'>): string {
  return url.split('?', 1)[0] ?? '';
}

/** The answer where no door is, or one that knows no such verb. */
export function noEndpoint(request: Pick<Head, 'method' | 'url'>, doors: readonly Endpoint[]): Rejection {
  const { method: verb = '' } = request;
  const door = endpointAt(doors, pathOf(request));
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
export function checkEncoding(header: string | undefined, acceptGzip: boolean): Rejection | undefined {
  if (header === undefined || header.toLowerCase() === 'identity' || (acceptGzip && isGzip(header))) return undefined;
  const what = acceptGzip ? 'in gzip, or as it is' : 'as it is (the operator can set acceptGzip)';
  return { status: 415, text: `Content-Encoding '${clean(header, 50)}' is not read; send the body ${what}` };
}

function checkFraming({ headers, url = '', httpVersion }: Head): Rejection | undefined {
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
export function checkHeaders(head: Pick<Head, 'rawHeaders'>): Rejection | undefined {
  // Names and values, one after the other.
  if (head.rawHeaders.length > 2 * MAX_HEADERS) return { status: 431, text: `the request has more than ${MAX_HEADERS} headers` };
  return checkRepeatedHeaders(head);
}

/** Node takes the first of two, a proxy in front perhaps the second; so there must be one. */
function checkRepeatedHeaders({ rawHeaders }: Pick<Head, 'rawHeaders'>): Rejection | undefined {
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

function checkBody({ method, headers }: Head, door: Endpoint, { acceptGzip, maxBodyBytes }: BodyRules): Rejection | undefined {
  if (method !== 'POST') return undefined;
  const type = readMediaType(headers['content-type'], door.reads);
  if ('status' in type) return type;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
    return { status: 411, text: 'the request says no length; send Content-Length, 0 if there is no body' };
  // Before a client that waits for 100 Continue is told to go on.
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return tooLarge(maxBodyBytes);
  return checkEncoding(headers['content-encoding'], acceptGzip);
}

/** An answer below the calls. */
export interface Rejection {
  readonly status: number;
  /** What is wrong and what to do, one line. */
  readonly text: string;
}

export interface OriginHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
}

/** Answers why a request must not come in over this connection, or undefined. */
export type HostCheck = (headers: OriginHeaders, socket: object) => Rejection | undefined;

/**
 * `names`: what may be in Host besides IP addresses and localhost. Over the unix socket (`isUnix`) any Host is fine, since no page can make a name lead there and clients
 * write what they like; what a browser sent came through a proxy, and is checked as on every port.
 */
export function makeHostCheck(names: readonly string[], allowedOrigins: readonly string[], isUnix: (socket: object) => boolean): HostCheck {
  const hosts = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  const origins = new Set(allowedOrigins);
  const isOurs = memoize((host) => isOneOf(host, hosts));
  return (headers, socket) => {
    const refusal = checkHostName(headers.host, isOurs);
    if (refusal && (isFromBrowser(headers) || !isUnix(socket))) return refusal;
    return checkOrigin(headers, origins);
  };
}

function isFromBrowser(headers: OriginHeaders): boolean {
  return headers.origin !== undefined || headers['sec-fetch-site'] !== undefined;
}

/** A page can make any name point here (DNS rebinding), so only names that are ours are answered. */
function checkHostName(host: string | undefined, isOurs: (host: string) => boolean): Rejection | undefined {
  // HTTP/1.0 clients send none; no browser does that.
  if (host === undefined || isOurs(host)) return undefined;
  return {
    status: 421,
    text: `this relay is not known as '${clean(host, 100)}': call it by its IP address, or list the name in allowedHosts`,
  };
}

function isOneOf(host: string, hosts: ReadonlySet<string>): boolean {
  const name = /^(\[[^\]]{2,64}\]|[^:[\]]{1,255})(?::\d{1,5})?$/.exec(host)?.[1]?.toLowerCase();
  if (name === undefined) return false;
  if (hosts.has(name)) return true;
  const address = canonicalAddress(name);
  return address !== undefined && !isUnspecified(address);
}

function checkOrigin(headers: OriginHeaders, origins: ReadonlySet<string>): Rejection | undefined {
  const { origin } = headers;
  if (origin !== undefined) {
    if (origins.has(origin) || (headers.host !== undefined && isSameHost(origin, headers.host))) return undefined;
    return {
      status: 403,
      text: `pages of '${clean(origin, 100)}' may not call this relay; the operator can list the origin in allowedOrigins`,
    };
  }
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'none' || site === 'same-origin') return undefined;
  return { status: 403, text: 'a page of another site may not call this relay; open its address directly' };
}

function isSameHost(origin: string, host: string): boolean {
  return origin === `http://${host.toLowerCase()}` || origin === `https://${host.toLowerCase()}`;
}

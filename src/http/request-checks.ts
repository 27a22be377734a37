/** The checks of a request before its body is read: ambiguous headers, host, origin, method, media type and encoding. Pure. */
import type { IncomingMessage } from 'node:http';
import { clean, memoize } from '../core/core.ts';
import { endpointAt } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { readMediaType } from './media-type.ts';
import type { HttpOptions } from './options.ts';
import { canonicalAddress, isUnspecified } from '../message/message.ts';

/** The options that decide which bodies are read. */
export type BodyRules = Pick<HttpOptions, 'acceptGzip' | 'maxBodyBytes'>;

/** The head of a request. */
export type Head = Pick<IncomingMessage, 'headers' | 'httpVersion' | 'method' | 'rawHeaders' | 'socket' | 'url'>;

/** Why a request is rejected, or undefined. `endpoint` is the one at its path, undefined if there is none. */
export function checkRequest(
  request: Head,
  endpoint: Endpoint | undefined,
  endpoints: readonly Endpoint[],
  options: BodyRules,
): Rejection | undefined {
  const refusal = checkFraming(request) ?? checkHeaders(request);
  if (refusal || isServerOptions(request)) return refusal;
  return endpoint ? checkBody(request, endpoint, options) : noEndpoint(request, endpoints);
}

/** True for `OPTIONS *`, which asks about the server as a whole. */
export function isServerOptions({ method, url }: Pick<Head, 'method' | 'url'>): boolean {
  return method === 'OPTIONS' && url === '*';
}

/** The rejection of a body over the limit. */
export function tooLarge(maxBodyBytes: number): Rejection {
  return { status: 413, text: `the body is larger than ${maxBodyBytes} bytes (maxBodyBytes)` };
}

/** The path of a request, without its query. */
export function pathOf({ url = '' }: Pick<Head, 'url'>): string {
  return url.split('?', 1)[0] ?? '';
}

/** The rejection of a path without an endpoint, or of a method that the endpoint does not have. */
export function noEndpoint(request: Pick<Head, 'method' | 'url'>, endpoints: readonly Endpoint[]): Rejection {
  const { method = '' } = request;
  const endpoint = endpointAt(endpoints, pathOf(request));
  if (endpoint?.put) return { status: 405, text: `${method} is not allowed here; PUT the payload` };
  if (endpoint?.get && !endpoint.post) return { status: 405, text: `${method} is not allowed here; GET it` };
  if (endpoint?.get) return { status: 405, text: `${method} is not allowed here; POST a call, or GET a description` };
  if (endpoint) return { status: 405, text: `${method} is not allowed here; POST the parameters as JSON` };
  const path = clean(pathOf(request), 100);
  return {
    status: 404,
    text: `there is nothing at ${path}; the endpoints are POST /RPC2 (XML-RPC, JSON-RPC), POST /api/METHOD (JSON), GET / (page), GET /healthz, /readyz and /metrics`,
  };
}

/** True for a body in gzip; `x-gzip` is the old name of it. */
export function isGzip(header: string | undefined): boolean {
  return header !== undefined && /^(?:x-)?gzip$/i.test(header);
}

/** Only unencoded bodies are read, and gzip if it is accepted; several codings on top of each other could grow without bound. */
export function checkEncoding(header: string | undefined, acceptGzip: boolean): Rejection | undefined {
  if (header === undefined || header.toLowerCase() === 'identity' || (acceptGzip && isGzip(header))) return undefined;
  const what = acceptGzip ? 'in gzip or unencoded' : 'unencoded (the operator can set acceptGzip)';
  return { status: 415, text: `Content-Encoding '${clean(header, 50)}' is not supported; send the body ${what}` };
}

function checkFraming({ headers, url = '', httpVersion }: Head): Rejection | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return { status: 505, text: 'this is neither HTTP/1.1 nor HTTP/1.0' };
  if (headers.host === undefined && httpVersion !== '1.0')
    return { status: 400, text: 'the request has no Host header, which HTTP/1.1 requires' };
  const authority = url.startsWith('/') ? undefined : /^[a-z]{1,10}:\/\/([^/?#]*)/i.exec(url)?.[1];
  if (authority !== undefined && authority.toLowerCase() !== headers.host?.toLowerCase())
    return { status: 400, text: 'the request line and the Host header name different hosts' };
  const coding = headers['transfer-encoding'];
  // Node rejects what does not end in chunked, but it would pass on a body that has another coding as well without decoding it.
  if (coding?.includes(',') === true)
    return { status: 400, text: `Transfer-Encoding '${clean(coding, 50)}' is not supported; use chunked` };
  if (coding !== undefined && httpVersion === '1.0') return { status: 400, text: 'HTTP/1.0 has no Transfer-Encoding; send Content-Length' };
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
    return { status: 417, text: `Expect '${clean(headers.expect, 50)}' is not supported; use 100-continue` };
  return undefined;
}

// By length, which differs from nearly all other headers and saves a comparison without case.
const SINGLE: ReadonlyMap<number, string> = new Map(
  ['host', 'content-type', 'content-encoding', 'authorization'].map((name) => [name.length, name]),
);

/** The default of Apache; clients and proxies send a tenth of it. */
const MAX_HEADERS = 100;

/** Rejects ambiguous headers before anything relies on them: too many, or one repeated that must be single. */
export function checkHeaders(head: Pick<Head, 'rawHeaders'>): Rejection | undefined {
  // Names and values, one after the other.
  if (head.rawHeaders.length > 2 * MAX_HEADERS) return { status: 431, text: `the request has more than ${MAX_HEADERS} headers` };
  return checkRepeatedHeaders(head);
}

/** Node uses the first of two, a proxy in front perhaps the second; so there must be only one. */
function checkRepeatedHeaders({ rawHeaders }: Pick<Head, 'rawHeaders'>): Rejection | undefined {
  // One bit for each length seen.
  let seen = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const raw = rawHeaders[index] ?? '';
    const name = SINGLE.get(raw.length);
    if (name === undefined || raw.toLowerCase() !== name) continue;
    const bit = 1 << raw.length;
    if ((seen & bit) !== 0) return { status: 400, text: `the request has two ${name} headers; send one` };
    seen |= bit;
  }
  return undefined;
}

function checkBody({ method, headers }: Head, endpoint: Endpoint, { acceptGzip, maxBodyBytes }: BodyRules): Rejection | undefined {
  if (method === 'PUT' && endpoint.put) return checkUpload(headers);
  if (method !== 'POST') return undefined;
  const type = readMediaType(headers['content-type'], endpoint.reads);
  if ('status' in type) return type;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
    return { status: 411, text: 'the request has no length; send Content-Length, 0 if there is no body' };
  // Before a client that waits for 100 Continue gets it.
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return tooLarge(maxBodyBytes);
  return checkEncoding(headers['content-encoding'], acceptGzip);
}

/** A body that is stored as it comes: of any type and size. */
function checkUpload({ 'content-length': length, 'transfer-encoding': coding, ...headers }: Head['headers']): Rejection | undefined {
  if (length === undefined && coding === undefined)
    return { status: 411, text: 'the request has no length; send Content-Length, 0 if there is no body, or Transfer-Encoding: chunked' };
  if (headers['content-range'] !== undefined)
    return { status: 400, text: 'a part of a payload cannot be sent (Content-Range); send it whole' };
  return checkEncoding(headers['content-encoding'], false);
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

/** Why a request over this connection is rejected, or undefined. */
export type HostCheck = (headers: OriginHeaders, socket: object) => Rejection | undefined;

/**
 * Makes the check of Host and Origin; `names` may be in Host besides IP addresses and localhost. Over the Unix socket (`isUnix`) any Host
 * is accepted, since no web page can reach it and clients write anything; a request of a browser came through a proxy there and is checked.
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

/** A web page can make any name resolve to this relay (DNS rebinding), so only known names are accepted. */
function checkHostName(host: string | undefined, isOurs: (host: string) => boolean): Rejection | undefined {
  // HTTP/1.0 clients may send none; browsers always send one.
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

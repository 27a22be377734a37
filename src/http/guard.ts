/** What is refused on every door before a body is read: foreign hosts, pages of other origins. Pure; made once per start. */
import { canonicalAddress, isUnspecified } from '../message/message.ts';
import { clean, memoize } from '../core/core.ts';

/** An answer below the calls. */
export interface Refusal {
  readonly status: number;
  /** What is wrong and what to do, one line. */
  readonly text: string;
}

export interface GuardedHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
}

/** Answers why a request must not come in over this connection, or undefined. */
export type Guard = (headers: GuardedHeaders, socket: object) => Refusal | undefined;

/**
 * `names`: what may be in Host besides IP addresses and localhost. Over the unix socket (`isUnix`) any Host is fine, since no page can make a name lead there and clients
 * write what they like; what a browser sent came through a proxy, and is checked as on every port.
 */
export function makeGuard(names: readonly string[], allowedOrigins: readonly string[], isUnix: (socket: object) => boolean): Guard {
  const hosts = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  const origins = new Set(allowedOrigins);
  const isOurs = memoize((host) => isOneOf(host, hosts));
  return (headers, socket) => {
    const refusal = refuseHost(headers.host, isOurs);
    if (refusal && (isFromBrowser(headers) || !isUnix(socket))) return refusal;
    return refuseOrigin(headers, origins);
  };
}

function isFromBrowser(headers: GuardedHeaders): boolean {
  return headers.origin !== undefined || headers['sec-fetch-site'] !== undefined;
}

/** A page can make any name point here (DNS rebinding), so only names that are ours are answered. */
function refuseHost(host: string | undefined, isOurs: (host: string) => boolean): Refusal | undefined {
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

function refuseOrigin(headers: GuardedHeaders, origins: ReadonlySet<string>): Refusal | undefined {
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

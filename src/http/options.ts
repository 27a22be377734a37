/** The options of the HTTP server: where it listens, and its limits and checks. */
import * as z from 'zod/mini';
import ipaddr from 'ipaddr.js';
import { canonicalAddress, formatHostId, isUnspecified, parseHostId } from '../message/message.ts';

/** The options of the HTTP server. */
export interface HttpOptions {
  /**
   * The address or name to listen on, or a list of them; the first one appears in `host_id`. Default 127.0.0.1, which serves this machine
   * only. Use `0.0.0.0` for the whole network, or `::` to include IPv6.
   */
  readonly host: string | readonly string[];
  /** Path of a Unix socket (mode 0600) to listen on as well, for programs of the same user. Default none. */
  readonly unixSocket?: string | undefined;
  /** The TCP port. Default 2004, the port of the original co2; 0 takes any free port. */
  readonly port: number;
  /** The IP address under which other machines know this relay; it appears in `host_id`. Default: the address that the relay listens on. */
  readonly publicAddress?: string | undefined;
  /** Names accepted in the `Host` header besides IP addresses, `localhost` and the name of this machine. Default none. */
  readonly allowedHosts: readonly string[];
  /** Web origins (`https://panel.example`) whose pages may call this relay. Default none. */
  readonly allowedOrigins: readonly string[];
  /**
   * Networks (CIDR) of proxies whose `X-Forwarded-For` or `Forwarded` (RFC 7239) header is believed. If a request has both headers, they
   * must name the same client. Default none.
   */
  readonly trustedProxies: readonly string[];
  /** The largest request body. Default 8 MiB: it protects memory, since a body takes several times its size while it is parsed. */
  readonly maxBodyBytes: number;
  /**
   * Accept bodies with `Content-Encoding: gzip`, which may inflate to at most `maxBodyBytes` and at most a hundred times their size.
   * Default false, because inflating costs the relay far more than it costs the sender.
   */
  readonly acceptGzip: boolean;
  /**
   * How long a request may take to arrive, and a client to read a large response. Default 30,000, so that a slow client does not hold its
   * connection for longer.
   */
  readonly requestTimeoutMs: number;
  /**
   * The memory for bodies and responses over 64 KiB that are held at the same time; when it is used up, large requests get fault 503. One
   * address may use half of it. All anonymous callers together may use half of it, and one anonymous address a quarter. Bodies count as
   * they arrive. Default 256 MiB, and never less than four bodies: 2,000 connections with 8 MiB each would be 16 GB.
   */
  readonly maxBufferedBytes: number;
  /**
   * Open connections on all addresses together; further ones are closed. One other machine may hold half of them. Default 2,000: a
   * connection costs about 20 kB, and file handles are limited.
   */
  readonly maxConnections: number;
  /**
   * Wrong credentials per minute and address. After that, credentials from the address are refused for a minute. Default 10: people mistype
   * less often, and guessing needs more.
   */
  readonly maxWrongCredentials: number;
  /**
   * Answer plain XML-RPC calls (a usual request line, few and usual headers, a body of at most 64 KiB) without Node's HTTP parser, which
   * halves the cost of a small call. Everything else takes the general path in any case. Default true; with false the answers are the same,
   * so set it to find out whether the fast path causes a problem.
   */
  readonly fastPath: boolean;
  /**
   * Serve HTTPS instead of HTTP. The PEM files are read again when they change. Relative paths start at the directory of the configuration
   * file. Default none, which means HTTP.
   */
  readonly tls?:
    | {
        /** The certificate, followed by the intermediate certificates. Required with `tls`; no default. */
        readonly certFile: string;
        /** The private key, without a password, in a file that other users cannot read. Required with `tls`; no default. */
        readonly keyFile: string;
        /**
         * Certificates of authorities. With it, every client needs a certificate from one of them. Default none: clients need no
         * certificate.
         */
        readonly caFile?: string | undefined;
      }
    | undefined;
}

export const httpDefaults: HttpOptions = {
  host: '127.0.0.1',
  port: 2004,
  unixSocket: undefined,
  publicAddress: undefined,
  allowedHosts: [],
  allowedOrigins: [],
  trustedProxies: [],
  maxBodyBytes: 8 * 1024 * 1024,
  acceptGzip: false,
  requestTimeoutMs: 30_000,
  maxBufferedBytes: 256 * 1024 * 1024,
  maxConnections: 2_000,
  maxWrongCredentials: 10,
  fastPath: true,
  tls: undefined,
};

const address = z.string().check(z.refine(isHostAddress, { error: 'an IP address that a host can have' }));
const cidr = z.string().check(z.refine((text) => ipaddr.isValidCIDR(text), { error: 'a network like 10.0.0.0/8' }));
const origin = z
  .string()
  .check(z.refine((text) => URL.canParse(text) && new URL(text).origin === text, { error: 'an origin like https://panel.example' }));

const host = z.string().check(z.minLength(1), z.refine(isListenable, { error: 'an IP address or a name to listen on, without a port' }));

export const httpShape = {
  host: z.union([
    host,
    z.readonly(
      z
        .array(host)
        .check(z.minLength(1), z.refine(areApart, { error: 'addresses of which none is or contains another; 0.0.0.0 and :: contain all' })),
    ),
  ]),
  // The system's own limit for such a path is 107 bytes.
  unixSocket: z.optional(z.string().check(z.minLength(1), z.maxLength(107))),
  port: z.int().check(z.gte(0), z.lte(65535)),
  publicAddress: z.optional(address),
  allowedHosts: z.array(z.string().check(z.minLength(1))),
  allowedOrigins: z.array(origin),
  trustedProxies: z.array(cidr),
  maxBodyBytes: z.int().check(z.gte(1024), z.lte(1024 ** 3)),
  acceptGzip: z.boolean(),
  requestTimeoutMs: z.int().check(z.gte(1), z.lte(86_400_000)),
  maxBufferedBytes: z.int().check(z.gte(1024)),
  maxConnections: z.int().check(z.gte(1), z.lte(1_000_000)),
  maxWrongCredentials: z.int().check(z.gte(1), z.lte(1_000_000)),
  fastPath: z.boolean(),
  tls: z.optional(
    z.strictObject({
      certFile: z.string().check(z.minLength(1)),
      keyFile: z.string().check(z.minLength(1)),
      caFile: z.optional(z.string().check(z.minLength(1))),
    }),
  ),
};

/** One that a host_id can name; whatever else a library takes for an address, peers would refuse. */
function isHostAddress(text: string): boolean {
  const canonical = canonicalAddress(text);
  return canonical !== undefined && parseHostId(formatHostId({ random: 'r', address: canonical, port: 0 })) !== undefined;
}

/** Where to listen, each in its canonical form. */
export function hostsOf({ host: one }: Pick<HttpOptions, 'host'>): string[] {
  return (typeof one === 'string' ? [one] : [...one]).map((text) => canonicalAddress(text) ?? text);
}

/** A name, or an address that this machine may have; multicast and the like are nobody's. */
function isListenable(text: string): boolean {
  const canonical = canonicalAddress(text);
  if (canonical !== undefined) return isUnspecified(canonical) || isHostAddress(canonical);
  return /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/.test(text) && !/^[\d.]+$/.test(text);
}

function areApart(texts: readonly string[]): boolean {
  const addresses = texts.map((text) => canonicalAddress(text) ?? text.toLowerCase());
  const containsAll = addresses.some((address) => canonicalAddress(address) !== undefined && isUnspecified(address));
  return new Set(addresses).size === addresses.length && (!containsAll || addresses.length === 1);
}

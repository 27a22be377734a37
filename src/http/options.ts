/** Where the doors listen, and what they let in before anything is read. */
import { z } from 'zod';
import ipaddr from 'ipaddr.js';
import { canonicalAddress, formatHostId, isUnspecified, parseHostId } from '../message/message.ts';

export interface HttpOptions {
  /** Address or name to listen on, or several; the first stands in host_id. Default 127.0.0.1: only this machine; `0.0.0.0` for the whole network, `::` with IPv6. */
  readonly host: string | readonly string[];
  /** A unix socket (mode 0600) to listen on as well, for programs of this user. Default none. */
  readonly unixSocket?: string | undefined;
  /** Default 2004, co2's own; 0 takes any free port. */
  readonly port: number;
  /** Address that other machines know this relay by; stands in host_id. Default: the address it listens on. */
  readonly publicAddress?: string | undefined;
  /** Names, besides IP addresses, localhost and this machine's name, that may stand in the Host header. Default none. */
  readonly allowedHosts: readonly string[];
  /** Web origins (`https://panel.example`) whose pages may call this relay. Default none. */
  readonly allowedOrigins: readonly string[];
  /** Networks (CIDR) of proxies whose X-Forwarded-For or Forwarded (RFC 7239) is believed; if both are there they must name the same client. Default none. */
  readonly trustedProxies: readonly string[];
  /** Bytes of a request's body. Default 8 MiB: protects memory; a body takes several times its size while it is parsed. */
  readonly maxBodyBytes: number;
  /** Lets in bodies with Content-Encoding: gzip, up to maxBodyBytes and a hundred times their size when inflated. Default false: inflating costs the relay far more than the sender. */
  readonly acceptGzip: boolean;
  /** ms for a request to arrive whole, and for a large answer to be read. Default 30,000: slow senders hold a connection no longer. */
  readonly requestTimeoutMs: number;
  /**
   * Bytes of bodies and answers over 64 KiB that may be in memory at once, half of them for one address, and half for all anonymous callers together (a quarter for one address); beyond
   * it large requests are answered 503. Bodies count as they arrive. Default 256 MiB, and never less than four bodies: 2,000 connections with 8 MiB each would be 16 GB.
   */
  readonly maxBufferedBytes: number;
  /** Connections at once, on all addresses together, half of them from one other machine; more are closed. Default 2,000: a connection costs about 20 kB, and file handles are finite. */
  readonly maxConnections: number;
  /** Wrong credentials per minute and address; after so many none is taken from there for a minute. Default 10: a person mistypes less, a guesser needs more. */
  readonly maxWrongCredentials: number;
  /** HTTPS instead of HTTP. The files (PEM) are read again when they change; relative paths start at the configuration file. Default none: HTTP. */
  readonly tls?:
    | {
        /** The certificate, and after it those that lead to its root. No default. */
        readonly certFile: string;
        /** Its key, without password, closed to other users. No default. */
        readonly keyFile: string;
        /** Certificates of authorities: a client must then have a certificate from one of them. Default none: clients need none. */
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
  tls: undefined,
};

const address = z.string().refine(isHostAddress, { error: 'an IP address that a host can have' });
const cidr = z.string().refine((text) => ipaddr.isValidCIDR(text), { error: 'a network like 10.0.0.0/8' });
const origin = z
  .string()
  .refine((text) => URL.canParse(text) && new URL(text).origin === text, { error: 'an origin like https://panel.example' });

const host = z.string().min(1).refine(isListenable, { error: 'an IP address or a name to listen on, without a port' });

export const httpShape = {
  host: z.union([
    host,
    z
      .array(host)
      .min(1)
      .refine(areApart, { error: 'addresses of which none is or contains another; 0.0.0.0 and :: contain all' })
      .readonly(),
  ]),
  // The system's own limit for such a path is 107 bytes.
  unixSocket: z.string().min(1).max(107).optional(),
  port: z.int().min(0).max(65535),
  publicAddress: address.optional(),
  allowedHosts: z.array(z.string().min(1)),
  allowedOrigins: z.array(origin),
  trustedProxies: z.array(cidr),
  maxBodyBytes: z
    .int()
    .min(1024)
    .max(1024 ** 3),
  acceptGzip: z.boolean(),
  requestTimeoutMs: z.int().min(1).max(86_400_000),
  maxBufferedBytes: z.int().min(1024),
  maxConnections: z.int().min(1).max(1_000_000),
  maxWrongCredentials: z.int().min(1).max(1_000_000),
  tls: z.strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1), caFile: z.string().min(1).optional() }).optional(),
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

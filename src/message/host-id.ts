/** `host_id`, the co2 name of a server (`<random>@<ip>:<port>`), and the canonical form of addresses. */
import ipaddr from 'ipaddr.js';
import { memoize } from '../core/core.ts';

/** A parsed host_id; `address` is canonical, `port` is 0 for a client that listens nowhere. */
export interface HostId {
  readonly random: string;
  readonly address: string;
  readonly port: number;
}

/** The identity of this relay; known once it listens. */
export interface Identity {
  readonly hostId: string;
  readonly address: string;
  readonly port: number;
}

// 64 characters are four times what python-co2 and we write; more would be a payload, not a name.
const HOST_ID = /^([!-?A-~]{1,64})@(\[[^\]@]{2,64}\]|[^@[\]]{2,64}):(\d{1,5})$/;

// The IPv4 part of `::ffff:1.2.3.4`, which the library reads in octal and hexadecimal too.
const DOTTED_TAIL = /:([^:%]*\.[^:%]*)(?:%|$)/;

/** True unless nobody can have `address` (canonical): `0.0.0.0`, `::`, multicast and broadcast. */
const isHostAddress = memoize((address) => {
  const range = ipaddr.process(address).range();
  return range !== 'unspecified' && range !== 'multicast' && range !== 'broadcast';
});

/** The parts of a host_id, or undefined if it is none or names an address that nobody can have (`0.0.0.0`, `::`, multicast). */
export const parseHostId = memoize((text): HostId | undefined => {
  const parts = HOST_ID.exec(text);
  if (!parts) return undefined;
  const [, random = '', host = '', digits = ''] = parts;
  const address = canonicalAddress(host);
  const port = Number(digits);
  if (address === undefined || port > 65535 || !isHostAddress(address)) return undefined;
  return { random, address, port };
});

/** The wire form; an IPv6 address stands in brackets. */
export function formatHostId({ random, address, port }: HostId): string {
  return `${random}@${hostPort(address, port)}`;
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * One spelling for one address: brackets stripped, `::ffff:a.b.c.d` as IPv4, IPv6 compressed and in lower case, a zone id kept only
 * for link-local. Undefined for whatever is no IP address in its ordinary form (names, octal, hexadecimal or short IPv4).
 */
export const canonicalAddress = memoize((text): string | undefined => {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return ipaddr.IPv4.parse(bare).toString();
  if (!bare.includes(':') || !ipaddr.IPv6.isValid(bare)) return undefined;
  const dotted = DOTTED_TAIL.exec(bare)?.[1];
  if (dotted !== undefined && !ipaddr.IPv4.isValidFourPartDecimal(dotted)) return undefined;
  const v6 = ipaddr.IPv6.parse(bare);
  if (v6.isIPv4MappedAddress()) return v6.toIPv4Address().toString();
  if (v6.range() !== 'linkLocal') v6.zoneId = undefined;
  return v6.toString();
});

/** True if `address` (canonical) reaches this machine only. */
export const isLoopback = memoize((address) => ipaddr.process(address).range() === 'loopback');

/** True for `0.0.0.0` and `::`, which mean "all of this machine" to a listener and nobody to a sender. */
export const isUnspecified = memoize((address) => ipaddr.process(address).range() === 'unspecified');

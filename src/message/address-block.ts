/** Whom an address stands for when callers are counted. */
import ipaddr from 'ipaddr.js';
import { isLoopback } from './host-id.ts';

/**
 * The name under which a caller at `address` (canonical) is counted: an IPv4 address, or the first 64 bits of an IPv6 one, of which a
 * single subscriber has 2^64. Link-local ones stand for themselves, since all of a network share those bits.
 */
export function addressBlock(address: string): string {
  // All of them are this machine, which can take any.
  if (isLoopback(address)) return 'this machine';
  if (!address.includes(':')) return address;
  const v6 = ipaddr.IPv6.parse(address);
  if (v6.range() === 'linkLocal') return address;
  return `${v6.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}

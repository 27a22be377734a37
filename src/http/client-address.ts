/** The address of whoever calls: the socket's, or what a trusted proxy in front wrote down. Pure. */
import ipaddr from 'ipaddr.js';
import { canonicalAddress } from '../message/message.ts';

/** True for an address (canonical) inside one of the proxies' networks. */
export type IsTrusted = (address: string) => boolean;

/** Reads `networks` (CIDR) once. */
export function trustedProxies(networks: readonly string[]): IsTrusted {
  const ranges = networks.map((network) => ipaddr.parseCIDR(network));
  return (address) => {
    const parsed = ipaddr.process(address);
    return ranges.some((range) => range[0].kind() === parsed.kind() && parsed.match(range));
  };
}

/**
 * Canonical address of the client. `forwardedFor` is the X-Forwarded-For header; it counts only if the socket is a trusted proxy's, and then the rightmost
 * entry that is no trusted proxy itself. Undefined if a trusted proxy wrote something that is no address: then nobody vouches for anything.
 */
export function clientAddress(socketAddress: string, forwardedFor: string | undefined, isTrusted: IsTrusted): string | undefined {
  const socket = canonicalAddress(socketAddress);
  if (socket === undefined || forwardedFor === undefined || !isTrusted(socket)) return socket;
  const entries = forwardedFor.split(',');
  let client: string | undefined = socket;
  for (let index = entries.length - 1; index >= 0 && client !== undefined && isTrusted(client); index--) {
    client = canonicalAddress((entries[index] ?? '').trim());
  }
  return client;
}

/** Where others find this relay: the address in its host_id, and whether an address and port are its own door. */
import { networkInterfaces } from 'node:os';
import { canonicalAddress, isLoopback, isUnspecified } from '../message/message.ts';
import { hostsOf } from './options.ts';
import type { HttpOptions } from './options.ts';

/** Where the doors are bound. */
export interface Bound {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

type Told = Pick<HttpOptions, 'host' | 'publicAddress'>;

/** The address in our host_id: the operator's, or the one we listen on, or, listening on all, the first that other machines can reach. */
export function ownAddress({ publicAddress }: Told, bound: Bound): string {
  const told = publicAddress === undefined ? undefined : canonicalAddress(publicAddress);
  if (told !== undefined) return told;
  if (!isUnspecified(bound.address)) return bound.address;
  const outward = Object.values(networkInterfaces())
    .flat()
    .find((net) => net !== undefined && !net.internal && net.family === 'IPv4');
  return outward?.address ?? '127.0.0.1';
}

/** True if a call to `address` (canonical) and `port` would come to our own door. */
export function isOwnDoor(options: Told, bound: Bound, address: string, port: number): boolean {
  if (port !== bound.port) return false;
  if (address === bound.address || address === ownAddress(options, bound) || hostsOf(options).includes(address)) return true;
  if (!isUnspecified(bound.address)) return false;
  const ours = Object.values(networkInterfaces()).flatMap((nets) => (nets ?? []).map((net) => canonicalAddress(net.address)));
  return isLoopback(address) || ours.includes(address);
}

/** Which addresses a fetch may connect to: public ones, and those that the operator allows. Names are resolved here, and nowhere else. */
import { lookup as resolve } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';

const NOT_PUBLIC_4 = (
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 ' +
  // The last one answers for the metadata of machines in a large cloud.
  '198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32'
).split(' ');
// Global addresses of IPv6 are in 2000::/3; these parts of it lead to special services, or to embedded addresses of IPv4.
const NOT_PUBLIC_6 = '2001::/23 2001:db8::/32 2002::/16 3fff::/20'.split(' ');

const blocked = listOf([...NOT_PUBLIC_4, ...NOT_PUBLIC_6]);
const global6 = listOf(['2000::/3']);

/** Ranges as in `10.0.0.0/8`. */
export function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    list.addSubnet(address, Number(bits), familyOf(address));
  }
  return list;
}

/** True for `10.0.0.0/8`, `fd00::/8`. */
export function isRange(text: string): boolean {
  const [address = '', bits = '', ...more] = text.split('/');
  const version = isIP(address);
  return more.length === 0 && version !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

/** Throws an Error if a fetch may not connect to this address. */
export function requirePermitted(address: string, allowed: BlockList): void {
  const family = familyOf(address);
  if (allowed.check(address, family)) return;
  const isPublic = !blocked.check(address, family) && (family === 'ipv4' || global6.check(address, family));
  if (!isPublic) throw new Error(`${address} is not a public address; the operator can list it in allowAddresses`);
}

/**
 * Resolves names for sockets, which connect to the checked address itself: a name that resolves to another address a moment later is of no
 * use to an attacker.
 */
export function checkedLookup(allowed: BlockList): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      let problem: NodeJS.ErrnoException | null = error;
      try {
        // All of them: which one is tried first is not decided here.
        for (const { address } of error ? [] : addresses) requirePermitted(address, allowed);
      } catch (refusal) {
        problem = new Error(`${hostname}: ${(refusal as Error).message}`);
      }
      const [first] = error ? [] : addresses;
      if (problem || !first) callback(problem ?? new Error(`${hostname} has no address`), '', 0);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

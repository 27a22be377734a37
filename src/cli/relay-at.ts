/**
 * Whether a URL of this machine leads to the relay that has a state directory. Anybody may listen on a port whose relay is not running, and would be given the admin token;
 * the relay itself says over the socket in its directory (relay.lock) where it listens.
 */
import { realpathSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { canonicalAddress, hostPort, isLoopback, isUnspecified } from '../message/message.ts';
import { reasonOf } from '../core/core.ts';
import { askLock } from '../state/state.ts';
import type { Listening } from '../state/state.ts';
import { socketOf } from './find-relay.ts';

/** The URL to call, in which a name is replaced by an address that the relay listens on; or why the relay is not there. */
export type RelayAt = { readonly url: URL } | { readonly problem: string };

/** Never rejects. */
export async function relayAt(url: URL, dataDir: string, timeoutMs: number): Promise<RelayAt> {
  if (process.platform === 'win32')
    return { problem: 'Windows has no lock that says which relay listens there; give the credential with --token' };
  try {
    const holder = await askLock(dataDir, timeoutMs);
    if (!holder) return { problem: `no relay runs on this state directory, so something else listens there; ${REMEDY}` };
    const { pid, listening } = holder;
    if (!listening) return { problem: `the relay of process ${pid} does not say where it listens; is it starting, or an older version?` };
    const socketPath = socketOf(url);
    return socketPath === undefined ? overTcp(url, listening) : overSocket(url, socketPath, listening, dataDir);
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

const REMEDY = 'start the relay (co2 start), or name the right one with --url and --data, or a credential with --token';

/** False if nothing listens there; true if something does, or nobody knows. */
export function isAnswered(url: URL): Promise<boolean> {
  const path = socketOf(url);
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect(path === undefined ? { host, port: portOf(url) } : { path });
    const end = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(2_000, () => {
      end(true);
    });
    socket.once('connect', () => {
      end(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function overTcp(url: URL, { scheme, addresses }: Listening): RelayAt {
  const port = portOf(url);
  const address = canonicalAddress(url.hostname);
  const places = addresses.filter((place) => place.port === port);
  // Two programs may listen on the two addresses of localhost, so the relay's own is called.
  const found =
    address === undefined ? places.find((place) => isLocal(place.address)) : places.find((place) => covers(place.address, address));
  if (!found) return { problem: `its relay listens on ${listed(addresses)}, not there; ${REMEDY}` };
  if (url.protocol !== `${scheme}:`) return { problem: `its relay speaks ${scheme.toUpperCase()} there; use ${scheme}:// in the URL` };
  const exact = new URL(url);
  // Over TLS the certificate is for the name, and proves who answers.
  if (address === undefined && scheme === 'http')
    exact.hostname = bracketed(isUnspecified(found.address) ? LOOPBACK[family(found.address)] : found.address);
  return { url: exact };
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

function overSocket(url: URL, path: string, { unixSocket }: Listening, dataDir: string): RelayAt {
  if (unixSocket === undefined || realpathSync(path) !== realpathSync(unixSocket))
    return { problem: `its relay listens on ${unixSocket ?? 'no unix socket'}, not there; ${REMEDY}` };
  // In a directory that others may write to, somebody may have put another socket in its place.
  if (statSync(path).uid !== statSync(dataDir).uid) return { problem: 'the socket belongs to another user than the state directory' };
  return { url };
}

/** True if who listens on `listening` is who answers at `address`. */
function covers(listening: string, address: string): boolean {
  return listening === address || (isUnspecified(listening) && (family(listening) === 'IPv6' || family(address) === 'IPv4'));
}

function isLocal(address: string): boolean {
  return isLoopback(address) || isUnspecified(address);
}

function family(address: string): keyof typeof LOOPBACK {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function listed(addresses: Listening['addresses']): string {
  return addresses.map(({ address, port }) => hostPort(address, port)).join(', ');
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

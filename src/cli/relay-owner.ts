/** Checks whether a URL leads to the relay of a state directory, because only that relay may receive its admin token. */
import { realpathSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { canonicalAddress, hostPort, isLoopback, isUnspecified } from '../message/message.ts';
import type { Options } from '../config/config.ts';
import { reasonOf, RelayError } from '../core/core.ts';
import { askLock } from '../state/internal.ts';
import type { Listening } from '../state/internal.ts';
import { socketOf } from './target.ts';

/** The URL of a relay with these options, as seen from its machine. Throws a RelayError CONFIG_INVALID if the port is unknown. */
export function urlOfOptions({ host, port, tls }: Pick<Options, 'host' | 'port' | 'tls'>): URL {
  if (port === 0) throw new RelayError('CONFIG_INVALID', 'port is 0 (any free one): set the URL of the relay with --url');
  const [first = ''] = typeof host === 'string' ? [host] : host;
  const address = canonicalAddress(first);
  const everywhere = address !== undefined && isUnspecified(address);
  const reached = everywhere ? (address.includes(':') ? '::1' : '127.0.0.1') : (address ?? first);
  return new URL(`${tls ? 'https' : 'http'}://${hostPort(reached, port)}`);
}

/** True if `url` names a socket or an address of this machine, so that requests do not leave it. */
export function isLocalUrl(url: URL): boolean {
  if (socketOf(url) !== undefined) return true;
  const address = url.hostname === 'localhost' ? '127.0.0.1' : canonicalAddress(url.hostname);
  if (address === undefined) return false;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return isLoopback(address) || own.some((one) => canonicalAddress(one.address) === address);
}

/** The URL to call, with an address of the relay instead of a name, or the reason why it does not lead to the relay. */
export type RelayAt = { readonly url: URL } | { readonly problem: string };

/**
 * Checks whether a URL of this machine leads to the relay of a state directory. Any program could listen on the port of a stopped relay and
 * receive its admin token, so the relay itself reports its addresses over the socket in its directory (relay.lock). Never rejects.
 */
export async function relayAt(url: URL, dataDir: string, timeoutMs: number): Promise<RelayAt> {
  if (process.platform === 'win32') return { problem: 'Windows has no lock that identifies the relay; pass the token with --token' };
  try {
    const holder = await askLock(dataDir, timeoutMs);
    if (!holder) return { problem: `no relay runs on this state directory, so another program listens there; ${REMEDY}` };
    const { pid, listening } = holder;
    if (!listening) return { problem: `the relay (process ${pid}) does not report its addresses; is it starting, or an older version?` };
    const socketPath = socketOf(url);
    return socketPath === undefined ? overTcp(url, listening) : overSocket(url, socketPath, listening, dataDir);
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

const REMEDY = 'start the relay (co2 start), or select the right one with --url and --data, or pass a token with --token';

/** False if nothing listens there; true if something does or the answer is unknown. */
export function isListening(url: URL): Promise<boolean> {
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
  const samePort = addresses.filter((one) => one.port === port);
  // Different programs may listen on the two addresses of localhost, so the exact address is used.
  const found = address === undefined ? samePort.find((one) => isLocal(one.address)) : samePort.find((one) => covers(one.address, address));
  if (!found) return { problem: `the relay listens on ${listed(addresses)} instead; ${REMEDY}` };
  if (url.protocol !== `${scheme}:`) return { problem: `the relay uses ${scheme.toUpperCase()}; use ${scheme}:// in the URL` };
  const exact = new URL(url);
  // TLS needs the name for its certificate, which proves the identity.
  if (address === undefined && scheme === 'http')
    exact.hostname = bracketed(isUnspecified(found.address) ? LOOPBACK[family(found.address)] : found.address);
  return { url: exact };
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

function overSocket(url: URL, path: string, { unixSocket }: Listening, dataDir: string): RelayAt {
  if (unixSocket === undefined || realpathSync(path) !== realpathSync(unixSocket))
    return { problem: `the relay listens on ${unixSocket ?? 'no unix socket'} instead; ${REMEDY}` };
  // Another user may have replaced the socket in a shared directory.
  if (statSync(path).uid !== statSync(dataDir).uid) return { problem: 'the socket belongs to another user than the state directory' };
  return { url };
}

/** True if a server that listens on `listening` receives connections to `address`. */
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

/** Who sent a request: address, role, and whether its stamps are believed. */
import type { IncomingHttpHeaders } from 'node:http';
import { RelayError, addressBlock, isLoopback } from '../message/message.ts';
import type { Role, Standing } from '../relay/relay.ts';
import { clientAddress } from './client-address.ts';
import type { IsTrusted } from './client-address.ts';
import type { Presented } from './credentials.ts';
import type { LockOut } from './lock-out.ts';
import { both, readsOf } from './reads.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

export interface CallerRules {
  readonly isTrusted: IsTrusted;
  readonly presented: (authorization: string | undefined) => Presented;
  readonly isPeerAddress: (address: string) => boolean;
  /** What the peer at this address is configured to read. */
  readonly readByPeer: (address: string) => Extensions | undefined;
  readonly isSatelliteAddress: (address: string) => boolean;
  /** True for a connection over the unix socket. */
  readonly isUnix: (socket: object) => boolean;
  readonly lockOut: Pick<LockOut, 'lockedFor' | 'wrong'>;
}

/** What of a request says who sent it. */
export interface Asked {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };
}

const FORWARDING = ['x-forwarded-for', 'forwarded', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'] as const;

/**
 * Throws a RelayError NOT_AUTHENTICATED for a wrong credential, which is never passed over in favour of a weaker role, and RATE_LIMITED for any
 * credential from where too many were wrong.
 */
export function findCaller(request: Asked, rules: CallerRules): Standing {
  const isUnix = rules.isUnix(request.socket);
  const { remoteAddress = isUnix ? '127.0.0.1' : '', remotePort = 0 } = request.socket;
  const address = clientAddress(remoteAddress, headerOf(request, 'x-forwarded-for'), rules.isTrusted);
  if (address === undefined) throw new RelayError('FORBIDDEN', 'the proxy in front names no address for this request');
  // A proxy on this machine forwards for others: whoever comes through one is neither local nor a peer or satellite that runs here.
  const isForwarded = FORWARDING.some((name) => request.headers[name] !== undefined);
  const isHere = isLoopback(address);
  const isDirect = !(isHere && isForwarded);
  const isPeer = isDirect && !isUnix && rules.isPeerAddress(address);
  const place = isDirect ? addressBlock(address) : 'a proxy on this machine';
  const token = tokenRole(request.headers.authorization, rules, place, isHere && isDirect);
  const role = token ?? roleByAddress(address, { rules, isPeer, isDirect });
  let reads = readsOf(request);
  if (token) reads = both(reads, token.reads);
  if (isPeer) reads = both(reads, rules.readByPeer(address));
  return { role, address, port: remotePort, isDirect, isPeer, reads };
}

interface Seen {
  readonly rules: CallerRules;
  readonly isPeer: boolean;
  /** False if a proxy on this machine handed the request on. */
  readonly isDirect: boolean;
}

function roleByAddress(address: string, { rules, isPeer, isDirect }: Seen): Role {
  if (isPeer) return { kind: 'peer' };
  if (isDirect && rules.isSatelliteAddress(address)) return { kind: 'satellite' };
  return { kind: isDirect && isLoopback(address) ? 'local' : 'anonymous' };
}

type TokenRole = Extract<Presented, { readonly kind: 'token' }>;

/** The role of the presented token; undefined if there is none. */
function tokenRole(authorization: string | undefined, rules: CallerRules, place: string, isLocal: boolean): TokenRole | undefined {
  if (authorization === undefined) return undefined;
  const lockedMs = rules.lockOut.lockedFor(place);
  // On this machine a right one passes all the same: any user here could lock the operator out for ever, by guessing once a second.
  if (lockedMs > 0 && !isLocal) throw lockedOut(lockedMs);
  const presented = rules.presented(authorization);
  switch (presented.kind) {
    case 'none':
      return undefined;
    case 'token':
      return presented;
    case 'expired':
      throw new RelayError(
        'NOT_AUTHENTICATED',
        `the presented token '${presented.name}' has expired; have a new one made (co2 token create)`,
      );
    case 'wrong':
      if (lockedMs > 0) throw lockedOut(lockedMs);
      rules.lockOut.wrong(place);
      throw new RelayError('NOT_AUTHENTICATED', 'the presented token is wrong; the admin token lies in admin.token in the state directory');
  }
}

function lockedOut(retryAfterMs: number): RelayError {
  const text = `too many wrong credentials from this address: try again in ${Math.ceil(retryAfterMs / 1000)} s`;
  return new RelayError('RATE_LIMITED', text, { retryAfterMs });
}

function headerOf(request: Asked, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

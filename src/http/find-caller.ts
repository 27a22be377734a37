/** Who sent a request: address, role, and whether its stamps are believed. */
import type { IncomingHttpHeaders } from 'node:http';
import { RelayError } from '../core/core.ts';
import { addressBlock, canonicalAddress, isLoopback } from '../message/message.ts';
import type { Role, Principal, Presented, Lockout } from '../access/access.ts';
import { forwardedClient } from './client-address.ts';
import type { ClientPlace, IsTrusted, NoClient } from './client-address.ts';
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
  readonly lockOut: Pick<Lockout, 'lockedFor' | 'wrong'>;
}

/** What of a request says who sent it. */
export interface CallerRequest {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };
}

const FORWARDING = ['x-forwarded-for', 'forwarded', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'] as const;

/**
 * Throws a RelayError NOT_AUTHENTICATED for a wrong credential, which is never passed over in favour of a weaker role, and RATE_LIMITED for any
 * credential from where too many were wrong.
 */
export function findCaller(request: CallerRequest, rules: CallerRules): Principal {
  const isUnix = rules.isUnix(request.socket);
  const client = findClient(request, isUnix, rules.isTrusted);
  if ('problem' in client) throw new RelayError('FORBIDDEN', client.problem);
  const { address, port = 0 } = client;
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
  return { role, address, port, isDirect, isPeer, reads };
}

/** Whom the access log names: the client, or the socket where a trusted proxy does not say for whom it forwards. */
export function clientInLog(request: CallerRequest, { isTrusted, isUnix }: Pick<CallerRules, 'isTrusted' | 'isUnix'>): string {
  const client = findClient(request, isUnix(request.socket), isTrusted);
  const { remoteAddress = '-' } = request.socket;
  // Without a header the system's own spelling stays, and the unix socket has none.
  return 'problem' in client || !client.isForwarded ? remoteAddress : client.address;
}

/** Address and port of the client. A proxy that does not write down the port of its client leaves it unknown: the socket's is the proxy's. */
function findClient(
  { headers, socket }: CallerRequest,
  isUnix: boolean,
  isTrusted: IsTrusted,
): (ClientPlace & { isForwarded: boolean }) | NoClient {
  const { remoteAddress = isUnix ? '127.0.0.1' : '', remotePort } = socket;
  const address = canonicalAddress(remoteAddress);
  // The connection has ended already.
  if (address === undefined) return { problem: 'the connection has no address any more' };
  const forwarding = { forwardedFor: joined(headers['x-forwarded-for']), forwarded: joined(headers.forwarded) };
  const client = forwardedClient(address, forwarding, isTrusted);
  if (!client) return { address, port: remotePort, isForwarded: false };
  return 'problem' in client ? client : { ...client, isForwarded: true };
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

function joined(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(',') : value;
}

/** Finds who sent a request: address, role, and whether it is a peer. */
import type { IncomingHttpHeaders } from 'node:http';
import { RelayError } from '../core/core.ts';
import { addressBlock, canonicalAddress, isLoopback } from '../message/message.ts';
import { TLSSocket } from 'node:tls';
import type { Role, Principal, Presented, Lockout, SessionCall, TlsChannel } from '../access/access.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL, SESSION_HEADER, nodesIn } from '../identity/identity.ts';
import { forwardedClient } from './client-address.ts';
import type { ClientPlace, IsTrusted, NoClient } from './client-address.ts';
import { both, readsOf } from './reads.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

export interface CallerRules {
  readonly isTrusted: IsTrusted;
  readonly presented: (authorization: string | undefined) => Presented;
  readonly isPeerAddress: (address: string) => boolean;
  /** The session that made this header. Throws a RelayError NOT_AUTHENTICATED. */
  readonly sessionOf: (header: string) => SessionCall;
  /** The extensions that the peer at this address is configured to read. */
  readonly readByPeer: (address: string) => Extensions | undefined;
  readonly isSatelliteAddress: (address: string) => boolean;
  /** True for a connection over the unix socket. */
  readonly isUnix: (socket: object) => boolean;
  readonly lockOut: Pick<Lockout, 'lockedFor' | 'wrong'>;
}

/** The parts of a request that say who sent it. */
export interface CallerRequest {
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };
  /** True if the request is one that a session may make: a POST of XML to an endpoint for XML-RPC, which checks the body. */
  readonly maySession: boolean;
}

const FORWARDING = ['x-forwarded-for', 'forwarded', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'] as const;

/**
 * Throws a RelayError NOT_AUTHENTICATED for a wrong credential, which is never ignored in favour of a weaker role, and RATE_LIMITED for any
 * credential from an address that is locked out.
 */
export function findCaller(request: CallerRequest, rules: CallerRules): Principal {
  const isUnix = rules.isUnix(request.socket);
  const client = findClient(request, isUnix, rules.isTrusted);
  if ('problem' in client) throw new RelayError('FORBIDDEN', client.problem);
  const { address, port = 0 } = client;
  // A proxy on this machine forwards for others: its clients are not local, and neither peers nor satellites of this machine.
  const isForwarded = FORWARDING.some((name) => request.headers[name] !== undefined);
  const isHere = isLoopback(address);
  const isDirect = !(isHere && isForwarded);
  const session = sessionOf(request, rules);
  const isPeer = session?.isPeer === true || (isDirect && !isUnix && rules.isPeerAddress(address));
  const place = isDirect ? addressBlock(address) : 'a proxy on this machine';
  const token = tokenRole(request.headers.authorization, rules, place, isHere && isDirect);
  const role = token ?? roleByAddress(address, { rules, isPeer, isDirect });
  let reads = readsOf(request);
  if (token) reads = both(reads, token.reads);
  if (isPeer) reads = both(reads, rules.readByPeer(address));
  return { role, address, port, isDirect, isPeer, session, channel: tlsChannel(request.socket), reads };
}

function sessionOf({ headers, maySession }: CallerRequest, rules: CallerRules): SessionCall | undefined {
  const header = headers[SESSION_HEADER];
  if (header === undefined) return undefined;
  if (!maySession || typeof header !== 'string')
    throw new RelayError('NOT_AUTHENTICATED', `the header ${SESSION_HEADER} is for XML-RPC calls between relays only`);
  return rules.sessionOf(header);
}

/** The TLS connection of a socket; undefined if it is a plain one. */
function tlsChannel(socket: object): TlsChannel | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return {
    exporter: () => {
      try {
        return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
      } catch {
        // The connection has ended.
        return undefined;
      }
    },
    nodes: () => (socket.authorized ? nodesIn(socket.getPeerCertificate().subjectaltname) : []),
  };
}

/** The client in the access log, or the address of the socket if a trusted proxy does not name its client. */
export function clientInLog(
  request: Omit<CallerRequest, 'maySession'>,
  { isTrusted, isUnix }: Pick<CallerRules, 'isTrusted' | 'isUnix'>,
): string {
  const client = findClient(request, isUnix(request.socket), isTrusted);
  const { remoteAddress = '-' } = request.socket;
  // Keep the system's spelling if nothing was forwarded; the Unix socket has no address.
  return 'problem' in client || !client.isForwarded ? remoteAddress : client.address;
}

/** Address and port of the client. The port is unknown if a proxy does not name it, since the socket's port is the proxy's. */
function findClient(
  { headers, socket }: Pick<CallerRequest, 'headers' | 'socket'>,
  isUnix: boolean,
  isTrusted: IsTrusted,
): (ClientPlace & { isForwarded: boolean }) | NoClient {
  const { remoteAddress = isUnix ? '127.0.0.1' : '', remotePort } = socket;
  const address = canonicalAddress(remoteAddress);
  // The connection has ended already.
  if (address === undefined) return { problem: 'the connection has ended' };
  const forwarding = { forwardedFor: joined(headers['x-forwarded-for']), forwarded: joined(headers.forwarded) };
  const client = forwardedClient(address, forwarding, isTrusted);
  if (!client) return { address, port: remotePort, isForwarded: false };
  return 'problem' in client ? client : { ...client, isForwarded: true };
}

interface Seen {
  readonly rules: CallerRules;
  readonly isPeer: boolean;
  /** False if a proxy on this machine forwarded the request. */
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
  // A correct token from this machine passes anyway: otherwise any local user could lock the operator out by guessing.
  if (lockedMs > 0 && !isLocal) throw lockedOut(lockedMs);
  const presented = rules.presented(authorization);
  switch (presented.kind) {
    case 'none':
      return undefined;
    case 'token':
      return presented;
    case 'expired':
      throw new RelayError('NOT_AUTHENTICATED', `the presented token '${presented.name}' has expired; create a new one (co2 token create)`);
    case 'wrong':
      if (lockedMs > 0) throw lockedOut(lockedMs);
      rules.lockOut.wrong(place);
      throw new RelayError('NOT_AUTHENTICATED', 'the presented token is wrong; the admin token is in admin.token in the state directory');
  }
}

function lockedOut(retryAfterMs: number): RelayError {
  const text = `too many wrong credentials from this address: try again in ${Math.ceil(retryAfterMs / 1000)} s`;
  return new RelayError('RATE_LIMITED', text, { retryAfterMs });
}

function joined(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(',') : value;
}

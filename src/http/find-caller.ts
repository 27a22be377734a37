/** Who sent a request: address, role, and whether its stamps are believed. */
import type { FastifyRequest } from 'fastify';
import { RelayError, isLoopback } from '../message/message.ts';
import type { Caller, Role } from '../relay/relay.ts';
import { clientAddress } from './client-address.ts';
import type { IsTrusted } from './client-address.ts';
import type { Presented } from './credentials.ts';

export interface CallerRules {
  readonly isTrusted: IsTrusted;
  readonly presented: (authorization: string | undefined) => Presented;
  readonly isPeerAddress: (address: string) => boolean;
  readonly isSatelliteAddress: (address: string) => boolean;
  /** True for a connection over the unix socket. */
  readonly isUnix: (socket: object) => boolean;
}

const FORWARDING = ['x-forwarded-for', 'forwarded', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'] as const;

/** Throws a RelayError NOT_AUTHENTICATED for a wrong credential: it is never passed over in favour of a weaker role. */
export function findCaller(request: FastifyRequest, rules: CallerRules, reading: Pick<Caller, 'sourceOf' | 'requireWritable'>): Caller {
  const isUnix = rules.isUnix(request.socket);
  const { remoteAddress = isUnix ? '127.0.0.1' : '', remotePort = 0 } = request.socket;
  const address = clientAddress(remoteAddress, headerOf(request, 'x-forwarded-for'), rules.isTrusted);
  if (address === undefined) throw new RelayError('FORBIDDEN', 'the proxy in front names no address for this request');
  // A proxy on this machine forwards for others: whoever comes through one is neither local nor a peer or satellite that runs here.
  const isForwarded = FORWARDING.some((name) => request.headers[name] !== undefined);
  const isHere = isLoopback(address);
  const isDirect = !(isHere && isForwarded);
  const isPeer = isDirect && !isUnix && rules.isPeerAddress(address);
  const role = presentedRole(request, rules) ?? roleByAddress(address, { rules, isPeer, isDirect });
  return { role, address, port: remotePort, isPeer, ...reading };
}

function presentedRole(request: FastifyRequest, rules: CallerRules): Role | undefined {
  const presented = rules.presented(request.headers.authorization);
  if (presented === 'wrong') {
    throw new RelayError('NOT_AUTHENTICATED', 'the presented token is wrong; the admin token lies in admin.token in the state directory');
  }
  return presented === 'admin' ? { kind: 'token', name: 'admin' } : undefined;
}

interface Standing {
  readonly rules: CallerRules;
  readonly isPeer: boolean;
  /** False if a proxy on this machine handed the request on. */
  readonly isDirect: boolean;
}

function roleByAddress(address: string, { rules, isPeer, isDirect }: Standing): Role {
  if (isPeer) return { kind: 'peer' };
  if (isDirect && rules.isSatelliteAddress(address)) return { kind: 'satellite' };
  return { kind: isDirect && isLoopback(address) ? 'local' : 'anonymous' };
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

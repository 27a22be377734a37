/** Who makes a request: role, address, and what follows from them. Determined once per request, before its body is read. */
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import type { Permission } from './grants.ts';

/**
 * `token` presented a right credential, whose `id` tells it from others that had its name; `peer` has an address of `peers`; `satellite` an address that one registered from without a token; `local` is on this machine;
 * `anonymous` is anybody else. `plugin` is code of a satellite here: in this process, without a door, or a program that the relay started.
 */
export type Role =
  | { readonly kind: 'token'; readonly name: string; readonly id: string; readonly may: Permission }
  | { readonly kind: 'peer' }
  | { readonly kind: 'satellite' }
  | { readonly kind: 'local' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'plugin'; readonly name: string };

/** What a door knows of a caller before it reads what that says. */
export interface Principal {
  readonly role: Role;
  /** Canonical address: the socket's, or what a trusted proxy says. */
  readonly address: string;
  readonly port: number;
  /** False if a proxy on this machine, which is not trusted, handed the call on: `address` is the proxy's, and says nothing of who calls. */
  readonly isDirect: boolean;
  /** True if the address is one of a configured peer, whatever the role: such a caller's `co2` stamp is believed. */
  readonly isPeer: boolean;
  /** The extensions that the caller says it reads, whatever its call uses. Undefined: it says nothing. */
  readonly reads?: Extensions | undefined;
  /** Aborted when the connection closes before its answer is out; for what waits long. Undefined where nobody looks. */
  readonly gone?: AbortSignal | undefined;
}

/** The caller in words, for a log line or a fault. */
export function describeCaller({ role, address }: Principal): string {
  if (role.kind === 'plugin') return role.name;
  return role.kind === 'token' ? `token ${role.name} at ${address}` : `${role.kind} caller ${address}`;
}

/** Who calls: found once by a door, then handed along with the call. */
import type { Dict, Permission } from '../message/message.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

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
export interface Standing {
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

/** A caller with its call. */
export interface Caller extends Standing {
  /** The XML of a struct among the parameters in UTF-8, as it came, in memory of its own. */
  readonly sourceOf: (dict: Dict) => Buffer | undefined;
  /** True if the call held an integer of 64 bits: whole numbers beyond 32 bits are passed on as such. */
  readonly usesI8?: boolean | undefined;
}

/** The caller of a call that a door has read. Named one by one: a spread takes Node 20 as long as a small call takes to be read. */
export function callerOf(
  { role, address, port, isDirect, isPeer, reads, gone }: Standing,
  sourceOf: Caller['sourceOf'],
  usesI8 = false,
): Caller {
  return { role, address, port, isDirect, isPeer, reads, gone, sourceOf, usesI8 };
}

/** The caller in words, for a log line or a fault. */
export function describeCaller({ role, address }: Standing): string {
  if (role.kind === 'plugin') return role.name;
  return role.kind === 'token' ? `token ${role.name} at ${address}` : `${role.kind} caller ${address}`;
}

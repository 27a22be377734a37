/**
 * Callers and their rights. The caller is determined once per request, before its body is read; its right is checked once per call.
 */
import { RelayError, clean } from '../core/core.ts';
import type { AccessClass } from '../core/core.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import { permissionOf } from './grants.ts';
import type { Permission } from './grants.ts';
import type { AccessOptions, RoleGrant } from './options.ts';

/**
 * - `token`: presented a valid token; `id` distinguishes tokens that had the same name.
 * - `peer`: a relay that has proved to be a trusted node, or calls from the address of a peer that cannot prove it.
 * - `satellite`: calls from an address that a satellite registered from without a token.
 * - `local`: calls from this machine.
 * - `plugin`: code of a local satellite, in this process or in a program that the relay started.
 * - `anonymous`: anyone else.
 */
export type Role =
  | { readonly kind: 'token'; readonly name: string; readonly id: string; readonly may: Permission }
  | { readonly kind: 'peer'; readonly node?: CallingNode | undefined }
  | { readonly kind: 'satellite' }
  | { readonly kind: 'local' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'plugin'; readonly name: string };

/** A node of the mesh that calls, over any number of relays. */
export interface CallingNode {
  readonly id: string;
  /** '' if it has none. */
  readonly nick: string;
  /** For whom it calls, as it says; '' if for itself. */
  readonly as: string;
  /** The rights of whom it calls for: the call needs them too, so that nobody gets more rights by a detour. */
  readonly classes: readonly AccessClass[];
}

/** A request of a session that another relay has proved (`relay.hello`). */
export interface SessionCall {
  /** The id of the node that sent it. */
  readonly node: string;
  /** The number of its start. */
  readonly epoch: number;
  /** Which start it is, 64 random bits in hex. */
  readonly instance: string;
  /** True if that node is trusted as a peer. */
  readonly isPeer: boolean;
  /** The host_ids that the node has, as it says. */
  readonly hostIds: readonly string[];
  /**
   * Checks that this is the body that the node sent, and that it has not been here before; until then the request is only a claim. Throws a
   * RelayError NOT_AUTHENTICATED.
   */
  accept(body: Uint8Array): void;
  /** The header that proves the answer; undefined before {@link accept}. */
  seal(answer: Uint8Array): string | undefined;
}

/** What is known of the TLS connection of a request. */
export interface TlsChannel {
  /** A value that only the two ends of this connection know (RFC 5705); undefined if it cannot be had. */
  exporter(): Buffer | undefined;
  /** The nodes that the verified certificate of the client names. */
  nodes(): readonly string[];
}

/** What an endpoint knows about a caller before it reads the body. */
export interface Principal {
  readonly role: Role;
  /** Canonical address: the socket's, or the one that a trusted proxy states. */
  readonly address: string;
  readonly port: number;
  /** False if an untrusted proxy on this machine forwarded the call: `address` is then the proxy's and does not identify the caller. */
  readonly isDirect: boolean;
  /**
   * True for a relay that has proved to be a trusted node, and for the address of a configured peer that cannot prove it, whatever the
   * role: the `co2` stamp of such a caller is trusted.
   */
  readonly isPeer: boolean;
  /** The proven session by which the request came. Default: none. */
  readonly session?: SessionCall | undefined;
  /** The TLS connection by which it came. Undefined over plain HTTP. */
  readonly channel?: TlsChannel | undefined;
  /** The extensions that the caller is known to read, whatever its call uses. Undefined: unknown. */
  readonly reads?: Extensions | undefined;
  /** Aborted when the connection closes before the answer is sent; for long waits. Undefined where it is not observed. */
  readonly gone?: AbortSignal | undefined;
}

/** Describes the caller for a log line or a fault. */
export function describeCaller({ role, address }: Principal): string {
  if (role.kind === 'plugin') return role.name;
  if (role.kind === 'peer' && role.node) return describeNode(role.node);
  return role.kind === 'token' ? `token ${role.name} at ${address}` : `${role.kind} caller ${address}`;
}

function describeNode({ id, nick, as }: CallingNode): string {
  const name = nick === '' ? id : `${clean(nick, 60)} (${id})`;
  return as === '' ? `node ${name}` : `node ${name} for ${clean(as, 100)}`;
}

/** The rights of each role, compiled once per start; a token carries its own. */
export class Access {
  readonly #roles: Readonly<Record<Exclude<Role['kind'], 'token'>, Permission>>;

  constructor({ anonymous, local, peer, satellite }: Omit<AccessOptions['access'], 'tokens'>) {
    this.#roles = {
      // A list adds to what anonymous callers may do anyway; `{classes, methods}` is taken literally.
      anonymous: compile('classes' in anonymous ? anonymous : ['read', ...anonymous]),
      local: compile(local),
      peer: compile(peer),
      satellite: compile(satellite),
      // Code in this process could do anything anyway; admin is reserved for people.
      plugin: compile(['read', 'message', 'call']),
    };
  }

  /** True if the caller has the right `admin`. */
  isAdmin(caller: Principal): boolean {
    const { role } = caller;
    if (role.kind === 'peer' && role.node && !role.node.classes.includes('admin')) return false;
    return this.#permissionOf(caller).classes.has('admin');
  }

  /** The classes of methods that the caller may call. */
  classesOf(caller: Principal): readonly AccessClass[] {
    return [...this.#permissionOf(caller).classes];
  }

  /** Throws a RelayError FORBIDDEN that names the missing right and how to get it. */
  check(caller: Principal, method: string, needed: AccessClass): void {
    const { role } = caller;
    const may = this.#permissionOf(caller);
    if (role.kind === 'peer' && role.node && !role.node.classes.includes(needed))
      throw new RelayError('FORBIDDEN', `${method} needs the right '${needed}', which ${describeNode(role.node)} does not have there`);
    if (!may.classes.has(needed)) {
      const text = `${method} needs the right '${needed}', which ${subjectOf(role)} ${role.kind === 'anonymous' ? 'do' : 'does'} not have; ${remedy(role, needed)}`;
      throw new RelayError('FORBIDDEN', text);
    }
    this.requireCovered(caller, method, needed);
  }

  /** Throws a RelayError FORBIDDEN unless the names of the methods that the caller may call include this one. */
  requireCovered(caller: Principal, method: string, needed: AccessClass = 'call'): void {
    const { role } = caller;
    const may = this.#permissionOf(caller);
    if (may.covers(method)) return;
    const few = may.methods.slice(0, 10).join(', ');
    throw new RelayError(
      'FORBIDDEN',
      `${method} is not among the methods that ${subjectOf(role)} may call (${few}); ${remedy(role, needed)}`,
    );
  }

  #permissionOf({ role }: Principal): Permission {
    return role.kind === 'token' ? role.may : this.#roles[role.kind];
  }
}

function compile(grant: RoleGrant): Permission {
  return permissionOf(
    'classes' in grant ? { classes: grant.classes, methods: grant.methods ?? ['*'] } : { classes: grant, methods: ['*'] },
  );
}

function subjectOf(role: Role): string {
  if (role.kind === 'token') return `the token '${role.name}'`;
  return role.kind === 'anonymous' ? 'callers from other machines' : `a ${role.kind} caller`;
}

function remedy(role: Role, needed: AccessClass): string {
  if (role.kind === 'token') return 'present a token that has it, or create one (co2 token create)';
  const grant = role.kind === 'anonymous' && needed !== 'admin' ? `, or the operator adds '${needed}' to access.anonymous` : '';
  return `present a token (Authorization: Bearer)${grant}`;
}

/** Who may call what: decided once per call, before the method is run. */
import { RelayError } from '../message/message.ts';
import type { Caller, Role } from './caller.ts';
import type { AccessClass, RelayOptions } from './options.ts';

const EVERYTHING: ReadonlySet<AccessClass> = new Set(['read', 'message', 'call', 'admin']);
const NEIGHBOURLY: ReadonlySet<AccessClass> = new Set(['read', 'message', 'call']);

/** The classes of each role, made once per start. */
export class Access {
  readonly #anonymous: ReadonlySet<AccessClass>;

  constructor(options: RelayOptions['access']) {
    this.#anonymous = new Set<AccessClass>(['read', ...options.anonymous]);
  }

  /** Throws a RelayError FORBIDDEN that names the right that is missing and how to get it. */
  check(caller: Caller, method: string, needed: AccessClass): void {
    if (this.#classesOf(caller.role).has(needed)) return;
    throw new RelayError(
      'FORBIDDEN',
      `${method} needs the right '${needed}', which ${whom(caller.role)} not have; ${remedy(caller.role, needed)}`,
    );
  }

  #classesOf(role: Role): ReadonlySet<AccessClass> {
    switch (role.kind) {
      case 'token':
        return EVERYTHING;
      case 'anonymous':
        return this.#anonymous;
      case 'peer':
      case 'satellite':
      case 'local':
      case 'plugin':
        return NEIGHBOURLY;
    }
  }
}

function whom(role: Role): string {
  return role.kind === 'anonymous' ? 'callers from other machines do' : `a ${role.kind} caller does`;
}

function remedy(role: Role, needed: AccessClass): string {
  const grant = role.kind === 'anonymous' && needed !== 'admin' ? `, or the operator adds '${needed}' to access.anonymous` : '';
  return `present a token (Authorization: Bearer)${grant}`;
}

/** Who may call what: decided once per call, before the method is run. */
import { RelayError } from '../core/core.ts';
import { permissionOf } from './grants.ts';
import type { Permission } from './grants.ts';
import type { AccessClass } from '../core/core.ts';
import type { Role, Principal } from './principal.ts';
import type { AccessOptions, RoleGrant } from './options.ts';

type NamelessRole = Exclude<Role['kind'], 'token'>;

/** The rights of each role, compiled once per start; a token brings its own. */
export class Access {
  readonly #roles: Readonly<Record<NamelessRole, Permission>>;

  constructor({ anonymous, local, peer, satellite }: Omit<AccessOptions['access'], 'tokens'>) {
    this.#roles = {
      // A list adds to what strangers may anyway; who writes `{classes, methods}` means exactly that.
      anonymous: compile('classes' in anonymous ? anonymous : ['read', ...anonymous]),
      local: compile(local),
      peer: compile(peer),
      satellite: compile(satellite),
      // Code that runs in this process could do as it likes anyway; admin stays a thing of people.
      plugin: compile(['read', 'message', 'call']),
    };
  }

  /** Throws a RelayError FORBIDDEN that names the right that is missing and how to get it. */
  check({ role }: Principal, method: string, needed: AccessClass): void {
    const may = role.kind === 'token' ? role.may : this.#roles[role.kind];
    if (!may.classes.has(needed)) {
      const text = `${method} needs the right '${needed}', which ${whom(role)} ${role.kind === 'anonymous' ? 'do' : 'does'} not have; ${remedy(role, needed)}`;
      throw new RelayError('FORBIDDEN', text);
    }
    if (!may.covers(method)) {
      const few = may.methods.slice(0, 10).join(', ');
      throw new RelayError('FORBIDDEN', `${method} is none of the methods that ${whom(role)} may call (${few}); ${remedy(role, needed)}`);
    }
  }
}

function compile(grant: RoleGrant): Permission {
  return permissionOf(
    'classes' in grant ? { classes: grant.classes, methods: grant.methods ?? ['*'] } : { classes: grant, methods: ['*'] },
  );
}

function whom(role: Role): string {
  if (role.kind === 'token') return `the token '${role.name}'`;
  return role.kind === 'anonymous' ? 'callers from other machines' : `a ${role.kind} caller`;
}

function remedy(role: Role, needed: AccessClass): string {
  if (role.kind === 'token') return 'present another token, or have one made (co2 token create)';
  const grant = role.kind === 'anonymous' && needed !== 'admin' ? `, or the operator adds '${needed}' to access.anonymous` : '';
  return `present a token (Authorization: Bearer)${grant}`;
}

/** Who began something that goes on after the call: a unit of work, or a command. */
import { clean } from '../core/core.ts';
import { describeCaller } from './roles.ts';
import type { Principal } from './roles.ts';

/** Who submitted something. Only they, and admins, see it. */
export interface Submitter {
  /** `token:ci`, `plugin:ham.spam`, `local`. */
  readonly id: string;
  /** For people: `token ci at 192.0.2.1`. */
  readonly text: string;
}

/** Everybody with the same token, the same plugin, every program of this machine without a token, or one address. */
export function submitterOf(caller: Principal): Submitter {
  const { role, address } = caller;
  const text = clean(describeCaller(caller), 200);
  if (role.kind === 'token' || role.kind === 'plugin') return { id: `${role.kind}:${role.name}`, text };
  return { id: role.kind === 'local' ? 'local' : `${role.kind}:${address}`, text };
}

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

/** The node of the mesh that calls for itself, whose identity is proven; undefined for other callers, and for what it calls for others. */
export function nodeOf({ role, session }: Principal): string | undefined {
  if (role.kind !== 'peer') return undefined;
  if (role.node) return role.node.as === '' ? role.node.id : undefined;
  return session?.node;
}

/**
 * Everybody with the same token, the same plugin, every program of this machine without a token, the same node, the same caller of a node
 * as it describes them, or one address.
 */
export function submitterOf(caller: Principal): Submitter {
  const { role, address } = caller;
  const node = nodeOf(caller);
  if (node !== undefined) return submitterAt(node);
  const text = clean(describeCaller(caller), 200);
  if (role.kind === 'token' || role.kind === 'plugin') return { id: `${role.kind}:${role.name}`, text };
  if (role.kind === 'peer' && role.node) return { id: `node-caller:${role.node.id}:${role.node.as}`, text };
  return { id: role.kind === 'local' ? 'local' : `${role.kind}:${address}`, text };
}

/** Everybody at another node. `there`: who that was, as that node says. */
export function submitterAt(node: string, there = ''): Submitter {
  return { id: `node:${node}`, text: clean(there === '' ? `node ${node}` : `${there} at node ${node}`, 300) };
}

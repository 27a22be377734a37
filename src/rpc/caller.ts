/** A caller together with its call: what methods may know of who calls them. */
import { permissionOf } from '../access/access.ts';
import type { Principal } from '../access/access.ts';
import { ACCESS_CLASSES } from '../core/core.ts';
import type { Identity } from '../message/message.ts';
import type { Dict, ExactOf } from '../values/values.ts';

export interface Caller extends Principal {
  /** The XML of a struct among the parameters as it arrived, in UTF-8 and in memory of its own; undefined if it did not arrive as XML. */
  readonly sourceOf: (dict: Dict) => Buffer | undefined;
  /** Part of the parameters with the types that its numbers had in the call. */
  readonly exactOf: ExactOf;
}

/** Joins a principal with its call. Members are named one by one, since a spread takes Node 20 as long as reading a small call. */
export function callerOf(
  { role, address, port, isDirect, isPeer, session, channel, reads, gone }: Principal,
  sourceOf: Caller['sourceOf'],
  exactOf: ExactOf,
): Caller {
  return { role, address, port, isDirect, isPeer, session, channel, reads, gone, sourceOf, exactOf };
}

/** A satellite of a plugin as a caller: at the address of this relay. */
export function pluginCaller(name: string, { address, port }: Identity, exactOf: ExactOf): Caller {
  return callerOf({ role: { kind: 'plugin', name }, address, port, isDirect: true, isPeer: false }, () => undefined, exactOf);
}

const EVERYTHING = permissionOf({ classes: ACCESS_CLASSES, methods: ['*'] });

/** The program that runs this relay as a caller: at the address of the relay, with the rights of the admin token. */
export function programCaller({ address, port }: Identity, exactOf: ExactOf): Caller {
  const role = { kind: 'token', name: 'admin', id: 'admin', may: EVERYTHING } as const;
  return callerOf({ role, address, port, isDirect: true, isPeer: false }, () => undefined, exactOf);
}

/** Who calls: found once by a door, then handed along with the call. */
import type { Dict } from '../values/values.ts';
import type { Principal } from '../access/access.ts';

/** A caller with its call. */
export interface Caller extends Principal {
  /** The XML of a struct among the parameters in UTF-8, as it came, in memory of its own. */
  readonly sourceOf: (dict: Dict) => Buffer | undefined;
  /** True if the call held an integer of 64 bits: whole numbers beyond 32 bits are passed on as such. */
  readonly usesI8?: boolean | undefined;
}

/** The caller of a call that a door has read. Named one by one: a spread takes Node 20 as long as a small call takes to be read. */
export function callerOf(
  { role, address, port, isDirect, isPeer, reads, gone }: Principal,
  sourceOf: Caller['sourceOf'],
  usesI8 = false,
): Caller {
  return { role, address, port, isDirect, isPeer, reads, gone, sourceOf, usesI8 };
}

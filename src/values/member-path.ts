/** How an error text names a part of a value. */
import { clean } from '../core/core.ts';

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

/** The place of a member: `result.data`, or `result["odd name"]`. */
export function memberPath(place: string, name: string): string {
  return IDENTIFIER.test(name) ? `${place}.${name}` : `${place}[${JSON.stringify(clean(name, 40))}]`;
}

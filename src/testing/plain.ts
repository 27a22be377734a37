/** Converts received values for comparison with literals. */
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';

/**
 * `value` with its structs as plain objects, which assert.deepEqual finds equal to literals; a received struct has no prototype.
 * Recursion is bounded, since the parser rejects anything deeper than 64.
 */
export function plain(value: Value): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map(plain);
  if (!isDict(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

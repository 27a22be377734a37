/** Paths to parts of a value, for error texts. */
import { clean } from '../core/core.ts';

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

/** The path of a member: `result.data` or `result["odd name"]`. */
export function memberPath(path: string, name: string): string {
  return IDENTIFIER.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(clean(name, 40))}]`;
}

/** What a fault between the relay and a child means. */
import { ERRORS, Fault, RelayError } from '../../core/core.ts';
import type { ErrorCode } from '../../core/core.ts';

// Two codes share the number 403: the one that a method answers more often comes first in the table.
const CODES = new Map<number, ErrorCode>(
  (Object.entries(ERRORS) as [ErrorCode, { fault: number }][]).reverse().map(([code, { fault }]) => [fault, code]),
);

/** What a fault between a child and its relay was before it was written: an error of the relay by its number, else the Fault of a plugin. */
export function errorOf(code: number, text: string): RelayError | Fault {
  const known = CODES.get(code);
  // Whoever wrote it has logged it.
  if (known !== undefined) return new RelayError(known, text, { isLogged: true });
  try {
    return new Fault(code, text);
  } catch {
    return new RelayError('APPLICATION', text);
  }
}

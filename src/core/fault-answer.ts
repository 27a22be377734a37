/** From anything thrown to the code and text of a fault; what must not leave the machine stays in the log. */
import { randomBytes } from 'node:crypto';
import { ERRORS, Fault, RelayError, reasonOf } from './errors.ts';
import type { Log } from './log.ts';
import { clean } from './text.ts';

export interface FaultAnswer {
  readonly code: number;
  readonly text: string;
}

/**
 * The fault for `error`, thrown while `method` ran. The texts of RelayError and Fault go out; of any other error only an id, under which
 * the log has
 * the whole: its text may hold paths or data of the machine.
 */
export function faultFor(error: unknown, method: string, log: Log): FaultAnswer {
  if (Fault.is(error)) return { code: error.code, text: error.message };
  if (RelayError.is(error) && (error.code === 'FORBIDDEN' || error.isForCaller))
    log.debug(`refused ${clean(method, 100)}: ${error.message}`);
  if (RelayError.is(error) && (error.code !== 'INTERNAL' || error.isLogged || error.isForCaller))
    return { code: error.fault, text: error.message };
  const id = randomBytes(4).toString('hex');
  tell(log, `error ${id} in ${clean(method, 100)}:`, error);
  if (RelayError.is(error)) return { code: error.fault, text: `${error.message} (error ${id})` };
  const text = `${clean(method, 100)} failed (error ${id}); the relay's log has the reason under this id`;
  return { code: ERRORS.APPLICATION.fault, text };
}

/** With all that can be shown of the error: what a plugin threw may throw when somebody looks at it. */
function tell(log: Log, text: string, error: unknown): void {
  try {
    log.error(text, error);
  } catch {
    log.error(`${text} ${clean(reasonOf(error))}`);
  }
}

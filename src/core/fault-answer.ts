/** Turns a thrown value into the code and text of a fault; details that must not leave the machine go to the log. */
import { randomBytes } from 'node:crypto';
import { ERRORS, Fault, RelayError, reasonOf } from './errors.ts';
import type { Log } from './log.ts';
import { clean } from './text.ts';

/** The contents of a fault. */
export interface FaultAnswer {
  readonly code: number;
  readonly text: string;
}

/**
 * The fault for `error`, thrown while `method` ran. The texts of RelayError and Fault are sent. Any other error may contain paths or data
 * of the machine, so only an id is sent, under which the log has the error.
 */
export function faultFor(error: unknown, method: string, log: Log): FaultAnswer {
  if (Fault.is(error)) return { code: error.code, text: error.message };
  if (RelayError.is(error) && (error.code === 'FORBIDDEN' || error.isForCaller))
    log.debug(`refused ${clean(method, 100)}: ${error.message}`);
  if (RelayError.is(error) && (error.code !== 'INTERNAL' || error.isLogged || error.isForCaller))
    return { code: error.fault, text: error.message };
  const id = errorId();
  logError(log, `error ${id} in ${clean(method, 100)}:`, error);
  if (RelayError.is(error)) return { code: error.fault, text: `${error.message} (error ${id})` };
  const text = `${clean(method, 100)} failed (error ${id}); the relay's log has the reason under this id`;
  return { code: ERRORS.APPLICATION.fault, text };
}

/** A new id under which the log has what a fault does not say. */
export function errorId(): string {
  return randomBytes(4).toString('hex');
}

/** Logs all details if possible: inspecting an error of a plugin may throw. */
function logError(log: Log, text: string, error: unknown): void {
  try {
    log.error(text, error);
  } catch {
    log.error(`${text} ${clean(reasonOf(error))}`);
  }
}

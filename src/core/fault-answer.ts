/** Turns errors into faults and back. Details that must not leave the machine go to the log. */
import { randomBytes } from 'node:crypto';
import { ERRORS, Fault, RelayError, reasonOf } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import type { Log } from './log.ts';
import { clean } from './text.ts';

/**
 * The fault with which a child answers what a method threw: its text is the reason, with the place in the plugin's code. Only the relay
 * reads it, which reports it under an id.
 */
export const THROWN = -32_400;

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

// Two codes share the number 403: the one that a method answers more often comes first in the table.
const CODES = new Map<number, ErrorCode>(
  (Object.entries(ERRORS) as [ErrorCode, { fault: number }][]).reverse().map(([code, { fault }]) => [fault, code]),
);

/**
 * The error that a relay, or a child of it, wrote as this fault: a RelayError if the number is one of the relay's, else the Fault of a
 * plugin.
 */
export function errorFromFault(code: number, text: string, isLogged = true): Error {
  if (code === THROWN) return new Error(text);
  const known = CODES.get(code);
  // The process that wrote the fault has logged the error.
  if (known !== undefined) return new RelayError(known, text, { isLogged });
  try {
    return new Fault(code, text);
  } catch {
    return new RelayError('APPLICATION', text);
  }
}

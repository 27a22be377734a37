/** How a program is called, whichever way it chose. */
import { Fault, RelayError, clean, ERRORS } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import type { ErrorCode } from '../../core/core.ts';

/** A call on its way to a program, as bytes for who has a server, as values for who fetches its calls. */
export interface ProgramRequest {
  readonly method: string;
  readonly params: () => readonly Sendable[];
  /** The whole call as XML-RPC, written in this way, or as it came. Throws a RelayError if it cannot be written so. */
  readonly body: (writing?: WriteOptions) => Buffer;
}

export interface ProgramTransport {
  /**
   * Calls, and answers the result; `timeoutMs` is for the answer. Rejects with a Fault or a RelayError if the program answers a fault
   * ({@link faultOf}); with a RelayError TIMEOUT if it does not answer in time,
   * TRANSPORT if it cannot be reached, RATE_LIMITED if too many calls are under way.
   */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value>;
  /** The same, with a result that is to be handed on: a double that is whole stays one, and so does a small integer of 64 bits. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable>;
  /** Resolves if there is a sign of life within the time; rejects as `send` does. */
  ping(timeoutMs: number): Promise<void>;
  /** Calls that are under way reject, and so do later ones. */
  close(): Promise<void>;
}

/** ms that the end of a process may be seen after that of its connections. */
export const DEATH_MS = 1_000;

/** Calls that run or wait at once, for one program; protects the relay's memory from one that is slow. */
export const MAX_CALLS = 1_000;

/** A call with parameters that are values; with `wideInts`, whole numbers beyond 32 bits are integers of 64 bits. */
export function requestOf(method: string, params: readonly Sendable[], wideInts = false): ProgramRequest {
  return { method, params: () => params, body: (writing) => serialiseCall(method, params, { nil: true, i8: true, wideInts, ...writing }) };
}

const NO_SUCH_METHOD = -32601;
const INVALID_PARAMS = -32602;

/** What a fault of a program means for who called: its own as it stands, one that XML-RPC reserves as an error of ours. */
export function faultOf(plugin: string, code: number, text: string): Fault | RelayError {
  if (code === NO_SUCH_METHOD) return new RelayError('NO_SUCH_METHOD', `${plugin} does not know this method: ${clean(text)}`);
  if (code === INVALID_PARAMS) return new RelayError('INVALID_PARAMS', `${plugin}: ${clean(text)}`);
  try {
    return new Fault(code, text);
  } catch {
    return new RelayError('APPLICATION', `${plugin} answered fault ${code}: ${clean(text)}`);
  }
}

// Two codes share the number 403: the one that a method answers more often comes first in the table.
const CODES = new Map<number, ErrorCode>(
  (Object.entries(ERRORS) as [ErrorCode, { fault: number }][]).reverse().map(([code, { fault }]) => [fault, code]),
);

/**
 * What a fault between a child and its relay was before it was written: an error of the relay by its number, else the Fault of a plugin.
 */
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

/** What the two transports have in common by which the relay calls a program: HTTP, and calls that the program fetches. */
import { Fault, RelayError, clean } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';

/** A call to a program: as bytes for a program with a server, as values for one that fetches its calls. */
export interface ProgramRequest {
  readonly method: string;
  readonly params: () => readonly Sendable[];
  /** The call as an XML-RPC document, written in this way, or as it came. Throws a RelayError if it cannot be written so. */
  readonly body: (writing?: WriteOptions) => Buffer;
}

export interface ProgramTransport {
  /**
   * Calls the program and resolves to the result. Rejects with a Fault or a RelayError if the program answers a fault ({@link faultOf}),
   * with a RelayError TIMEOUT if it does not answer within `timeoutMs`, TRANSPORT if it cannot be reached, RATE_LIMITED if too many calls
   * are under way.
   */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value>;
  /** As `send`, for a result that is passed on: it keeps the types of whole doubles and of small 64-bit integers. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable>;
  /** Resolves if there is a sign of life within the time; rejects as `send` does. */
  ping(timeoutMs: number): Promise<void>;
  /** Rejects the calls that are under way, and all later ones. */
  close(): Promise<void>;
}

/** ms by which the end of a process may be noticed later than the end of its connections. */
export const DEATH_MS = 1_000;

/** Calls of one program that may run or wait at a time; protects the relay's memory from a slow program. */
export const MAX_CALLS = 1_000;

/** A call with these parameters. */
export function requestOf(method: string, params: readonly Sendable[]): ProgramRequest {
  return { method, params: () => params, body: (writing) => serialiseCall(method, params, { nil: true, i8: true, ...writing }) };
}

const NO_SUCH_METHOD = -32601;
const INVALID_PARAMS = -32602;

/** The error for a caller when a program answers a fault: the fault itself, or a RelayError for the codes that XML-RPC reserves. */
export function faultOf(plugin: string, code: number, text: string): Fault | RelayError {
  if (code === NO_SUCH_METHOD) return new RelayError('NO_SUCH_METHOD', `${plugin} does not have this method: ${clean(text)}`);
  if (code === INVALID_PARAMS) return new RelayError('INVALID_PARAMS', `${plugin}: ${clean(text)}`);
  try {
    return new Fault(code, text);
  } catch {
    return new RelayError('APPLICATION', `${plugin} answered fault ${code}: ${clean(text)}`);
  }
}

/** The interface of the two transports to a program (HTTP, and polling by the program), and what they share. */
import { Fault, RelayError, clean } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';

/** A call to a program: bytes for a program with a server, values for one that polls. */
export interface ProgramRequest {
  readonly method: string;
  readonly params: () => readonly Sendable[];
  /** Encodes the call as an XML-RPC document, by default with all types. Throws a RelayError if `writing` does not allow that. */
  readonly body: (writing?: WriteOptions) => Buffer;
}

export interface ProgramTransport {
  /**
   * Calls the program and resolves to the result. Rejects with a Fault or a RelayError if the program answers a fault ({@link faultOf}),
   * with a RelayError TIMEOUT if it does not answer within `timeoutMs`, TRANSPORT if it cannot be reached, RATE_LIMITED if too many calls
   * are in flight.
   */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value>;
  /** As `send`, for a result that is forwarded: it keeps the types of whole doubles and of small 64-bit integers. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable>;
  /** Resolves if there is a sign of life within `timeoutMs`; rejects as `send` does. */
  ping(timeoutMs: number): Promise<void>;
  /** Rejects the calls in flight and all later ones. */
  close(): Promise<void>;
}

/** The exit of a process may be reported this many ms after its connections have closed. */
export const DEATH_MS = 1_000;

/** Maximum number of running and waiting calls of one program; protects the relay's memory from a slow program. */
export const MAX_CALLS = 1_000;

/** Creates a call with these parameters. */
export function requestOf(method: string, params: readonly Sendable[]): ProgramRequest {
  return { method, params: () => params, body: (writing) => serialiseCall(method, params, { nil: true, i8: true, ...writing }) };
}

const NO_SUCH_METHOD = -32601;
const INVALID_PARAMS = -32602;

/** Converts a fault of a program into the error for the caller: the fault itself, or a RelayError for codes that XML-RPC reserves. */
export function faultOf(plugin: string, code: number, text: string): Fault | RelayError {
  if (code === NO_SUCH_METHOD) return new RelayError('NO_SUCH_METHOD', `${plugin} does not have this method: ${clean(text)}`);
  if (code === INVALID_PARAMS) return new RelayError('INVALID_PARAMS', `${plugin}: ${clean(text)}`);
  try {
    return new Fault(code, text);
  } catch {
    return new RelayError('APPLICATION', `${plugin} answered fault ${code}: ${clean(text)}`);
  }
}

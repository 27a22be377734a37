/** The interface of the transports to a program (HTTP, a pipe, and polling by the program), and what they share. */
import { Fault, RelayError, clean, isPromise, reasonOf } from '../../core/core.ts';
import type { Clock, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { DEFAULT_LIMITS, parseResponse, parseResponseInSlices, serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { ParsedResponse, WriteOptions } from '../../xmlrpc/xmlrpc.ts';

/** A call to a program: bytes for a program that is called, values for one that polls. */
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

/** The options of a transport that makes calls itself. */
export interface TransportOptions {
  readonly clock: Clock;
  /** The largest response, in bytes. Default: the largest XML-RPC document. */
  readonly maxBodyBytes?: number | undefined;
  /** Translates the faults of the program into errors. Default: {@link faultOf}. */
  readonly meaning?: ((plugin: string, code: number, text: string) => Error) | undefined;
  /** How calls are encoded. Default: as they arrived. */
  readonly writing?: WriteOptions | undefined;
}

/** The result of a call. */
export type ResponseValue = Extract<ParsedResponse, { readonly kind: 'value' }>;

// A document of this size is parsed in a millisecond. Larger ones are parsed in slices, so that the relay can do other work meanwhile.
const LARGE_BYTES = 256 * 1024;
const PING = requestOf('ping', []);

/** Reads the responses of one program. */
export class ResponseParser {
  readonly #plugin: string;
  readonly #faultOf: (plugin: string, code: number, text: string) => Error;
  readonly #reading: { readonly limits: { readonly maxBodyBytes: number }; readonly leniency: 'forms' };

  constructor(plugin: string, { maxBodyBytes = DEFAULT_LIMITS.maxBodyBytes, meaning = faultOf }: Omit<TransportOptions, 'clock'>) {
    this.#plugin = plugin;
    this.#faultOf = meaning;
    this.#reading = { limits: { maxBodyBytes }, leniency: 'forms' };
  }

  get maxBodyBytes(): number {
    return this.#reading.limits.maxBodyBytes;
  }

  /**
   * The result in a response, at once unless the response is large. Throws or rejects with the error for a fault, or with a RelayError
   * TRANSPORT if it is not XML-RPC. `charset`: that of its Content-Type, if there is one.
   */
  parse(body: Buffer, charset?: string): MaybePromise<ResponseValue> {
    const answer = this.#parse(body, charset);
    return isPromise(answer) ? answer.then(this.#valueOf) : this.#valueOf(answer);
  }

  #parse(body: Buffer, charset: string | undefined): MaybePromise<ParsedResponse> {
    try {
      return body.length <= LARGE_BYTES
        ? parseResponse(body, { charset, ...this.#reading })
        : parseResponseInSlices(body, { charset, ...this.#reading }).catch(this.#notXmlRpc);
    } catch (error) {
      return this.#notXmlRpc(error);
    }
  }

  readonly #valueOf = (answer: ParsedResponse): ResponseValue => {
    if (answer.kind === 'fault') throw this.#faultOf(this.#plugin, answer.code, answer.text);
    return answer;
  };

  readonly #notXmlRpc = (error: unknown): never => {
    throw new RelayError('TRANSPORT', `${this.#plugin} answered something that is not XML-RPC: ${clean(reasonOf(error))}`, {
      cause: error,
      data: { reason: 'not-xmlrpc' },
    });
  };
}

/** Calls `ping`. Rejects as {@link ProgramTransport.ping} does. */
export async function pingOver(transport: Pick<ProgramTransport, 'send'>, timeoutMs: number): Promise<void> {
  await transport.send(PING, timeoutMs).catch((error: unknown) => {
    // A fault also shows that the program is alive.
    if (RelayError.is(error) && (error.code === 'TIMEOUT' || error.code === 'TRANSPORT' || error.code === 'RATE_LIMITED')) throw error;
  });
}

/** The error for a call to a program of which the transport was closed. */
export function notRunning(plugin: string): RelayError {
  return new RelayError('TRANSPORT', `${plugin} does not run any more`);
}

/** The error for a call when {@link MAX_CALLS} are in flight. */
export function tooManyCalls(plugin: string): RelayError {
  return new RelayError('RATE_LIMITED', `${plugin}: ${MAX_CALLS} calls are already running or waiting`);
}

/** The error for a call without a response in time. */
export function notAnswered(method: string, timeoutMs: number): RelayError {
  return new RelayError('TIMEOUT', `${method} was not answered in ${timeoutMs} ms`);
}

/** The error of a connection to a program, with the name of the program. */
export function namedError(plugin: string, error: unknown): RelayError {
  if (RelayError.is(error) && (error.code !== 'TRANSPORT' || error.message.startsWith(plugin))) return error;
  return new RelayError('TRANSPORT', `${plugin}: ${reasonOf(error)}`, { cause: error });
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

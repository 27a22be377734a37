/** The relay's error class with its closed table of codes, and the errors that plugins throw on purpose. */
import { hasMark } from './marks.ts';

/**
 * All errors of the relay itself: code -> fault number on the wire, and meaning.
 * Negative numbers are XML-RPC's specification for fault code interoperability; positive ones are ours and never change.
 */
export const ERRORS = {
  NOT_WELL_FORMED: { fault: -32700, meaning: 'the request is not well-formed XML or JSON' },
  UNSUPPORTED_ENCODING: { fault: -32701, meaning: 'the relay does not support the declared encoding' },
  INVALID_CHARACTER: { fault: -32702, meaning: 'the bytes are not valid in the declared encoding' },
  INVALID_REQUEST: { fault: -32600, meaning: 'the document is well-formed, but it is not a call' },
  NO_SUCH_METHOD: { fault: -32601, meaning: 'no method has this name' },
  INVALID_PARAMS: { fault: -32602, meaning: 'the parameters do not fit the method' },
  INTERNAL: { fault: -32603, meaning: 'the relay failed, or the answer cannot be written as XML-RPC' },
  APPLICATION: { fault: -32500, meaning: 'the method of a plugin failed; the log of the plugin has the reason under the id in the text' },
  TRANSPORT: { fault: -32300, meaning: 'another server could not be reached or did not answer in time' },
  NOT_AUTHENTICATED: { fault: 401, meaning: 'the presented credential is wrong' },
  FORBIDDEN: { fault: 403, meaning: 'the caller lacks a permission, or a relay plugin refused its dict; the text says which' },
  ORIGIN_REFUSED: { fault: 403, meaning: 'the sender may not speak for the host_id in the dict' },
  NOT_FOUND: { fault: 404, meaning: 'no node of the mesh has the name, or no node offers what the call asks for' },
  LIMIT: { fault: 413, meaning: 'the request is larger, deeper or longer than a limit of the relay allows' },
  RATE_LIMITED: { fault: 429, meaning: 'more calls or wrong credentials than the limits allow; call again later' },
  UNAVAILABLE: { fault: 503, meaning: 'the relay or a plugin is starting, stopping or down, or a queue is full; call again later' },
  TIMEOUT: { fault: 504, meaning: 'a time limit ran out' },
  CONFIG_INVALID: {
    fault: 520,
    meaning: 'an option or a flag has an invalid value; the relay does not start, or a reload changes nothing',
  },
  LISTEN_FAILED: { fault: 521, meaning: 'the relay cannot listen on the address or port, and does not start' },
  STATE_DIRECTORY: {
    fault: 522,
    meaning: 'the state directory cannot be used; the relay does not start, or refuses what it would have to store',
  },
  PLUGIN_REFUSED: {
    fault: 523,
    meaning: 'a plugin cannot run as it is; the relay does not start, or a reload keeps the previous version',
  },
} as const satisfies Record<string, { fault: number; meaning: string }>;

/** A key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** The reasons that tell errors with one code apart, and their meaning. They keep their names. */
export const REASONS = {
  connection: 'there was no connection, or it broke or timed out; `systemCode` says more',
  'client-closed': 'the client was closed',
  'http-status': 'the server answered with the HTTP status in `status`',
  'content-type': 'the answer of the server is not declared as XML',
  'content-encoding': 'the answer of the server has an encoding that was not requested',
  'not-xmlrpc': 'the answer of the server is not XML-RPC',
  'unexpected-result': 'the result is not of the form that the method promises',
  damaged: 'the file at `path` has content that cannot be used',
  unreadable: 'the file at `path` cannot be read',
  unwritable: 'the file or directory at `path` cannot be written or created',
  'other-owner': 'the file or directory at `path` belongs to another user',
  'open-to-others': 'other users may read or write what is at `path`',
  locked: 'another process uses what is at `path`',
  'invalid-name': 'the name is not allowed',
  'name-taken': 'the name is in use',
  'unknown-name': 'nothing has the name',
  stopped: 'the plugin or the relay is stopped',
} as const;

/** A key of the table of reasons in docs/faults.md. */
export type ErrorReason = keyof typeof REASONS;

/**
 * What a {@link RelayError} is about, for programs that need more than its code; the text says the same to people. Only the members that
 * apply are set. It stays in the process: callers over the network get the code and the text.
 */
export interface ErrorData {
  /** Which of the failures with this code it is. */
  readonly reason?: ErrorReason;
  /** The option with the invalid value, or whose limit was reached: `totalTimeoutMs`. */
  readonly option?: string;
  /** The HTTP status of a server, or the exit code of a process. */
  readonly status?: number;
  /** The code of the failed operation, as Node, TLS or the HTTP library names it: `ECONNREFUSED`. */
  readonly systemCode?: string;
  /** The file or directory that cannot be used. */
  readonly path?: string;
}

const RELAY_ERROR = Symbol.for('co2-relay.RelayError');
const FAULT = Symbol.for('co2-relay.Fault');
const REFUSAL = Symbol.for('co2-relay.Refusal');

/** A failure of the relay. `message` says what failed, which thing, and what to do; `cause` is only for the log. */
export class RelayError extends Error {
  readonly [RELAY_ERROR] = true;
  override readonly name = 'RelayError';
  /** ms after which a retry may succeed; undefined if unknown. */
  readonly retryAfterMs: number | undefined;
  /** True if it is already in the log, under the id in the text. */
  readonly isLogged: boolean;
  /** True if the text says what the caller can do, and only the caller can: the log needs no stack trace. */
  readonly isForCaller: boolean;
  /** What the error is about; empty if the code says it all. */
  readonly data: ErrorData;

  constructor(
    readonly code: ErrorCode,
    text: string,
    options?: { cause?: unknown; retryAfterMs?: number; isLogged?: boolean; isForCaller?: boolean; data?: ErrorData },
  ) {
    super(text, options);
    this.retryAfterMs = options?.retryAfterMs;
    this.isLogged = options?.isLogged ?? false;
    this.isForCaller = options?.isForCaller ?? false;
    this.data = options?.data ?? {};
  }

  /** The `faultCode` on the wire. */
  get fault(): number {
    return ERRORS[this.code].fault;
  }

  /** True for a RelayError of this or any other loaded copy of the package. */
  static is(value: unknown): value is RelayError {
    return hasMark(value, RELAY_ERROR);
  }
}

/**
 * A fault that an exposed method returns on purpose: `throw new Fault(42, 'no such sensor')`.
 * `code` is a 32-bit integer outside -32768..-32000, which XML-RPC reserves; otherwise the constructor throws a RangeError.
 */
export class Fault extends Error {
  readonly [FAULT] = true;
  override readonly name = 'Fault';

  constructor(
    readonly code: number,
    text: string,
  ) {
    super(text);
    if (!isApplicationFaultCode(code)) {
      throw new RangeError(`fault code ${code}: expected a 32-bit integer outside -32768..-32000, which XML-RPC reserves`);
    }
  }

  /** True for a Fault of this or any other loaded copy of the package. */
  static is(value: unknown): value is Fault {
    return hasMark(value, FAULT) && isApplicationFaultCode((value as Fault).code);
  }
}

/** Thrown by a relay plugin to refuse a dict: `throw new Refusal('it has no key')`. The sender of the dict receives the text. */
export class Refusal extends Error {
  readonly [REFUSAL] = true;
  override readonly name = 'Refusal';

  /** True for a Refusal of this or any other loaded copy of the package. */
  static is(value: unknown): value is Refusal {
    return hasMark(value, REFUSAL);
  }
}

function isApplicationFaultCode(code: number): boolean {
  return (code | 0) === code && (code < -32768 || code > -32000);
}

/** The text of a thrown value, for the log: its message, or the value as a string. */
export function reasonOf(thrown: unknown): string {
  try {
    // Plugins may throw anything: the message may not be a string, and reading it may throw.
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'a value that cannot be shown as text';
  }
}

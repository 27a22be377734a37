/** The errors of a client: failed connections explained, HTTP heads of failed calls, and faults. */
import { RelayError, reasonOf, hasMark } from '../core/core.ts';
import type { Value } from '../values/values.ts';

const TRUST = 'name it in tls.ca, or in the variable NODE_EXTRA_CA_CERTS';
const NO_TLS = 'if it is an HTTP server, use http:// in the URL instead of https://';

// Codes of the system, of TLS and of undici.
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the server running?',
  ECONNRESET: 'the connection broke before the response was complete',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
  ENOENT: 'there is no such socket; is the server running?',
  EACCES: 'this user may not open the socket',
  DEPTH_ZERO_SELF_SIGNED_CERT: `its certificate is self-signed; ${TRUST}`,
  SELF_SIGNED_CERT_IN_CHAIN: `the authority of its certificate is unknown; ${TRUST}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `the authority of its certificate is unknown; ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `the authority of its certificate is unknown; ${TRUST}`,
  EPROTO: `the TLS handshake failed; ${NO_TLS}`,
  ERR_SSL_WRONG_VERSION_NUMBER: `it does not speak TLS on this port; ${NO_TLS}`,
  // The same error in newer versions of OpenSSL.
  ERR_SSL_PACKET_LENGTH_TOO_LONG: `it does not speak TLS on this port; ${NO_TLS}`,
  ERR_SSL_RECORD_LAYER_FAILURE: `it does not speak TLS on this port; ${NO_TLS}`,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; connect to that name, or set tls.servername',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'the response timed out',
  UND_ERR_BODY_TIMEOUT: 'the body of the response timed out',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'the response is too large',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the response are too large',
  UND_ERR_SOCKET: 'the connection ended before the response was complete',
  UND_ERR_DESTROYED: 'the client is closed',
  UND_ERR_CLOSED: 'the client is closed',
};

// There was no connection, so the request was not sent.
const NOT_SENT: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'ENOENT', 'EACCES'],
  'UND_ERR_CONNECT_TIMEOUT',
]);
// The connections were closed by the client itself.
const CLOSED: ReadonlySet<string> = new Set(['UND_ERR_DESTROYED', 'UND_ERR_CLOSED']);
// The request was sent, and the server was too slow.
const TOO_SLOW: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** The client's error for an exception while connecting, sending or receiving: TIMEOUT if the server was too slow, otherwise TRANSPORT. */
export function connectionError(server: string, error: unknown): RelayError {
  const code = codeOf(error) ?? '';
  const reason = isTlsAlert(error) ? 'it speaks HTTPS on this port; use https:// in the URL instead of http://' : REASONS[code];
  const data = { reason: CLOSED.has(code) ? 'client-closed' : 'connection', ...(code === '' ? {} : { systemCode: code }) } as const;
  return new RelayError(TOO_SLOW.has(code) ? 'TIMEOUT' : 'TRANSPORT', `${server}: ${reason ?? reasonOf(error)}`, { cause: error, data });
}

/** True if undici could not parse the response because it is a TLS alert (RFC 8446, section 6). */
function isTlsAlert(error: unknown): boolean {
  if (!(error instanceof Error) || !('data' in error)) return false;
  return typeof error.data === 'string' && error.data.startsWith('\u0015\u0003');
}

/** The head of an HTTP response that was not a valid XML-RPC response. */
export interface AnswerHead {
  readonly status: number;
  /** The Retry-After of the server, not yet bounded; undefined if there is none. */
  readonly retryAfterMs: number | undefined;
  /** False if the response was truncated or timed out. */
  readonly isWhole: boolean;
}

const HEADS = new WeakMap<Error, AnswerHead>();

/** Attaches the head of the response to `error`, which is returned. */
export function withAnswerHead<E extends Error>(error: E, head: AnswerHead | undefined): E {
  if (head) HEADS.set(error, head);
  return error;
}

/** The head of the response that made a call fail; undefined if there was no response. */
export function answerHeadOf(error: unknown): AnswerHead | undefined {
  return error instanceof Error ? HEADS.get(error) : undefined;
}

/** The milliseconds of a Retry-After, in seconds or as a date; undefined if it is neither. */
export function retryAfterMs(header: string | readonly string[] | undefined, now: number): number | undefined {
  const [text = ''] = typeof header === 'string' ? [header] : (header ?? []);
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = /[a-z]/i.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** True if the error is that a response exceeds the size limit. */
export function isAnswerTooLong(error: unknown): boolean {
  return codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
}

/** False if a client's error means that the request was never sent. */
export function mayHaveArrived(error: unknown): boolean {
  return !(RelayError.is(error) && NOT_SENT.has(codeOf(error.cause) ?? ''));
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

const REMOTE_FAULT = Symbol.for('co2-relay.RemoteFault');

/**
 * A fault from the server: its `code`, and its text as `text` and `message`. Both come from the server; sanitize them before display.
 * `code` is the number that the server sent, possibly as text. If it sent no number, `code` is 0 and `faultCode` is what it sent instead
 * (`'Client'`), or null.
 */
export class RemoteFault extends Error {
  readonly [REMOTE_FAULT] = true;
  override readonly name = 'RemoteFault';

  constructor(
    readonly code: number,
    readonly text: string,
    /** The code as the server sent it. */
    readonly faultCode: Value = code,
  ) {
    super(text);
  }

  /** True for a RemoteFault of this or any other loaded copy of the package. */
  static is(value: unknown): value is RemoteFault {
    return hasMark(value, REMOTE_FAULT);
  }
}

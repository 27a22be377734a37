/** What a failure of the connection means, in words that say what to do. */
import { RelayError, reasonOf } from '../core/core.ts';

const TRUST = 'name it in tls.ca, or in the variable NODE_EXTRA_CA_CERTS';
const NO_TLS = 'if it is an HTTP server, use http:// in the URL instead of https://';

// Of the system, of TLS, and of undici.
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the server running?',
  ECONNRESET: 'the connection broke off before the answer was whole',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
  ENOENT: 'there is no such socket; is the server running?',
  EACCES: 'this user may not open the socket',
  DEPTH_ZERO_SELF_SIGNED_CERT: `its certificate is signed by itself; ${TRUST}`,
  SELF_SIGNED_CERT_IN_CHAIN: `the authority of its certificate is not known; ${TRUST}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `the authority of its certificate is not known; ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `the authority of its certificate is not known; ${TRUST}`,
  EPROTO: `it does not speak TLS as we do; ${NO_TLS}`,
  ERR_SSL_WRONG_VERSION_NUMBER: `it does not speak TLS there; ${NO_TLS}`,
  // What newer versions of OpenSSL say of the same.
  ERR_SSL_PACKET_LENGTH_TOO_LONG: `it does not speak TLS there; ${NO_TLS}`,
  ERR_SSL_RECORD_LAYER_FAILURE: `it does not speak TLS there; ${NO_TLS}`,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; connect to that one, or set tls.servername',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped coming',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'the answer is too large',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the answer are too large',
  UND_ERR_SOCKET: 'the connection ended before the answer was whole',
  UND_ERR_DESTROYED: 'the client is closed',
  UND_ERR_CLOSED: 'the client is closed',
};

// There was no connection, so no server has got anything.
const NOT_SENT: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'ENOENT', 'EACCES'],
  'UND_ERR_CONNECT_TIMEOUT',
]);
// The server had the request and was too slow.
const TOO_SLOW: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** What connecting, sending or reading threw, as the error of a client: TIMEOUT if the server was too slow to answer, else TRANSPORT. */
export function connectionError(server: string, error: unknown): RelayError {
  const code = codeOf(error) ?? '';
  const reason = isTlsAlert(error) ? 'it speaks HTTPS there; use https:// in the URL instead of http://' : REASONS[code];
  return new RelayError(TOO_SLOW.has(code) ? 'TIMEOUT' : 'TRANSPORT', `${server}: ${reason ?? reasonOf(error)}`, { cause: error });
}

/** True if undici could not read the answer because it is a TLS alert (RFC 8446, section 6). */
function isTlsAlert(error: unknown): boolean {
  if (!(error instanceof Error) || !('data' in error)) return false;
  return typeof error.data === 'string' && error.data.startsWith('\u0015\u0003');
}

/** The head of an answer over HTTP that was no readable XML-RPC response. */
export interface AnswerHead {
  readonly status: number;
  /** What the server asks for by Retry-After, not yet bounded; undefined if it asks for nothing. */
  readonly retryAfterMs: number | undefined;
  /** False if the answer broke off, or did not end in time. */
  readonly isWhole: boolean;
}

const HEADS = new WeakMap<Error, AnswerHead>();

/** Notes on `error`, which is returned, what the server answered. */
export function withAnswerHead<E extends Error>(error: E, head: AnswerHead | undefined): E {
  if (head) HEADS.set(error, head);
  return error;
}

/** What the server answered where a call failed because that was no readable response; undefined if no answer came. */
export function answerHeadOf(error: unknown): AnswerHead | undefined {
  return error instanceof Error ? HEADS.get(error) : undefined;
}

/** Milliseconds of a Retry-After, in seconds or as a date; undefined if it is neither. */
export function retryAfterMs(header: string | readonly string[] | undefined, now: number): number | undefined {
  const [text = ''] = typeof header === 'string' ? [header] : (header ?? []);
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = /[a-z]/i.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** True if the error is that an answer is longer than may be. */
export function isAnswerTooLong(error: unknown): boolean {
  return codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
}

/** False if an error of a client says that the request never left. */
export function mayHaveArrived(error: unknown): boolean {
  return !(RelayError.is(error) && NOT_SENT.has(codeOf(error.cause) ?? ''));
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

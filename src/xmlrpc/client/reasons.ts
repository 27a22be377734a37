/** What a failure of the connection means, in words that say what to do. */
import { reasonOf } from '../../message/message.ts';

// Of the system, of TLS, and of undici.
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the server running?',
  ECONNRESET: 'the connection broke off before the answer was whole',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
  ENOENT: 'there is no such socket; is the server running?',
  EACCES: 'this user may not open the socket',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself; name it in tls.ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'the authority of its certificate is not known; name it in tls.ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the authority of its certificate is not known; name it in tls.ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the authority of its certificate is not known; name it in tls.ca',
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

/** The reason of anything that connecting, sending or reading threw. */
export function connectReason(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return REASONS[code ?? ''] ?? reasonOf(error);
}

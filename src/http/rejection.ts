/** How a rejected request is answered: one line of text, or a problem document (RFC 9457) at endpoints for JSON. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { Fault, RelayError } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';

/** An HTTP answer to a request that never became a call. */
export interface Rejection {
  readonly status: number;
  /** What is wrong and what to do, in one line. */
  readonly text: string;
}

/** The properties of an endpoint that decide how it writes a rejection. */
export interface RejectionStyle {
  readonly get?: unknown;
  readonly post?: unknown;
  readonly put?: unknown;
  readonly writesProblems?: boolean;
}

/** The value of `Allow` for the server as a whole. */
export const ANY_METHOD = 'GET, HEAD, POST, PUT';

const STATUSES: Partial<Readonly<Record<ErrorCode, number>>> = {
  NOT_WELL_FORMED: 400,
  UNSUPPORTED_ENCODING: 400,
  INVALID_CHARACTER: 400,
  INVALID_REQUEST: 400,
  NO_SUCH_METHOD: 404,
  INVALID_PARAMS: 422,
  TRANSPORT: 502,
  NOT_AUTHENTICATED: 401,
  FORBIDDEN: 403,
  ORIGIN_REFUSED: 403,
  NOT_FOUND: 404,
  LIMIT: 413,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
};

/** The HTTP status for what a call threw. A Fault that a method throws on purpose is 422: the request was understood. */
export function statusOf(error: unknown): number {
  if (Fault.is(error)) return 422;
  return (RelayError.is(error) ? STATUSES[error.code] : undefined) ?? 500;
}

/** Sends a rejection; `endpoint` is the one that was asked, undefined if there is none at the path. */
export function reject(reply: FastifyReply, { status, text }: Rejection, endpoint: RejectionStyle | undefined): FastifyReply {
  if (status === 405 && endpoint) reply.header('allow', methodsOf(endpoint));
  if (status === 503) reply.header('retry-after', '1');
  // A proxy in front may read the request differently; closing the connection keeps it from finding a second request behind this one.
  if (status === 400 || status === 413 || status === 431) reply.header('connection', 'close');
  if (endpoint?.writesProblems === true) return sendProblem(reply, status, { code: status, text });
  return reply.code(status).type('text/plain; charset=utf-8').send(`${text}\n`);
}

function methodsOf({ get, post, put }: RejectionStyle): string {
  const methods = [...(get === undefined ? [] : ['GET', 'HEAD']), ...(post === undefined ? [] : ['POST'])];
  return [...methods, ...(put === undefined ? [] : ['PUT'])].join(', ');
}

/** Sets the headers that say what a client can do about `error`: authenticate, or retry later. */
export function setRemedies(reply: FastifyReply, error: unknown): void {
  if (!RelayError.is(error)) return;
  if (error.code === 'NOT_AUTHENTICATED') reply.header('www-authenticate', 'Bearer');
  const retryAfterMs = error.retryAfterMs ?? (error.code === 'UNAVAILABLE' ? 1000 : undefined);
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
}

/** Sends a problem document. `code` is the fault code; the title is the status text, as RFC 9457 wants it for `about:blank`. */
export function sendProblem(reply: FastifyReply, status: number, { code, text }: { code: number; text: string }): FastifyReply {
  const problem = { type: 'about:blank', title: STATUS_CODES[status], status, detail: text, code };
  return reply
    .code(status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)));
}

/** How a refusal is written: one line of text, or a problem document (RFC 9457) on the doors for JSON. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { Fault, RelayError } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';
import { allowedAt } from './endpoint.ts';
import type { Door } from './endpoint.ts';
import type { Refusal } from './guard.ts';

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
  LIMIT: 413,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
};

/** The HTTP status for what a call threw. A Fault that a method answers on purpose is 422: understood, and not to be had. */
export function statusOf(error: unknown): number {
  if (Fault.is(error)) return 422;
  return (RelayError.is(error) ? STATUSES[error.code] : undefined) ?? 500;
}

/** Answers a refusal; `door` is where it came to, if anywhere. */
export function refuse(reply: FastifyReply, { status, text }: Refusal, door: Door | undefined): FastifyReply {
  if (status === 405 && door) reply.header('allow', allowedAt(door));
  if (status === 503) reply.header('retry-after', '1');
  // Whoever reads the request otherwise than we do, as a proxy in front may, finds no second one behind it.
  if (status === 400 || status === 413 || status === 431) reply.header('connection', 'close');
  if (door?.tellsProblems === true) return sendProblem(reply, status, { code: status, text });
  return reply.code(status).type('text/plain; charset=utf-8').send(`${text}\n`);
}

/** Says in the headers of an answer what a client can do about `error`. */
export function setRemedies(reply: FastifyReply, error: unknown): void {
  if (!RelayError.is(error)) return;
  if (error.code === 'NOT_AUTHENTICATED') reply.header('www-authenticate', 'Bearer');
  const retryAfterMs = error.retryAfterMs ?? (error.code === 'UNAVAILABLE' ? 1000 : undefined);
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(retryAfterMs / 1000)));
}

/** `code` is the fault's; the title is the status in words, as RFC 9457 wants it where the type says nothing. */
export function sendProblem(reply: FastifyReply, status: number, { code, text }: { code: number; text: string }): FastifyReply {
  const problem = { type: 'about:blank', title: STATUS_CODES[status], status, detail: text, code };
  return reply
    .code(status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)));
}

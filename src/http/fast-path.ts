/**
 * The fast path for small XML-RPC calls: it makes the same checks as the router's hooks, but without the router, which would cost more than
 * the call. Everything else goes to the router, and so does a request that fails a check, because the router writes the rejection.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access/access.ts';
import type { AccessLog } from './access-log.ts';
import type { CallOutcome, Endpoint, Exchange, XmlCalls } from './endpoint.ts';
import type { Head, Rejection } from './request-checks.ts';
import type { CallerRequest } from './find-caller.ts';
import type { InFlight, RequestInFlight } from './in-flight.ts';
import { readMediaType } from './media-type.ts';
import type { XmlType } from './media-type.ts';
import { EXTENSION_QUERIES } from './reads.ts';
import { XML } from './xmlrpc-endpoint.ts';

export interface FastPathParts {
  readonly endpoints: readonly Endpoint[];
  readonly inFlight: InFlight;
  /** Why a request is rejected by its head, or undefined. */
  readonly check: (head: Head, endpoint: Endpoint) => Rejection | undefined;
  /** Throws RelayErrors. */
  readonly findCaller: (request: CallerRequest) => Principal;
  readonly accessLog: AccessLog;
  /** Logs an unexpected error and answers what to send. */
  readonly failure: (error: unknown) => Rejection;
}

// Bodies up to this size take nothing from the memory budget.
const MAX_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);
const TEXT = 'text/plain; charset=utf-8';

/** A handler that returns true if it answers the request. */
export function fastPath(parts: FastPathParts): (request: IncomingMessage, response: ServerResponse) => boolean {
  const byUrl = new Map(
    parts.endpoints.flatMap((endpoint) => ['', ...EXTENSION_QUERIES].map((query) => [endpoint.path + query, endpoint])),
  );
  return (request, response) => {
    const endpoint = request.method === 'POST' ? byUrl.get(request.url ?? '') : undefined;
    if (!endpoint?.xml || !isPlain(request.headers)) return false;
    const type = readMediaType(request.headers['content-type'], endpoint.reads);
    if ('status' in type || type.kind !== 'xml' || parts.check(request, endpoint)) return false;
    const inFlight = parts.inFlight.begin(request.socket, response);
    if (inFlight) new PlainCall(parts, inFlight, request, response).serve(endpoint.xml, type);
    return true;
  };
}

function isPlain(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= MAX_BYTES && headers['content-encoding'] === undefined && headers.expect === undefined;
}

class PlainCall {
  readonly #startedAt = performance.now();
  readonly #outcome: CallOutcome = { rpcMethod: undefined, rpcFault: undefined };

  constructor(
    private readonly parts: FastPathParts,
    private readonly inFlight: RequestInFlight,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {}

  serve(calls: XmlCalls, type: XmlType): void {
    let principal: Principal;
    try {
      principal = this.parts.findCaller(this.request);
    } catch (error) {
      this.#send(calls.fail(this.#outcome, error));
      return;
    }
    this.inFlight.principal = principal;
    // A small body nearly always arrives in one piece.
    let body: Buffer = NO_BYTES;
    this.request.on('data', (chunk: Buffer) => {
      body = body === NO_BYTES ? chunk : Buffer.concat([body, chunk]);
    });
    this.request.on('end', () => {
      void this.#answer(calls, { principal, body, outcome: this.#outcome, charset: type.charset });
    });
  }

  async #answer(calls: XmlCalls, exchange: Exchange): Promise<void> {
    try {
      this.#send(await calls.answer(exchange));
    } catch (error) {
      const { status, text } = this.parts.failure(error);
      this.#write(status, TEXT, `${text}\n`);
    }
  }

  #send(answer: Buffer): void {
    const instead = this.inFlight.answering(answer.length, this.#outcome);
    if (instead === undefined) this.#write(200, XML, answer);
    else this.#write(503, TEXT, instead);
  }

  #write(status: number, type: string, body: Buffer | string): void {
    const { request, response } = this;
    response.writeHead(status, ['content-type', type, 'content-length', String(body.length)]);
    response.end(body);
    const { method = '', url = '', socket, headers } = request;
    this.parts.accessLog.write({ method, url, socket, headers, outcome: this.#outcome, status, ms: performance.now() - this.#startedAt });
  }
}

/**
 * The short way in: a small, plain call of XML-RPC is checked, read and answered here, by what the router's hooks ask as well, but without its rounds,
 * which would cost more than the call. Whatever is not plain, or is refused, is left to the router, whose answers have all the words.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Principal } from '../access/access.ts';
import type { Door, Exchange, Told, XmlCalls } from './endpoint.ts';
import type { Head } from './request-checks.ts';
import type { Asked } from './find-caller.ts';
import type { Refusal } from './guard.ts';
import type { Held, InFlight } from './in-flight.ts';
import { readMediaType } from './media-type.ts';
import type { XmlType } from './media-type.ts';
import { READS_QUERIES } from './reads.ts';
import { XML } from './xmlrpc-endpoint.ts';

/** What the access log tells of a request. */
export interface Access extends Asked {
  readonly method: string;
  readonly url: string;
  readonly told: Told;
  readonly status: number;
  readonly ms: number;
}

export interface ShortWayParts {
  readonly doors: readonly Door[];
  readonly inFlight: InFlight;
  /** Why a request must not come in. */
  readonly refusal: (head: Head, door: Door) => Refusal | undefined;
  /** Who calls. Throws RelayErrors. */
  readonly admit: (request: Asked) => Principal;
  readonly logAccess: (access: Access) => void;
  /** What is answered for a mistake of ours, which it logs. */
  readonly failure: (error: unknown) => Refusal;
}

// What is smaller than this takes nothing from the budget of bodies.
const MAX_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);
const TEXT = 'text/plain; charset=utf-8';

/** Answers true if it answers the request. */
export function shortWay(parts: ShortWayParts): (request: IncomingMessage, response: ServerResponse) => boolean {
  const doors = new Map(parts.doors.flatMap((door) => ['', ...READS_QUERIES].map((query) => [door.path + query, door])));
  return (request, response) => {
    const door = request.method === 'POST' ? doors.get(request.url ?? '') : undefined;
    if (!door?.xml || !isPlain(request.headers)) return false;
    const type = readMediaType(request.headers['content-type'], door.reads);
    if ('status' in type || type.kind !== 'xml' || parts.refusal(request, door)) return false;
    const held = parts.inFlight.begin(request.socket, response);
    if (held) new PlainCall(parts, held, request, response).serve(door.xml, type);
    return true;
  };
}

function isPlain(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= MAX_BYTES && headers['content-encoding'] === undefined && headers.expect === undefined;
}

class PlainCall {
  readonly #startedAt = performance.now();
  readonly #told: Told = { rpcMethod: undefined, rpcFault: undefined };

  constructor(
    private readonly parts: ShortWayParts,
    private readonly held: Held,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {}

  serve(calls: XmlCalls, type: XmlType): void {
    let standing: Principal;
    try {
      standing = this.parts.admit(this.request);
    } catch (error) {
      this.#send(calls.fail(this.#told, error));
      return;
    }
    let body: Buffer = NO_BYTES;
    // One piece nearly always.
    this.held.standing = standing;
    this.request.on('data', (chunk: Buffer) => {
      body = body === NO_BYTES ? chunk : Buffer.concat([body, chunk]);
    });
    this.request.on('end', () => {
      void this.#answer(calls, { standing, body, told: this.#told }, type);
    });
  }

  async #answer(calls: XmlCalls, exchange: Exchange, type: XmlType): Promise<void> {
    try {
      this.#send(await calls.answer(exchange, type));
    } catch (error) {
      const { status, text } = this.parts.failure(error);
      this.#write(status, TEXT, `${text}\n`);
    }
  }

  #send(answer: Buffer): void {
    const instead = this.held.answering(answer.length, this.#told);
    if (instead === undefined) this.#write(200, XML, answer);
    else this.#write(503, TEXT, instead);
  }

  #write(status: number, type: string, body: Buffer | string): void {
    const { request, response } = this;
    response.writeHead(status, ['content-type', type, 'content-length', String(body.length)]);
    response.end(body);
    const { method = '', url = '', socket, headers } = request;
    this.parts.logAccess({ method, url, socket, headers, told: this.#told, status, ms: performance.now() - this.#startedAt });
  }
}

/**
 * The fast path: answers plain XML-RPC calls directly on their connections, with the checks of the general path, but without Node's HTTP
 * parser and the router, which cost more than the call. A connection that sends anything else goes to Node's server, with every byte that
 * is not answered, and stays there.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Principal } from '../access/access.ts';
import { isPromise } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { AccessLog } from './access-log.ts';
import { SMALL_BYTES } from './byte-budget.ts';
import { SESSION_HEADER } from '../identity/identity.ts';
import type { CallOutcome, Endpoint, XmlCalls } from './endpoint.ts';
import type { CallerRequest } from './find-caller.ts';
import type { InFlight, RequestInFlight } from './in-flight.ts';
import { readMediaType } from './media-type.ts';
import { recognizeHead } from './plain-head.ts';
import type { PlainHead } from './plain-head.ts';
import { EXTENSION_QUERIES } from './reads.ts';
import type { Rejection } from './rejection.ts';
import type { Head } from './request-checks.ts';
import { checkingInterval } from './server.ts';
import { XML } from './xmlrpc-endpoint.ts';

export interface PlainCallsParts {
  /** Node's server, which gets all other connections. */
  readonly server: Server;
  /** True if connections count once their TLS handshake is done. */
  readonly isTls: boolean;
  readonly endpoints: readonly Endpoint[];
  readonly inFlight: InFlight;
  /** Why a request is rejected by its head, or undefined. Changes nothing. */
  readonly check: (head: Head, endpoint: Endpoint) => Rejection | undefined;
  /** Throws RelayErrors. */
  readonly findCaller: (request: CallerRequest) => Principal;
  readonly accessLog: AccessLog;
  /** Logs an unexpected error and answers what to send. */
  readonly failure: (error: unknown) => Rejection;
  /** ms for a request to arrive. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
const TEXT = 'text/plain; charset=utf-8';
const STATUSES: Readonly<Record<number, string>> = { 200: '200 OK', 500: '500 Internal Server Error', 503: '503 Service Unavailable' };
// Node closes an idle connection that much later than it announces, because the next request may be on its way.
const KEEP_ALIVE_BUFFER_MS = 1_000;

/** All connections that have sent nothing but plain calls. */
export class PlainCalls {
  readonly #parts: PlainCallsParts;
  readonly #connections = new Set<PlainConnection>();
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #lastOfHead = new HeadEnd();
  #isClosing = false;
  #cancelCheck: (() => void) | undefined;

  /** Takes the connections of the server from now on. */
  constructor(parts: PlainCallsParts) {
    this.#parts = parts;
    const { server, isTls, endpoints } = parts;
    this.#endpoints = new Map(
      endpoints
        .filter(({ xml }) => xml)
        .flatMap((endpoint) => ['', ...EXTENSION_QUERIES].map((query) => [endpoint.path + query, endpoint])),
    );
    const event = isTls ? 'secureConnection' : 'connection';
    const serve = server.listeners(event) as ((socket: Socket) => void)[];
    server.removeAllListeners(event);
    server.on(event, (socket: Socket) => {
      const connection = new PlainConnection(this, parts, socket, () => {
        this.#connections.delete(connection);
        for (const listener of serve) listener.call(server, socket);
      });
      this.#connections.add(connection);
      socket.once('close', () => this.#connections.delete(connection));
      if (!this.#isClosing) this.#cancelCheck ??= this.#checkLater();
    });
  }

  /** True once a stop has begun: connections are closed after their answers. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Closes the connections that wait for a call, and the others after their answers. */
  close(): void {
    this.#isClosing = true;
    this.#cancelCheck?.();
    for (const connection of this.#connections) connection.closeIfIdle();
  }

  /** The plain call at the beginning of `chunk`; undefined if there is none. */
  recognize(chunk: Buffer): PlainCall | undefined {
    const head = recognizeHead(chunk, this.#endpoints);
    const endpoint = head && this.#endpoints.get(head.url);
    if (!head || !endpoint?.xml) return undefined;
    const type = readMediaType(head.headers['content-type'], endpoint.reads);
    if ('status' in type || type.kind !== 'xml') return undefined;
    return { head, endpoint, calls: endpoint.xml, charset: type.charset, length: head.bytes.length + head.contentLength };
  }

  /** The head of an answer, as Node writes it; `seal` is the header that proves it. */
  answerHead(status: number, type: string, length: number, seal?: string): string {
    const end = this.#lastOfHead.at(Date.now(), this.#parts.server.keepAliveTimeout);
    const proof = seal === undefined ? '' : `${SESSION_HEADER}: ${seal}\r\n`;
    return `HTTP/1.1 ${STATUSES[status] ?? status}\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n${proof}${end}`;
  }

  /** Looks for requests and clients that take too long, as Node does on the connections that it has. */
  #checkLater(): () => void {
    const { server, requestTimeoutMs, clock } = this.#parts;
    return clock.after(checkingInterval(requestTimeoutMs), () => {
      const limits = { requestMs: requestTimeoutMs, firstMs: server.headersTimeout, idleMs: server.keepAliveTimeout };
      for (const connection of this.#connections) connection.endIfLate(clock.now(), limits);
      this.#cancelCheck = this.#connections.size > 0 ? this.#checkLater() : undefined;
    });
  }
}

/** The last headers of an answer, which change once a second. */
class HeadEnd {
  #second = -1;
  #text = '';

  at(now: number, keepAliveTimeoutMs: number): string {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return this.#text;
    this.#second = second;
    const timeout = keepAliveTimeoutMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n` : '';
    this.#text = `Date: ${new Date(second * 1000).toUTCString()}\r\nConnection: keep-alive\r\n${timeout}\r\n`;
    return this.#text;
  }
}

/** What the head of a plain call says. */
interface PlainCall {
  readonly head: PlainHead;
  readonly endpoint: Endpoint;
  readonly calls: XmlCalls;
  readonly charset: string | undefined;
  /** Bytes of head and body. */
  readonly length: number;
}

/** ms that a connection may take; 0 means no limit. */
interface Limits {
  /** For a request to arrive. */
  readonly requestMs: number;
  /** Until the first request begins. */
  readonly firstMs: number;
  /** From an answer to the next request. */
  readonly idleMs: number;
}

/**
 * What a connection waits for: its first or next call, the rest of a body, an answer and that it is sent, the rest of the body of a refused
 * call, or nothing more, because it is closed or Node's server has it.
 */
type Phase = 'new' | 'idle' | 'body' | 'answering' | 'discarding' | 'over';

class PlainConnection {
  #phase: Phase = 'new';
  /** When the connection was made, the last answer was sent, or the present request began. */
  #since: number;
  /** The last call. Clients repeat their heads, so most are only compared. */
  #call: PlainCall | undefined;
  #principal: Principal | undefined;
  /** The bytes of a call whose body is incomplete: the first `received` are there. */
  #bytes: Buffer = NO_BYTES;
  #received = 0;
  /** Bytes of the body of a refused call that have not arrived. */
  #discard = 0;
  /** What arrived before the answer was sent. */
  #early = NO_BYTES;
  /** Registers a large answer. */
  #inFlight: RequestInFlight | undefined;

  /** `handOver` gives the connection to Node's server. */
  constructor(
    private readonly owner: PlainCalls,
    private readonly parts: PlainCallsParts,
    private readonly socket: Socket,
    private readonly handOver: () => void,
  ) {
    this.#since = parts.clock.now();
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose);
  }

  closeIfIdle(): void {
    if (this.#phase === 'new' || this.#phase === 'idle') this.socket.destroy();
  }

  endIfLate(now: number, { requestMs, firstMs, idleMs }: Limits): void {
    const ms = now - this.#since;
    if (this.#phase === 'idle') {
      if (idleMs > 0 && ms >= idleMs + KEEP_ALIVE_BUFFER_MS) this.socket.destroy();
      return;
    }
    const limit = this.#phase === 'new' ? firstMs : this.#phase === 'body' || this.#phase === 'discarding' ? requestMs : 0;
    if (limit > 0 && ms >= limit) this.#break('ERR_HTTP_REQUEST_TIMEOUT');
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#take(chunk);
    } catch (error) {
      // An uncaught exception would end the process.
      this.parts.failure(error);
      this.socket.destroy();
    }
  };

  #take(chunk: Buffer): void {
    switch (this.#phase) {
      case 'new':
      case 'idle':
        this.#begin(chunk);
        break;
      case 'body':
        this.#continue(chunk);
        break;
      case 'answering':
        this.#early = concat(this.#early, chunk);
        this.socket.pause();
        break;
      case 'discarding':
        this.#skip(chunk);
        break;
      case 'over':
        break;
    }
  }

  /** As in Node's server, an answer that is not ready is not sent to a client that has ended its side. */
  readonly #onEnd = (): void => {
    if (this.#phase === 'body' || this.#discard > 0) this.#break('HPE_INVALID_EOF_STATE');
    else if (this.#phase !== 'over') this.socket.end();
  };

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#phase = 'over';
    this.#inFlight?.end();
    this.#inFlight = undefined;
  };

  #begin(chunk: Buffer): void {
    const call = this.#isRepeated(chunk) ? this.#call : this.owner.recognize(chunk);
    if (!call || chunk.length > call.length || this.#isRejected(call)) {
      this.#leave(chunk);
      return;
    }
    this.#call = call;
    this.#since = this.parts.clock.now();
    const { head, length, calls } = call;
    this.#principal = undefined;
    try {
      this.#principal = this.parts.findCaller({ url: head.url, headers: head.headers, socket: this.socket, maySession: true });
    } catch (error) {
      // The body of a refused call is never read.
      this.#discard = length - chunk.length;
      const outcome: CallOutcome = { rpcMethod: undefined, rpcFault: undefined };
      this.#send(calls.fail(outcome, error), outcome);
      return;
    }
    if (chunk.length === length) {
      this.#answer(call, this.#principal, chunk);
      return;
    }
    this.#phase = 'body';
    this.#bytes = chunk;
    this.#received = chunk.length;
  }

  /** True if `chunk` begins with the last head, byte for byte. */
  #isRepeated(chunk: Buffer): boolean {
    const last = this.#call?.head.bytes;
    return last !== undefined && chunk.length >= last.length && last.compare(chunk, 0, last.length) === 0;
  }

  #isRejected({ head: { url, headers, rawHeaders }, endpoint }: PlainCall): boolean {
    const head = { method: 'POST', httpVersion: '1.1', url, headers, rawHeaders, socket: this.socket };
    return this.parts.check(head, endpoint) !== undefined;
  }

  #continue(chunk: Buffer): void {
    const [call, principal] = [this.#call, this.#principal];
    if (!call || !principal) return;
    const bytes = this.#received + chunk.length;
    if (bytes > call.length) {
      this.#leave(concat(this.#bytes.subarray(0, this.#received), chunk));
      return;
    }
    // All of it at the second piece: copying what is there at each piece would take quadratic time.
    if (this.#bytes.length < call.length) {
      const whole = Buffer.allocUnsafe(call.length);
      this.#bytes.copy(whole);
      this.#bytes = whole;
    }
    chunk.copy(this.#bytes, this.#received);
    this.#received = bytes;
    if (bytes < call.length) return;
    const whole = this.#bytes;
    this.#bytes = NO_BYTES;
    this.#answer(call, principal, whole);
  }

  #answer({ calls, charset, head }: PlainCall, principal: Principal, bytes: Buffer): void {
    this.#phase = 'answering';
    const outcome: CallOutcome = { rpcMethod: undefined, rpcFault: undefined };
    const fail = (error: unknown): void => {
      const { status, text } = this.parts.failure(error);
      this.#write(status, TEXT, Buffer.from(`${text}\n`), outcome);
    };
    try {
      const answer = calls.answer({ principal, body: bytes.subarray(head.bytes.length), outcome, charset });
      if (isPromise(answer))
        Promise.resolve(answer)
          .then((late) => {
            this.#send(late, outcome);
          })
          .catch(fail);
      // Most calls are answered at once.
      else this.#send(answer, outcome);
    } catch (error) {
      fail(error);
    }
  }

  #send(answer: Buffer, outcome: CallOutcome): void {
    this.#phase = 'answering';
    const instead = answer.length < SMALL_BYTES ? undefined : this.#register(answer.length, outcome);
    if (instead === undefined) this.#write(200, XML, answer, outcome);
    else this.#write(503, TEXT, Buffer.from(instead), outcome);
  }

  /** Registers a large answer; returns what to send instead of it. A small one takes nothing from the budget. */
  #register(bytes: number, outcome: CallOutcome): string | undefined {
    this.#inFlight = this.parts.inFlight.begin(this.socket);
    if (this.#inFlight) this.#inFlight.principal = this.#principal;
    return this.#inFlight?.answering(bytes, outcome);
  }

  #write(status: number, type: string, body: Buffer, outcome: CallOutcome): void {
    const { socket, parts } = this;
    if (socket.writable) {
      const head = this.owner.answerHead(status, type, body.length, this.#principal?.session?.seal(body));
      if (body.length < SMALL_BYTES) {
        // One piece costs less than two.
        const bytes = Buffer.allocUnsafe(head.length + body.length);
        body.copy(bytes, bytes.write(head, 'latin1'));
        socket.write(bytes, this.#onWritten);
      } else {
        socket.cork();
        socket.write(head, 'latin1');
        socket.write(body, this.#onWritten);
        socket.uncork();
      }
    }
    const { url = '', headers = {} } = this.#call?.head ?? {};
    parts.accessLog.write({ method: 'POST', url, socket, headers, outcome, status, ms: parts.clock.now() - this.#since });
  }

  readonly #onWritten = (): void => {
    this.#inFlight?.end();
    this.#inFlight = undefined;
    if (this.#phase === 'over') return;
    this.#since = this.#discard > 0 ? this.#since : this.parts.clock.now();
    this.#phase = this.#discard > 0 ? 'discarding' : 'idle';
    if (this.owner.isClosing) {
      this.#phase = 'over';
      this.socket.destroySoon();
      return;
    }
    const early = this.#early;
    if (early.length === 0) return;
    this.#early = NO_BYTES;
    if (this.#phase === 'idle') {
      // A client that does not wait for its answers.
      this.#leave(early);
      return;
    }
    this.socket.resume();
    this.#skip(early);
  };

  #skip(chunk: Buffer): void {
    const rest = chunk.subarray(this.#discard);
    this.#discard -= chunk.length - rest.length;
    if (this.#discard > 0) return;
    this.#phase = 'idle';
    if (rest.length > 0) this.#leave(rest);
  }

  /** Gives the connection to Node's server, as if `unanswered` were the first bytes on it. */
  #leave(unanswered: Buffer): void {
    const { socket } = this;
    this.#phase = 'over';
    if (socket.destroyed) return;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onClose);
    socket.pause();
    socket.unshift(unanswered);
    this.handOver();
    socket.resume();
  }

  /** Ends the connection as after the same error of Node's parser. */
  #break(code: string): void {
    this.#phase = 'over';
    const { socket, parts } = this;
    if (!parts.server.emit('clientError', Object.assign(new Error('the request is incomplete'), { code }), socket)) socket.destroy();
  }
}

function concat(one: Buffer, other: Buffer): Buffer {
  return one.length === 0 ? other : Buffer.concat([one, other]);
}

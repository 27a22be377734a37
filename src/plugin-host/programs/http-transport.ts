/** Calls a program that is an XML-RPC server on this machine, over a few persistent connections. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Dispatcher, Pool } from 'undici';
import { connectionError, skipContinue } from '../../client/internal.ts';
import { RelayError, clean, parseMediaType, reasonOf } from '../../core/core.ts';
import type { Clock, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { DEFAULT_LIMITS, parseResponse, parseResponseInSlices, sendableResponse } from '../../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../xmlrpc/xmlrpc.ts';
import { MAX_CALLS, faultOf, requestOf } from './transport.ts';
import type { ProgramRequest, ProgramTransport } from './transport.ts';

// Several, for servers with threads. A server with one thread is called over one connection as long as its calls come one by one.
const CONNECTIONS = 8;
// Short: a server with one thread may serve nobody else as long as a connection is open.
const KEEP_ALIVE_MS = 1_000;
// As Node's servers have it; protects the relay's memory from a program that sends headers without end.
const MAX_HEAD_BYTES = 16 * 1024;
// A document that is parsed in a millisecond; the relay does other work while it parses a larger one.
const LARGE_BYTES = 256 * 1024;
const HEADERS = ['User-Agent', 'co2-relay', 'Accept', 'text/xml', 'Content-Type', 'text/xml; charset=utf-8'];
const PING = requestOf('ping', []);

/** Gets the bytes that go to a program and come from it, as they do; of a request only its body. */
export type Tap = (direction: 'to' | 'from', bytes: Buffer) => void;

export interface HttpTransportOptions {
  readonly clock: Clock;
  /** The largest response, in bytes. Default: the largest XML-RPC document. */
  readonly maxBodyBytes?: number | undefined;
  /** Translates the faults of the program into errors. Default: {@link faultOf}. */
  readonly meaning?: typeof faultOf | undefined;
  /** Default: none. */
  readonly tap?: Tap | undefined;
}

type ResponseValue = Extract<ParsedResponse, { readonly kind: 'value' }>;

export class HttpTransport implements ProgramTransport {
  readonly #plugin: string;
  readonly #faultOf: typeof faultOf;
  readonly #reading: { readonly limits: { readonly maxBodyBytes: number }; readonly leniency: 'forms' };
  readonly #tap: Tap | undefined;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #pool: Promise<Pool>;
  /** Under way, or waiting for a connection. */
  readonly #exchanges = new Set<Exchange>();
  #closed: RelayError | undefined;

  /** `port` and `path` are from its handshake. It is only ever called on this machine, and no redirect is followed. */
  constructor(
    plugin: string,
    { port, path }: { readonly port: number; readonly path: string },
    { clock, maxBodyBytes = DEFAULT_LIMITS.maxBodyBytes, meaning = faultOf, tap }: HttpTransportOptions,
  ) {
    this.#reading = { limits: { maxBodyBytes }, leniency: 'forms' };
    this.#tap = tap;
    this.#plugin = plugin;
    this.#faultOf = meaning;
    this.#clock = clock;
    this.#path = path;
    this.#pool = openPool(port, tap);
  }

  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return (await this.#read(await this.#exchange(request, timeoutMs))).value;
  }

  async sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    const response = await this.#exchange(request, timeoutMs);
    const { value, extensions } = await this.#read(response);
    const { body, charset } = response;
    // Parsed again only if it may contain types that plain values do not keep.
    return extensions.i8 || body.includes('double') ? sendableResponse(body, { charset, ...this.#reading }) : value;
  }

  async ping(timeoutMs: number): Promise<void> {
    await this.send(PING, timeoutMs).catch((error: unknown) => {
      // A fault is a sign of life, too.
      if (RelayError.is(error) && (error.code === 'TIMEOUT' || error.code === 'TRANSPORT' || error.code === 'RATE_LIMITED')) throw error;
    });
  }

  async close(): Promise<void> {
    const closed = new RelayError('TRANSPORT', `${this.#plugin} does not run any more`);
    this.#closed = closed;
    for (const exchange of this.#exchanges) exchange.abort(closed);
    await (await this.#pool).destroy();
  }

  /** The value of a response. Rejects with the error for a fault, or with a RelayError TRANSPORT. */
  async #read({ body, charset }: HttpResponse): Promise<ResponseValue> {
    const answer = await this.#parse(body, charset);
    if (answer.kind === 'fault') throw this.#faultOf(this.#plugin, answer.code, answer.text);
    return answer;
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

  readonly #notXmlRpc = (error: unknown): never => {
    throw new RelayError('TRANSPORT', `${this.#plugin} answered something that is not XML-RPC: ${clean(reasonOf(error))}`, {
      cause: error,
    });
  };

  #exchange({ method, body }: ProgramRequest, timeoutMs: number): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw this.#closed;
      if (this.#exchanges.size >= MAX_CALLS)
        throw new RelayError('RATE_LIMITED', `${this.#plugin}: ${MAX_CALLS} calls are already running or waiting`);
      const bytes = body();
      const cancelTimer = this.#clock.after(timeoutMs, () => {
        exchange.abort(new RelayError('TIMEOUT', `${method} was not answered in ${timeoutMs} ms`));
      });
      const exchange = new Exchange(this.#reading.limits.maxBodyBytes, {
        onStart: () => this.#tap?.('to', bytes),
        onResponse: (response) => {
          cancelTimer();
          resolve(response);
        },
        onError: (error) => {
          cancelTimer();
          reject(RelayError.is(error) ? error : connectionError(this.#plugin, error));
        },
        onEnd: () => this.#exchanges.delete(exchange),
      });
      this.#exchanges.add(exchange);
      void this.#pool.then((pool) => pool.dispatch({ method: 'POST', path: this.#path, headers: HEADERS, body: bytes }, exchange));
    });
  }
}

/** Loads undici on first use: it takes about 15 MB, which neither a relay without programs nor a child needs. */
async function openPool(port: number, tap: Tap | undefined): Promise<Pool> {
  const undici = await import('undici');
  const connect = undici.buildConnector({});
  return new undici.Pool(`http://127.0.0.1:${port}`, {
    connections: CONNECTIONS,
    pipelining: 1,
    // Every call has a time limit of its own, and every response a size limit.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Programs cannot prolong it.
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    connect: (target, callback) => {
      connect(target, (...[error, socket]) => {
        if (error) callback(error, null);
        else callback(null, skipContinue(tap ? tapped(socket, tap) : socket));
      });
    },
  });
}

function tapped<T extends Pick<Socket, 'read'>>(socket: T, tap: Tap): T {
  const read = socket.read.bind(socket);
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size) as Buffer | null;
    if (chunk !== null) tap('from', chunk);
    return chunk;
  };
  return socket;
}

/** A response with status 200 that may be XML-RPC. */
interface HttpResponse {
  readonly body: Buffer;
  /** From its Content-Type. */
  readonly charset: string | undefined;
}

interface ExchangeEvents {
  /** The request is being sent. */
  readonly onStart: () => void;
  readonly onResponse: (response: HttpResponse) => void;
  /** May be called more than once. */
  readonly onError: (error: unknown) => void;
  /** The connection is free again, or lost. */
  readonly onEnd: () => void;
}

const XML: ReadonlySet<string> = new Set(['text/xml', 'application/xml']);
// Interim responses (1xx) before the final one. Servers send one at most.
const MAX_INTERIM = 16;
// A chunk of one byte takes five more for its framing. Framing may be as long as the body, and so much longer; this protects the relay's
// processor from a program that sends little at great length.
const CHUNK_FRAMING_BYTES = 5;
const MAX_SURPLUS_BYTES = 1024 * 1024;

/** One request and its response. undici aborts the request with the error that a method throws. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #maxBodyBytes: number;
  readonly #events: ExchangeEvents;
  readonly #body = new CollectedBytes();
  #controller: Dispatcher.DispatchController | undefined;
  #abortedWith: Error | undefined;
  #charset: string | undefined;
  #interim = 0;
  #pieces = 0;
  /** Bytes of the body that have not arrived yet; 0 if its length is unknown. */
  #missing = 0;

  constructor(maxBodyBytes: number, events: ExchangeEvents) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#events = events;
  }

  /** Fails now. Its connection is closed, since the rest of the response is not read. */
  abort(error: Error): void {
    this.#abortedWith = error;
    this.#events.onError(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortedWith) controller.abort(this.#abortedWith);
    else this.#events.onStart();
  }

  onResponseStart(_controller: unknown, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) {
      if (++this.#interim > MAX_INTERIM) throw new Error(`it sent more than ${MAX_INTERIM} interim responses (HTTP 1xx)`);
      return;
    }
    if (status !== 200) throw new Error(`it answered HTTP ${status}`);
    const { 'content-type': contentType, 'content-encoding': encoding = 'identity', 'transfer-encoding': transfer = 'chunked' } = headers;
    const media = typeof contentType === 'string' ? parseMediaType(contentType) : undefined;
    if (!media || !XML.has(media.type)) throw new Error(`it did not answer with XML (Content-Type: ${clean(contentType ?? 'none', 80)})`);
    if (encoding.toLowerCase() !== 'identity')
      throw new Error(`it answered with Content-Encoding '${clean(encoding, 40)}', which was not requested`);
    if (transfer.toLowerCase() !== 'chunked')
      throw new Error(`it answered with Transfer-Encoding '${clean(transfer, 40)}', which was not requested`);
    this.#charset = media.parameters.find(([name]) => name === 'charset')?.[1];
    this.#missing = Number(headers['content-length'] ?? 0);
    if (this.#missing > this.#maxBodyBytes) throw this.#tooLarge();
  }

  onResponseData(_controller: unknown, piece: Buffer): void {
    if (this.#body.size + piece.length > this.#maxBodyBytes) throw this.#tooLarge();
    this.#missing = Math.max(0, this.#missing - piece.length);
    this.#body.add(piece, this.#missing);
    if (++this.#pieces * CHUNK_FRAMING_BYTES > this.#body.size + MAX_SURPLUS_BYTES)
      throw new Error('its response has more framing between chunks than content');
  }

  onResponseEnd(): void {
    this.#events.onEnd();
    // undici frees the connection in an immediate that it sets after this method. A caller that makes its next call at once must find the
    // connection free: a server with one thread would not serve a second one.
    process.nextTick(() => {
      setImmediate(() => {
        this.#events.onResponse({ body: this.#body.whole, charset: this.#charset });
      });
    });
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#events.onEnd();
    this.#events.onError(error);
  }

  #tooLarge(): Error {
    return new Error(`its response is larger than ${this.#maxBodyBytes} bytes`);
  }
}

/** The pieces of a body in one buffer, so that many small pieces do not take many times their bytes. */
class CollectedBytes {
  /** Only the first `size` are used. A single piece is kept without a copy. */
  #bytes: Buffer = Buffer.alloc(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** All bytes. Nothing may be added afterwards. */
  get whole(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** `toCome`: how many more bytes are known to follow. */
  add(piece: Buffer, toCome: number): void {
    if (piece.length === 0) return;
    const size = this.#size + piece.length;
    if (this.#size === 0 && toCome === 0) this.#bytes = piece;
    else this.#copy(piece, size, size + toCome);
    this.#size = size;
  }

  #copy(piece: Buffer, size: number, wanted: number): void {
    // A piece that was kept without a copy has no room at its end, so nothing is ever written into a buffer that is not ours.
    if (size > this.#bytes.length) {
      // Doubled, so that a body that arrives byte by byte is not copied for each of them.
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#size));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    piece.copy(this.#bytes, this.#size);
  }
}

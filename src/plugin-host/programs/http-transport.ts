/** Calls a program that is an XML-RPC server on this machine, over a few persistent connections. */
import { Fifo, RelayError, reasonOf } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import type { HttpResponse } from './http-response.ts';
import { MAX_CALLS, ResponseParser, namedError, notAnswered, notRunning, pingOver, tooManyCalls } from './transport.ts';
import type { ProgramRequest, ProgramTransport, TransportOptions } from './transport.ts';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ResponseReader } from './http-response.ts';

// Several connections serve multi-threaded servers. Sequential calls use one connection, which suits a single-threaded server.
const CONNECTIONS = 8;

export interface HttpTransportOptions extends TransportOptions {
  /** Observes the traffic. Default: none. */
  readonly tap?: Tap | undefined;
}

interface Call {
  readonly body: Buffer;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (error: unknown) => void;
  /** Undefined while the call waits for a connection. */
  connection: HttpConnection | undefined;
}

export class HttpTransport implements ProgramTransport {
  readonly #plugin: string;
  readonly #parser: ResponseParser;
  readonly #tap: Tap | undefined;
  readonly #writing: WriteOptions | undefined;
  readonly #clock: Clock;
  readonly #port: number;
  readonly #head: string;
  readonly #idle: HttpConnection[] = [];
  readonly #open = new Set<HttpConnection>();
  /** Calls that wait for a connection. */
  readonly #waiting = new Fifo<Call>();
  readonly #calls = new Set<Call>();
  #isClosed = false;

  /** `port` and `path` come from the handshake. Only this machine is ever contacted, and redirects are not followed. */
  constructor(
    plugin: string,
    { port, path }: { readonly port: number; readonly path: string },
    { clock, tap, writing, ...reading }: HttpTransportOptions,
  ) {
    this.#writing = writing;
    this.#parser = new ResponseParser(plugin, reading);
    this.#tap = tap;
    this.#plugin = plugin;
    this.#clock = clock;
    this.#port = port;
    this.#head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: co2-relay\r\nAccept: text/xml\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: `;
  }

  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    const { body, charset } = await this.#exchange(request, timeoutMs);
    return (await this.#parser.parse(body, charset)).value;
  }

  async sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    const { body, charset } = await this.#exchange(request, timeoutMs);
    return (await this.#parser.parse(body, charset)).exact();
  }

  ping(timeoutMs: number): Promise<void> {
    return pingOver(this, timeoutMs);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    const closed = notRunning(this.#plugin);
    for (const call of [...this.#calls]) this.#abort(call, closed);
    for (const connection of [...this.#open]) connection.end(closed);
    return Promise.resolve();
  }

  #exchange({ method, body }: ProgramRequest, timeoutMs: number): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw notRunning(this.#plugin);
      if (this.#calls.size >= MAX_CALLS) throw tooManyCalls(this.#plugin);
      const finish = (): void => {
        cancelTimer();
        this.#calls.delete(call);
      };
      const call: Call = {
        body: body(this.#writing),
        connection: undefined,
        resolve: (response) => {
          finish();
          resolve(response);
        },
        reject: (error) => {
          finish();
          reject(namedError(this.#plugin, error));
        },
      };
      const cancelTimer = this.#clock.after(timeoutMs, () => {
        this.#abort(call, notAnswered(method, timeoutMs));
      });
      this.#calls.add(call);
      this.#begin(call);
    });
  }

  #begin(call: Call): void {
    const connection = this.#idleOne() ?? (this.#open.size < CONNECTIONS ? this.#connect() : undefined);
    if (connection) this.#run(call, connection);
    else this.#waiting.push(call);
  }

  #idleOne(): HttpConnection | undefined {
    let connection = this.#idle.pop();
    while (connection?.isOpen === false) connection = this.#idle.pop();
    return connection;
  }

  #connect(): HttpConnection {
    const onEnd = (): void => {
      this.#open.delete(connection);
      const at = this.#idle.indexOf(connection);
      if (at >= 0) this.#idle.splice(at, 1);
      const next = this.#next();
      if (next) this.#begin(next);
    };
    const connection = new HttpConnection(this.#port, onEnd, this.#parser.maxBodyBytes, this.#tap);
    this.#open.add(connection);
    return connection;
  }

  #run(call: Call, connection: HttpConnection): void {
    call.connection = connection;
    connection.exchange(this.#head, call.body).then(
      (response) => {
        if (connection.isOpen) this.#release(connection);
        call.resolve(response);
      },
      (error: unknown) => {
        call.reject(error);
      },
    );
  }

  #release(connection: HttpConnection): void {
    const next = this.#next();
    if (next) this.#run(next, connection);
    else this.#idle.push(connection);
  }

  /** Returns the oldest waiting call that has not been aborted. */
  #next(): Call | undefined {
    for (let call = this.#waiting.shift(); call; call = this.#waiting.shift()) if (this.#calls.has(call)) return call;
    return undefined;
  }

  /** Rejects a call now and closes its connection, because the response will not be read. */
  #abort(call: Call, error: unknown): void {
    call.reject(error);
    call.connection?.end(new RelayError('TRANSPORT', 'the call was aborted'));
  }
}

interface Exchange {
  readonly reader: ResponseReader;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (error: RelayError) => void;
}

/** Receives the bytes that are sent to a program (the request bodies) and those that arrive from it. */
export type Tap = (direction: 'to' | 'from', bytes: Buffer) => void;

// This is short, because a single-threaded server may not serve anyone else while a connection is open.
const KEEP_ALIVE_MS = 1_000;
const SMALL_BYTES = 16 * 1024;

export class HttpConnection {
  readonly #socket: Socket;
  readonly #maxBodyBytes: number;
  readonly #tap: Tap | undefined;
  #exchange: Exchange | undefined;
  #isOpen = true;

  /** Connects to a port of this machine. `onEnd` is called when the connection has closed. `maxBodyBytes` limits a response. */
  constructor(port: number, onEnd: (connection: HttpConnection) => void, maxBodyBytes: number, tap?: Tap) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#tap = tap;
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, timeout: KEEP_ALIVE_MS });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#take(chunk);
    });
    this.#socket.once('end', () => {
      this.#ended();
    });
    this.#socket.on('error', (error) => {
      this.end(failure(error));
    });
    this.#socket.on('timeout', () => {
      if (!this.#exchange) this.end(new RelayError('TRANSPORT', 'the connection was idle'));
    });
    this.#socket.once('close', () => {
      this.end(new RelayError('TRANSPORT', 'the connection ended without an answer'));
      onEnd(this);
    });
  }

  /** False if no further exchange can be made. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Sends a request and resolves to the response. `head` ends before the value of its last header, the length of `body`. Rejects with a
   * RelayError TRANSPORT, or with the error of `end`.
   */
  exchange(head: string, body: Buffer): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) {
        reject(new RelayError('TRANSPORT', 'the connection has ended'));
        return;
      }
      this.#exchange = { reader: new ResponseReader(this.#maxBodyBytes), resolve, reject };
      this.#tap?.('to', body);
      const start = `${head}${body.length}\r\n\r\n`;
      if (body.length > SMALL_BYTES) {
        this.#socket.cork();
        this.#socket.write(start, 'latin1');
        this.#socket.write(body);
        this.#socket.uncork();
      } else {
        // For a small body, copying is cheaper than a second write.
        const request = Buffer.allocUnsafe(start.length + body.length);
        body.copy(request, request.write(start, 'latin1'));
        this.#socket.write(request);
      }
    });
  }

  /** Closes the connection now, and rejects an exchange in flight with `error`. */
  end(error: RelayError): void {
    this.#isOpen = false;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.reject(error);
  }

  #take(chunk: Buffer): void {
    this.#tap?.('from', chunk);
    if (!this.#exchange) this.end(new RelayError('TRANSPORT', 'it sent a response without a request'));
    else this.#settle(this.#exchange, ({ reader }) => reader.push(chunk));
  }

  #ended(): void {
    this.#isOpen = false;
    if (this.#exchange) this.#settle(this.#exchange, ({ reader }) => reader.end());
    this.#socket.destroy();
  }

  #settle(exchange: Exchange, read: (exchange: Exchange) => HttpResponse | undefined): void {
    try {
      const response = read(exchange);
      if (!response) return;
      this.#exchange = undefined;
      if (!response.isReusable) this.end(failure(undefined));
      exchange.resolve(response);
    } catch (error) {
      this.end(failure(error));
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; its server is not listening',
  ECONNRESET: 'the connection broke before the response was complete',
  EPIPE: 'the connection broke before the response was complete',
};

function failure(error: unknown): RelayError {
  if (RelayError.is(error)) return error;
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return new RelayError('TRANSPORT', REASONS[code ?? ''] ?? reasonOf(error), { cause: error });
}

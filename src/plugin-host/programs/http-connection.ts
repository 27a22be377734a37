/** One connection to a program's server, with one exchange at a time; kept for the next one as long as both sides like. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { RelayError, reasonOf } from '../../core/core.ts';
import { ResponseReader } from './http-response.ts';
import type { HttpResponse } from './http-response.ts';

interface Exchange {
  readonly reader: ResponseReader;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (error: RelayError) => void;
}

/** Told of what goes to a program and what comes from it, as it goes; of a request its body alone. */
export type Tap = (direction: 'to' | 'from', bytes: Buffer) => void;

// Short: a server with one thread may serve nobody else as long as a connection is open.
const KEEP_ALIVE_MS = 1_000;
const SMALL_BYTES = 16 * 1024;

export class HttpConnection {
  readonly #socket: Socket;
  readonly #maxBodyBytes: number;
  readonly #tap: Tap | undefined;
  #exchange: Exchange | undefined;
  #isOpen = true;

  /** Connects, on this machine. `onEnd`: no further exchange can be made. `maxBodyBytes`: of a response. */
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
      if (!this.#exchange) this.end(new RelayError('TRANSPORT', 'the connection was not needed any more'));
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

  /** Sends a request, `head` up to the value of its last header, the length of `body`; answers the response. Rejects with a RelayError TRANSPORT, or with what it is ended with. */
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
        // To copy so little costs less than a second write.
        const request = Buffer.allocUnsafe(start.length + body.length);
        body.copy(request, request.write(start, 'latin1'));
        this.#socket.write(request);
      }
    });
  }

  /** Ends it now; an exchange that is under way rejects with `error`. */
  end(error: RelayError): void {
    this.#isOpen = false;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.reject(error);
  }

  #take(chunk: Buffer): void {
    this.#tap?.('from', chunk);
    // Nobody asked.
    if (!this.#exchange) this.end(new RelayError('TRANSPORT', 'it sent something that nobody had asked for'));
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
  ECONNREFUSED: 'connection refused; its server does not listen',
  ECONNRESET: 'the connection broke off before the answer was whole',
  EPIPE: 'the connection broke off before the answer was whole',
};

function failure(error: unknown): RelayError {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return new RelayError('TRANSPORT', REASONS[code ?? ''] ?? reasonOf(error), { cause: error });
}

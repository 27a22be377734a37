/** The XML-RPC server of a child, which listens at one secret path. The response to a synchronous method is sent at once. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault, RelayError, THROWN } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { answerCall } from '../../rpc/rpc.ts';
import type { RpcEndpoint } from '../../rpc/rpc.ts';
import { parseCall } from '../../xmlrpc/xmlrpc.ts';

/** A method that the relay calls. A result of `undefined` is sent as true. */
export type ChildMethod = (params: readonly Value[]) => MaybePromise<Sendable | undefined>;

const HOST = '127.0.0.1';
const NO_BYTES = Buffer.alloc(0);
// The relay keeps connections open and is the side that closes them.
const KEEP_ALIVE_MS = 3_600_000;
// The relay sends only a few headers.
const MAX_HEADERS = 100;

export class ChildServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #endpoint: RpcEndpoint<undefined>;
  #afterNext: (() => void) | undefined;

  /** Serves calls at `/<secret>` with the method that `find` returns for a name. */
  constructor(secret: string, find: (name: string) => ChildMethod | undefined, explain: (thrown: unknown) => string) {
    this.#path = `/${secret}`;
    this.#endpoint = endpointOf(find, explain);
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0, noDelay: true }, (request, response) => {
      this.#serve(request, response);
    });
    // A request with too many headers is rejected; headers are never dropped silently.
    this.#server.maxHeadersCount = 0;
  }

  /** Starts listening and resolves to the address in the format of the handshake. */
  listen(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, HOST, () => {
        resolve(`http|${HOST}:${(this.#server.address() as AddressInfo).port}|${this.#path}`);
      });
    });
  }

  /** Calls `then` when the next response has been sent. */
  onceSent(then: () => void): void {
    this.#afterNext = then;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const isPlain = request.rawHeaders.length <= 2 * MAX_HEADERS;
    if (!isPlain || request.url !== this.#path || request.method !== 'POST') {
      response.writeHead(isPlain ? 404 : 431, { connection: 'close' }).end();
      return;
    }
    let body: Buffer = NO_BYTES;
    // The body nearly always arrives as a single chunk.
    request.on('data', (chunk: Buffer) => {
      body = body === NO_BYTES ? chunk : Buffer.concat([body, chunk]);
    });
    request.on('end', () => {
      void answerCall(this.#endpoint, body, undefined).then((answer) => {
        this.#send(response, answer);
      });
    });
  }

  #send(response: ServerResponse, body: Buffer): void {
    response.writeHead(200, ['content-type', 'text/xml; charset=utf-8', 'content-length', String(body.length)]);
    if (this.#afterNext) response.once('finish', this.#afterNext);
    response.end(body);
  }
}

function endpointOf(find: (name: string) => ChildMethod | undefined, explain: (thrown: unknown) => string): RpcEndpoint<undefined> {
  return {
    // The relay wrote the call and has already applied its own limits.
    parse: (body) => parseCall(body as Buffer, { limits: { maxBodyBytes: (body as Buffer).length } }),
    invoke: ({ methodName, params }) => {
      const method = find(methodName);
      if (!method) throw new RelayError('NO_SUCH_METHOD', `no method is named '${methodName}' here`);
      return method(params);
    },
    writing: ({ extensions }) => ({ nil: true, i8: true, wideInts: extensions.i8 }),
    // Only the relay reads this fault; it logs the fault and decides what the caller sees.
    faultFor: (error) => {
      if (Fault.is(error)) return { code: error.code, text: error.message };
      return RelayError.is(error) ? { code: error.fault, text: error.message } : { code: THROWN, text: explain(error) };
    },
  };
}

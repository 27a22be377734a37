/** The XML-RPC server of a child: one secret path, calls answered at once where the method is not asynchronous. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RelayError, faultFor, isPromise } from '../../core/core.ts';
import type { Log, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../xmlrpc/xmlrpc.ts';

/** A method that the relay calls; `undefined` is answered as true. */
export type ChildMethod = (params: readonly Value[]) => MaybePromise<Sendable | undefined>;

const HOST = '127.0.0.1';
const NO_BYTES = Buffer.alloc(0);
// The relay keeps its connections, and closes them first.
const KEEP_ALIVE_MS = 3_600_000;
// The relay sends a handful.
const MAX_HEADERS = 100;

export class ChildServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #find: (name: string) => ChildMethod | undefined;
  readonly #log: Log;
  #afterNext: (() => void) | undefined;

  /** Answers calls at `/<secret>`, by the method that `find` knows under the name. */
  constructor(secret: string, find: (name: string) => ChildMethod | undefined, log: Log) {
    this.#path = `/${secret}`;
    this.#find = find;
    this.#log = log;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0, noDelay: true }, (request, response) => {
      this.#take(request, response);
    });
    // No header is dropped unseen: what has too many is refused.
    this.#server.maxHeadersCount = 0;
  }

  /** Resolves to where it listens, as the handshake says it. */
  listen(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, HOST, () => {
        resolve(`http|${HOST}:${(this.#server.address() as AddressInfo).port}|${this.#path}`);
      });
    });
  }

  /** Calls `then` when the next answer has left. */
  onceSent(then: () => void): void {
    this.#afterNext = then;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const isPlain = request.rawHeaders.length <= 2 * MAX_HEADERS;
    if (!isPlain || request.url !== this.#path || request.method !== 'POST') {
      response.writeHead(isPlain ? 404 : 431, { connection: 'close' }).end();
      return;
    }
    let body: Buffer = NO_BYTES;
    // One piece nearly always.
    request.on('data', (chunk: Buffer) => {
      body = body === NO_BYTES ? chunk : Buffer.concat([body, chunk]);
    });
    request.on('end', () => {
      this.#answer(body, response);
    });
  }

  #answer(body: Buffer, response: ServerResponse): void {
    let name = 'a request';
    let wideInts = false;
    const fail = (error: unknown): void => {
      const { code, text } = faultFor(error, name, this.#log);
      this.#send(response, serialiseFault(code, text));
    };
    const succeed = (value: Sendable | undefined): void => {
      this.#send(response, serialiseResponse(value === undefined ? true : value, { nil: true, i8: true, wideInts }));
    };
    try {
      const { methodName, params, extensions } = parseCall(body, { limits: { maxBodyBytes: body.length } });
      name = methodName;
      wideInts = extensions.i8;
      const method = this.#find(name);
      if (!method) throw new RelayError('NO_SUCH_METHOD', `no method is named '${name}' here`);
      const answer = method(params);
      if (isPromise(answer)) Promise.resolve(answer).then(succeed).catch(fail);
      else succeed(answer);
    } catch (error) {
      fail(error);
    }
  }

  #send(response: ServerResponse, body: Buffer): void {
    response.writeHead(200, ['content-type', 'text/xml; charset=utf-8', 'content-length', String(body.length)]);
    if (this.#afterNext) response.once('finish', this.#afterNext);
    response.end(body);
  }
}

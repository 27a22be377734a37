/**
 * The server for the programs that the relay starts. It listens on loopback only, from before they start until after they have stopped, and
 * uses plain HTTP even if the main server uses HTTPS. Every request must carry the token of a program.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { RelayError } from '../core/core.ts';
import type { MaybePromise } from '../core/core.ts';
import { grantOf, credentialCheck } from '../access/access.ts';
import type { Principal, KnownToken, TokenSource } from '../access/access.ts';
import type { CallOutcome, XmlCalls } from './endpoint.ts';
import { pathOf, checkHeaders } from './request-checks.ts';
import type { Rejection } from './rejection.ts';
import { LargeBodies } from './large-bodies.ts';
import { listenError } from './listeners.ts';
import { readMediaType } from './media-type.ts';
import type { BodyKind, XmlType } from './media-type.ts';
import { XML, xmlCalls } from './xmlrpc-endpoint.ts';
import type { XmlRpcEndpointParts } from './xmlrpc-endpoint.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';
import { checkingInterval } from './server.ts';

/** The token of a program, by its hash. */
export interface ProgramToken {
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly sha256: string;
  /** How answers to it are written. Default: as they came, with nil and i8. */
  readonly send?: WriteOptions | undefined;
}

export interface ProgramServerDependencies {
  readonly dispatcher: XmlRpcEndpointParts['dispatcher'];
  /** The current tokens; the same array as long as nothing has changed. */
  readonly tokens: () => readonly ProgramToken[];
  readonly maxBodyBytes: number;
  /** ms from the first byte of a request to its last, and from a connection to its first request. */
  readonly requestTimeoutMs: number;
}

const TEXT = 'text/plain; charset=utf-8';
const HOST = '127.0.0.1';
const PATH = '/RPC2';
const READS: readonly BodyKind[] = ['xml'];
// Far more than programs have threads; protects the file descriptors of the relay from a program that leaks connections.
const MAX_CONNECTIONS = 2_000;

export class ProgramServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #calls: XmlCalls;
  readonly #check: ReturnType<typeof credentialCheck>;

  constructor(private readonly parts: ProgramServerDependencies) {
    const { dispatcher, maxBodyBytes, requestTimeoutMs, tokens } = parts;
    this.#calls = xmlCalls(
      { dispatcher, maxBodyBytes, bodies: new LargeBodies() },
      // A program that serves calls of others gets their nil and i8 values, whether it declared them or not.
      {
        call: ({ methodName, params }, caller) => dispatcher.callAtOnce(methodName, params, caller),
        reads: { nil: true, i8: true },
        writing: ({ role }) => this.#sendOf(role),
      },
    );
    this.#check = credentialCheck([knownTokens(tokens)], Date.now);
    const limits = { requestTimeout: requestTimeoutMs, connectionsCheckingInterval: checkingInterval(requestTimeoutMs) };
    this.#server = createServer({ ...limits, noDelay: true }, (request, response) => {
      this.#serve(request, response).catch(() => {
        // The response cannot be sent, or was sent in part.
        request.destroy();
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    // Do not drop headers silently: too many are rejected.
    this.#server.maxHeadersCount = 0;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // The main server logs when there are no file handles for further connections.
    this.#server.on('error', () => undefined);
  }

  /** The URL that programs call; undefined unless the server listens. */
  get url(): string | undefined {
    const bound = this.#server.address() as AddressInfo | null;
    return bound === null ? undefined : `http://${HOST}:${bound.port}${PATH}`;
  }

  /** Rejects with a RelayError LISTEN_FAILED. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        reject(listenError(error, HOST, 0));
      });
      this.#server.listen(0, HOST, resolve);
    });
  }

  /** Answers a call of the plugin of this name that came another way. `gone` is aborted when its process has ended. Never rejects. */
  answer(plugin: string, body: Buffer, gone: AbortSignal): MaybePromise<Buffer> {
    const principal: Principal = { role: { kind: 'plugin', name: plugin }, address: HOST, port: 0, isDirect: true, isPeer: false, gone };
    return this.#calls.answer({ principal, body, outcome: { rpcMethod: undefined, rpcFault: undefined }, charset: undefined });
  }

  /** Closes all connections. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const type = typeOf(request, this.parts.maxBodyBytes);
    if ('status' in type) {
      // The body of a rejected request is never read.
      send(response, type.status, TEXT, Buffer.from(`${type.text}\n`), true);
      return;
    }
    const outcome: CallOutcome = { rpcMethod: undefined, rpcFault: undefined };
    const gone = new AbortController();
    response.once('close', () => {
      gone.abort();
    });
    let principal: Principal;
    try {
      principal = this.#principalOf(request, gone.signal);
    } catch (error) {
      send(response, 200, XML, this.#calls.fail(outcome, error), true);
      return;
    }
    const body = await bodyOf(request, this.parts.maxBodyBytes);
    if (body === undefined) return;
    send(response, 200, XML, await this.#calls.answer({ principal, body, outcome, charset: type.charset }));
  }

  #sendOf(role: Principal['role']): WriteOptions | undefined {
    return role.kind === 'plugin'
      ? this.parts.tokens().find(({ name, send }) => send !== undefined && name === role.name)?.send
      : undefined;
  }

  /** Throws a RelayError NOT_AUTHENTICATED. */
  #principalOf({ headers, socket }: IncomingMessage, gone: AbortSignal): Principal {
    const presented = this.#check(headers.authorization);
    if (presented.kind !== 'token')
      throw new RelayError(
        'NOT_AUTHENTICATED',
        'only programs that the relay started may call this address, each with its token (CO2_PLUGIN_TOKEN)',
      );
    const role = { kind: 'plugin', name: presented.name } as const;
    return { role, address: HOST, port: socket.remotePort ?? 0, isDirect: true, isPeer: false, gone };
  }
}

function send(response: ServerResponse, status: number, type: string, body: Buffer, isLast = false): void {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, ...(isLast ? { connection: 'close' } : {}) }).end(body);
}

/** The rights of a program follow from its role, not from its token. */
function knownTokens(tokens: ProgramServerDependencies['tokens']): TokenSource {
  let from: readonly ProgramToken[] = [];
  let known: readonly KnownToken[] = [];
  return () => {
    const now = tokens();
    if (now !== from) known = now.map((token) => ({ ...token, ...grantOf({}) }));
    from = now;
    return known;
  };
}

/** The media type of the body, or why the request is rejected. */
function typeOf(request: IncomingMessage, maxBodyBytes: number): XmlType | Rejection {
  const { method, url, headers } = request;
  const refusal = checkHeaders(request);
  if (refusal) return refusal;
  if (pathOf({ url }) !== PATH) return { status: 404, text: `there is nothing at this path; programs call ${PATH}` };
  if (method !== 'POST') return { status: 405, text: 'send an XML-RPC call as a POST' };
  if (headers['content-encoding'] !== undefined) return { status: 415, text: 'send the body unencoded, without Content-Encoding' };
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes)
    return { status: 413, text: `the body is larger than ${maxBodyBytes} bytes (maxBodyBytes)` };
  const type = readMediaType(headers['content-type'], READS);
  if ('status' in type || type.kind === 'xml') return type;
  return { status: 415, text: 'send it with Content-Type: text/xml' };
}

/** The body; undefined if it ended early or exceeds the limit: the connection is closed then. */
async function bodyOf(request: IncomingMessage, maxBodyBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) request.destroy();
      else chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
}

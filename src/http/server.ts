/** The HTTP server below the doors: its limits, what it answers by itself, and how bodies are taken in. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import Fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { Rejection } from './rejection.ts';
import type { HttpOptions } from './options.ts';
import { readTls } from './tls.ts';
import { TLS_TO_PLAIN, isTlsHandshake } from './wrong-scheme.ts';

/** Answers a request that does not come in, in the words of the door that it came to. */
type Refuse = (request: FastifyRequest, reply: FastifyReply, refusal: Rejection) => unknown;

/** `onTls` is called for a TLS handshake on an HTTP port. Throws a RelayError CONFIG_INVALID if there is no HTTPS with these files. */
export function makeServer(options: HttpOptions, refuse: Refuse, onTls: (socket: Socket) => void): FastifyInstance {
  const node = {
    // CallOutcome here too, since the limit of the headers follows it, and Node forgets this one where that is longer.
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: checkingInterval(options.requestTimeoutMs),
    // Looked for by the doors; Node's own answer has no length.
    requireHostHeader: false,
  };
  const { tls } = options;
  const asked = tls?.caFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  const settings: FastifyServerOptions = {
    bodyLimit: options.maxBodyBytes,
    requestTimeout: options.requestTimeoutMs,
    forceCloseConnections: 'idle',
    // The doors answer that themselves, in their own words.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => {
      const isTls = isTlsHandshake(error, socket);
      if (isTls) onTls(socket);
      answerBroken(error, socket, isTls ? TLS_TO_PLAIN : 'this is no HTTP request that has one meaning');
    },
    frameworkErrors: (_error, request, reply) => {
      refuse(request, reply, { status: 400, text: 'the path holds an escape that is none, or a name that is too long' });
    },
    // The longest name of a method.
    routerOptions: { maxParamLength: 1024 },
    // No door has a JSON schema; without this Fastify loads its schema compilers (some 5 MB) for nothing.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  };
  if (!tls) return withAllHeaders(Fastify({ ...settings, http: node }));
  const https = { ...node, handshakeTimeout: options.requestTimeoutMs, ...readTls(tls), ...asked };
  const server = withAllHeaders(Fastify({ ...settings, https } as FastifyServerOptions));
  // Nothing can be written before the handshake is over, and what waits to be written would keep the socket for ever.
  server.server.prependListener('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
  return server;
}

/** Lets Node hand on every header of a request, rather than drop those beyond the thousandth: {@link checkRequest} refuses what has too many. */
function withAllHeaders(server: FastifyInstance): FastifyInstance {
  // 0 is no limit; their bytes stay bounded (16 KiB).
  server.server.maxHeadersCount = 0;
  return server;
}

/** ms between two of Node's looks for slow senders; its own 30 s would let a request take twice as long as is said. */
export function checkingInterval(requestTimeoutMs: number): number {
  return Math.min(requestTimeoutMs, 5_000);
}

/** Lets `answers` look at each request before the router does; what it leaves alone (false) goes on to that. */
export function answerBefore(
  { server }: FastifyInstance,
  answers: (request: IncomingMessage, response: ServerResponse) => boolean,
  failed: (error: unknown) => void,
): void {
  const route = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    try {
      if (!answers(request, response)) for (const listener of route) listener.call(server, request, response);
    } catch (error) {
      // Thrown on, it would be an uncaught exception, and end the process for everybody.
      failed(error);
      request.socket.destroy();
    }
  });
}

// How long the answer to a broken request may wait for a client that reads nothing.
const LEAVING_MS = 2_000;

/** What Node could not read as HTTP, or not in time: answered and closed, so that nothing behind it is taken for a request. */
function answerBroken(error: { readonly code?: string }, socket: Socket, otherwise: string): void {
  // More came after a request that was to be the last: that one is still answered, and then closed.
  if (error.code === 'HPE_CLOSED_CONNECTION') return;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // CallOutcome of every further packet, too.
  if (broken.has(socket)) return;
  broken.add(socket);
  const [status, text] = BROKEN[error.code ?? ''] ?? ['400 Bad Request', otherwise];
  const lines = [
    `HTTP/1.1 ${status}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${text.length + 1}`,
    'Connection: close',
  ];
  afterAnswers(socket, (isAnswered) => {
    if (!isAnswered) socket.write(`${lines.join('\r\n')}\r\n\r\n${text}\n`);
    destroyWritten(socket);
  });
}

// Connections that are to end, since what came over them could not be read.
const broken = new WeakSet<Socket>();

/** As Node's own server knows it: the response that is sent next over a connection. */
interface WithResponse extends Socket {
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * Calls `then` once the calls before the broken request are answered: whatever is sent before would be taken for their answer, while they are made.
 * `isAnswered` if the broken request itself has its answer already.
 */
function afterAnswers(socket: WithResponse, then: (isAnswered: boolean) => void): void {
  const response = socket._httpMessage;
  if (response?.req.complete === true && !socket.destroyed)
    response.once('close', () => {
      afterAnswers(socket, then);
    });
  else then(response?.headersSent === true);
}

/** Destroys a socket once what was written to it has left: after a mere end() it would stay open for as long as the client likes. */
function destroyWritten(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LEAVING_MS).unref();
  socket.once('close', () => {
    clearTimeout(timer);
  });
  socket.destroySoon();
}

const BROKEN: Readonly<Record<string, readonly [status: string, text: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time (requestTimeoutMs)'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are too long'],
};

function noSchemas(): never {
  throw new Error('the doors have no JSON schemas');
}

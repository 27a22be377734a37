/** Makes the Fastify server: its limits and time-outs, and the answers to what Node cannot parse as HTTP. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import Fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { Rejection } from './rejection.ts';
import type { HttpOptions } from './options.ts';
import { isUploading } from './streamed-bodies.ts';
import { TLS_TO_PLAIN, isTlsHandshake } from './wrong-scheme.ts';

/** Sends a rejection in the format of the endpoint that was asked. */
type Reject = (request: FastifyRequest, reply: FastifyReply, refusal: Rejection) => unknown;

/** `certificates`: what the TLS files hold. `onTls` is called for a TLS handshake on an HTTP port. */
export function makeServer(
  options: HttpOptions,
  certificates: SecureContextOptions | undefined,
  reject: Reject,
  onTls: (socket: Socket) => void,
): FastifyInstance {
  const node = {
    // Also set here: Node's limit for the headers follows it.
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: checkingInterval(options.requestTimeoutMs),
    // The request checks look for it; Node's own answer has no Content-Length.
    requireHostHeader: false,
  };
  const { tls } = options;
  const clientCertificate = tls?.caFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  const settings: FastifyServerOptions = {
    bodyLimit: options.maxBodyBytes,
    requestTimeout: options.requestTimeoutMs,
    forceCloseConnections: 'idle',
    // The request checks answer that.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => {
      // Uploads have a limit on their progress instead.
      if ((error as { readonly code?: string }).code === 'ERR_HTTP_REQUEST_TIMEOUT' && isUploading(socket)) return;
      const isTls = isTlsHandshake(error, socket);
      if (isTls) onTls(socket);
      answerBroken(error, socket, isTls ? TLS_TO_PLAIN : 'this is not a valid HTTP request');
    },
    frameworkErrors: (_error, request, reply) => {
      reject(request, reply, { status: 400, text: 'the path has an invalid escape or a name that is too long' });
    },
    // The longest method name.
    routerOptions: { maxParamLength: 1024 },
    // No endpoint has a JSON schema; without this Fastify loads its schema compilers (some 5 MB).
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  };
  if (!tls) return withAllHeaders(Fastify({ ...settings, http: node }));
  const https = { ...node, handshakeTimeout: options.requestTimeoutMs, ...certificates, ...clientCertificate };
  const server = withAllHeaders(Fastify({ ...settings, https } as FastifyServerOptions));
  // Nothing can be written before the handshake ends, and pending data would keep the socket open for ever.
  server.server.prependListener('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
  return server;
}

/** Makes Node pass on all headers instead of dropping those beyond the thousandth; the request checks reject too many. */
function withAllHeaders(server: FastifyInstance): FastifyInstance {
  // 0 means no limit; their total size stays bounded (16 KiB).
  server.server.maxHeadersCount = 0;
  return server;
}

/** ms between Node's checks for slow senders; its default of 30 s would let a request take twice the configured time. */
export function checkingInterval(requestTimeoutMs: number): number {
  return Math.min(requestTimeoutMs, 5_000);
}

// How long the answer to an invalid request waits for a client that does not read it.
const LEAVING_MS = 2_000;

/** Answers what Node could not parse, or did not get in time, and closes the connection, so that the rest is not taken for a request. */
function answerBroken(error: { readonly code?: string }, socket: Socket, otherwise: string): void {
  // Data after the last request of a connection: that request is still answered, and then the connection is closed.
  if (error.code === 'HPE_CLOSED_CONNECTION') return;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // Node reports every further packet, too.
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

// Connections that are being closed because of an invalid request.
const broken = new WeakSet<Socket>();

/** A connection with the response that Node's server sends next over it. */
interface WithResponse extends Socket {
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * Calls `then` once the requests before the invalid one are answered; an earlier answer would be taken for theirs. `isAnswered` is true if
 * the invalid request has an answer already.
 */
function afterAnswers(socket: WithResponse, then: (isAnswered: boolean) => void): void {
  const response = socket._httpMessage;
  if (response?.req.complete === true && !socket.destroyed)
    response.once('close', () => {
      afterAnswers(socket, then);
    });
  else then(response?.headersSent === true);
}

/** Destroys a socket when its data has been sent; after end() alone it would stay open for as long as the client likes. */
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
  throw new Error('endpoints have no JSON schemas');
}

/** The doors: takes requests in, refuses what must not come in, finds the caller, and hands the rest to the relay. */
import { Server as SecureServer } from 'node:https';
import { hostname } from 'node:os';
import Fastify from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import { RelayError, canonicalAddress, clean } from '../message/message.ts';
import type { Clock, LogSource } from '../message/message.ts';
import { recordOnWire } from '../relay/relay.ts';
import type { Relay } from '../relay/relay.ts';
import { trustedProxies } from './client-address.ts';
import type { IsTrusted } from './client-address.ts';
import { credentialCheck } from './credentials.ts';
import type { TokenSource } from './credentials.ts';
import { findCaller } from './find-caller.ts';
import type { CallerRules } from './find-caller.ts';
import { makeGuard } from './guard.ts';
import type { Guard, Refusal } from './guard.ts';
import { LargeBodies } from './large-bodies.ts';
import { Listeners, listenError } from './listeners.ts';
import { LockOut } from './lock-out.ts';
import { readMediaType, refuseEncoding } from './media-type.ts';
import { hostsOf } from './options.ts';
import type { HttpOptions } from './options.ts';
import { jsonPage, textPage } from './pages.ts';
import { answerRpc } from './rpc-door.ts';
import { SlowReaders } from './slow-readers.ts';
import { TlsWatch, readTls } from './tls.ts';

export { httpDefaults, httpShape } from './options.ts';
export type { HttpOptions } from './options.ts';
export { tokenHash } from './credentials.ts';
export type { KnownToken, TokenSource } from './credentials.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** For the access log. */
    rpcMethod: string | undefined;
    rpcFault: number | undefined;
  }
}

export interface DoorsParts {
  readonly options: HttpOptions;
  readonly relay: Pick<
    Relay,
    | 'call'
    | 'count'
    | 'faultFor'
    | 'properties'
    | 'describeMethods'
    | 'satellites'
    | 'isPeerAddress'
    | 'isSatelliteAddress'
    | 'requireAllowance'
  >;
  /** Where the tokens come from that callers may present. */
  readonly tokens: readonly TokenSource[];
  readonly logs: LogSource;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
}

/** Counters since the start. */
export interface DoorsStatus {
  readonly wrongCredentials: number;
  /** How often an address was locked out for presenting too many of them. */
  readonly lockOuts: number;
}

/** Where the doors are bound. */
export interface Bound {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

const DOORS = ['/', '/RPC2'];
// How long a stop waits for requests in flight before their connections are cut.
const CLOSE_MS = 5_000;

export class Doors {
  readonly #parts: DoorsParts;
  readonly #server: FastifyInstance;
  readonly #rules: CallerRules;
  readonly #listeners: Listeners;
  #guard: Guard;
  #isTrusted: IsTrusted;
  readonly #lockOut: LockOut;
  #tlsWatch: TlsWatch | undefined;
  #open = false;

  constructor(parts: DoorsParts) {
    this.#parts = parts;
    const { options, relay, tokens, clock, date } = parts;
    this.#listeners = new Listeners(() => this.#server.server, options.maxConnections);
    this.#guard = guardOf(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
    this.#lockOut = new LockOut(options.maxWrongCredentials, clock, parts.logs('http'));
    this.#rules = {
      isTrusted: (address) => this.#isTrusted(address),
      presented: credentialCheck(tokens, date),
      isPeerAddress: (address) => relay.isPeerAddress(address),
      isSatelliteAddress: (address) => relay.isSatelliteAddress(address),
      isUnix: (socket) => this.#listeners.isUnix(socket),
      lockOut: this.#lockOut,
    };
    this.#server = makeServer(options);
    this.#build();
  }

  get scheme(): 'http' | 'https' {
    return this.#parts.options.tls ? 'https' : 'http';
  }

  status(): DoorsStatus {
    return this.#lockOut.counts;
  }

  /** Takes the port on every address; requests are answered 503 until {@link open}. Answers the first. Throws a RelayError LISTEN_FAILED. */
  async bind(): Promise<Bound> {
    const { options, logs } = this.#parts;
    const [first = '', ...others] = hostsOf(options);
    const bound = await this.#bindFirst(first, options.port);
    for (const host of others) logs('http').info(`listening on ${await this.#listeners.add(host, bound.port)} too`);
    if (options.unixSocket !== undefined) {
      await this.#listeners.addUnix(options.unixSocket);
      logs('http').info(`listening on ${options.unixSocket} too`);
    }
    return bound;
  }

  async #bindFirst(host: string, port: number): Promise<Bound> {
    try {
      await this.#server.listen({ host, port });
    } catch (error) {
      throw listenError(error, host, port);
    }
    this.#watchTls();
    const bound = this.#server.server.address();
    const address = typeof bound === 'object' && bound !== null ? canonicalAddress(bound.address) : undefined;
    if (typeof bound !== 'object' || bound === null || address === undefined)
      throw new RelayError('LISTEN_FAILED', `cannot tell where ${host} listens`);
    return { address, port: bound.port };
  }

  /** Takes other allowedHosts, allowedOrigins and trustedProxies from now on; the rest is as it was bound. */
  reconfigure(options: HttpOptions): void {
    this.#guard = guardOf(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
  }

  /** Lets requests in. */
  open(): void {
    this.#open = true;
  }

  /** Lets no new request in, waits for those in flight, cuts the rest. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#tlsWatch?.stop();
    const cut = setTimeout(() => {
      this.#server.server.closeAllConnections();
    }, CLOSE_MS);
    await Promise.all([this.#listeners.stop(), this.#server.close()]);
    clearTimeout(cut);
  }

  #watchTls(): void {
    const { options, clock, logs } = this.#parts;
    const server: unknown = this.#server.server;
    if (!options.tls || !(server instanceof SecureServer)) return;
    this.#tlsWatch = new TlsWatch(
      options.tls,
      (context) => {
        server.setSecureContext(context);
      },
      clock,
      logs('http'),
    );
  }

  #build(): void {
    const server = this.#server;
    const { options } = this.#parts;
    server.server.maxConnections = options.maxConnections;
    server.decorateRequest('rpcMethod', undefined);
    server.decorateRequest('rpcFault', undefined);
    server.removeAllContentTypeParsers();
    server.addContentTypeParser(/^(text|application)\/xml/i, { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });
    server.addHook('onRequest', (request, reply, done) => {
      const refusal =
        this.#guard(request.headers) ?? this.#refuseClosed() ?? refuseRoute(request) ?? refuseRepeated(request) ?? refuseBody(request);
      if (refusal) refuse(reply, refusal);
      else done();
    });
    const readers = new SlowReaders(options.requestTimeoutMs, this.#parts.clock, this.#parts.logs('http'));
    server.addHook('onSend', (request, _reply, payload, done) => {
      if (typeof payload === 'string' || Buffer.isBuffer(payload)) readers.sending(request.socket, payload.length);
      done(null, payload);
    });
    server.addHook('onResponse', (request, reply, done) => {
      readers.done(request.socket);
      this.#logAccess(request, reply);
      done();
    });
    this.#route();
  }

  #route(): void {
    const { relay, options } = this.#parts;
    const door = { relay, rules: this.#rules, maxBodyBytes: options.maxBodyBytes, bodies: new LargeBodies() };
    for (const url of DOORS) {
      this.#server.get(url, (request, reply) => this.#page(request, reply));
      this.#server.post(url, (request, reply) => {
        const type = readMediaType(request.headers['content-type']);
        return 'status' in type ? refuse(reply, type) : answerRpc(door, request, reply, type);
      });
    }
    // Refused by the hook already; this only lets the hook see such requests.
    this.#server.setNotFoundHandler((request, reply) => refuse(reply, noRoute(request)));
    this.#server.setErrorHandler((error: FastifyError, _request, reply) => refuse(reply, this.#failure(error)));
  }

  #page(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { relay } = this.#parts;
    try {
      relay.count(findCaller(request, this.#rules, { sourceOf: () => undefined, requireWritable: () => undefined }));
    } catch (error) {
      if (!RelayError.is(error)) throw error;
      if (error.code === 'NOT_AUTHENTICATED') reply.header('www-authenticate', 'Bearer');
      if (error.retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
      return refuse(reply, { status: error.fault, text: error.message });
    }
    const content = { properties: relay.properties(), methods: relay.describeMethods(), satellites: relay.satellites().map(recordOnWire) };
    if (wantsJson(request)) return reply.send(jsonPage(content));
    return reply.type('text/plain; charset=utf-8').send(textPage(content, `${this.scheme}://${request.headers.host ?? request.hostname}/`));
  }

  #refuseClosed(): Refusal | undefined {
    return this.#open ? undefined : { status: 503, text: 'the relay is starting or stopping; call again in a moment' };
  }

  #failure(error: FastifyError): Refusal {
    const status = error.statusCode ?? 500;
    if (status === 413) return { status, text: `the body is larger than ${this.#parts.options.maxBodyBytes} bytes (maxBodyBytes)` };
    if (status >= 400 && status < 500) return { status, text: error.message };
    this.#parts.logs('http').error('a request failed:', error);
    return { status: 500, text: 'the relay failed; its log has the reason' };
  }

  #logAccess(request: FastifyRequest, reply: FastifyReply): void {
    const method = request.rpcMethod === undefined ? '' : ` ${clean(request.rpcMethod, 100)}`;
    const fault = request.rpcFault === undefined ? '' : ` fault ${request.rpcFault}`;
    const url = clean(request.url, 200);
    const { remoteAddress = '-' } = request.socket;
    this.#parts
      .logs('access')
      .info(`${remoteAddress} ${request.method} ${url}${method} ${reply.statusCode}${fault} ${reply.elapsedTime.toFixed(1)} ms`);
  }
}

function guardOf(options: HttpOptions): Guard {
  const own = options.publicAddress === undefined ? [] : [options.publicAddress];
  return makeGuard([hostname(), ...hostsOf(options), ...options.allowedHosts, ...own], options.allowedOrigins);
}

/** Throws a RelayError CONFIG_INVALID if there is no HTTPS with these files. */
function makeServer(options: HttpOptions): FastifyInstance {
  const node = {
    // Told here too, since the limit of the headers follows it, and Node forgets this one where that is longer.
    requestTimeout: options.requestTimeoutMs,
    // How often Node looks for slow senders; its own 30 s would let a request take twice as long as is said.
    connectionsCheckingInterval: Math.min(options.requestTimeoutMs, 5_000),
  };
  const { tls } = options;
  const asked = tls?.caFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  const settings: FastifyServerOptions = {
    bodyLimit: options.maxBodyBytes,
    requestTimeout: options.requestTimeoutMs,
    forceCloseConnections: 'idle',
    // No door has a JSON schema; without this Fastify loads its schema compilers (some 5 MB) for nothing.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  };
  if (!tls) return Fastify({ ...settings, http: node });
  return Fastify({ ...settings, https: { ...node, ...readTls(tls), ...asked } } as FastifyServerOptions);
}

/** Before a body is read: its type, and its encoding. */
function refuseBody(request: FastifyRequest): Refusal | undefined {
  if (request.method !== 'POST' || !DOORS.includes(request.routeOptions.url ?? '')) return undefined;
  const type = readMediaType(request.headers['content-type']);
  return 'status' in type ? type : refuseEncoding(request.headers['content-encoding']);
}

function refuse(reply: FastifyReply, { status, text }: Refusal): FastifyReply {
  if (status === 503) reply.header('retry-after', '1');
  if (status === 405) reply.header('allow', 'GET, HEAD, POST');
  return reply.code(status).type('text/plain; charset=utf-8').send(`${text}\n`);
}

/** Before a body is read that nobody wants. */
function refuseRoute(request: FastifyRequest): Refusal | undefined {
  return request.is404 ? noRoute(request) : undefined;
}

const SINGLE: ReadonlySet<string> = new Set(['host', 'content-type', 'authorization']);

/** Node takes the first of two, a proxy in front perhaps the second; so there must be one. */
function refuseRepeated({ raw: { rawHeaders } }: FastifyRequest): Refusal | undefined {
  const seen = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (!SINGLE.has(name)) continue;
    if (seen.has(name)) return { status: 400, text: `the header ${name} stands twice; send it once` };
    seen.add(name);
  }
  return undefined;
}

function noRoute(request: FastifyRequest): Refusal {
  const path = clean(request.url.split('?', 1)[0] ?? '', 100);
  if (DOORS.includes(path)) return { status: 405, text: `${request.method} is not understood here; POST a call, or GET a description` };
  return { status: 404, text: `there is nothing at ${path}; the doors are POST /RPC2 (XML-RPC) and GET /` };
}

function wantsJson(request: FastifyRequest): boolean {
  return /\bapplication\/json\b/i.test((request.headers.accept ?? '').slice(0, 500));
}

function noSchemas(): never {
  throw new Error('the doors have no JSON schemas');
}

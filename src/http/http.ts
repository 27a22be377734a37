/** The HTTP server of a relay: checks each request, finds its caller, and passes it to the endpoint that answers it. */
import { Server as SecureServer } from 'node:https';
import { hostname } from 'node:os';
import type { SecureContextOptions } from 'node:tls';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Lockout, credentialCheck } from '../access/access.ts';
import type { Principal, SessionCall, TokenSource } from '../access/access.ts';
import { RelayError } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import { canonicalAddress, hostPort } from '../message/message.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import type { AboutRelay } from './page-endpoint.ts';
import { AccessLog } from './access-log.ts';
import { passBodiesUnread, readBodiesAsBytes } from './bodies.ts';
import { ByteBudget } from './byte-budget.ts';
import { trustedProxies } from './client-address.ts';
import type { IsTrusted } from './client-address.ts';
import { endpointAt } from './endpoint.ts';
import type { CallOutcome, Endpoint, StreamedUpload } from './endpoint.ts';
import { makeEndpoints } from './endpoints.ts';
import { FileHandles, systemFiles } from './file-handles.ts';
import { findCaller } from './find-caller.ts';
import type { CallerRequest, CallerRules } from './find-caller.ts';
import type { Health } from './health-endpoints.ts';
import { InFlight, shareOf, watchInFlight } from './in-flight.ts';
import { LargeBodies } from './large-bodies.ts';
import { Listeners, addressesOf, freePort, isOwnAddress, listenError, ownAddress } from './listeners.ts';
import type { Bound } from './listeners.ts';
import { readMediaType } from './media-type.ts';
import { hostsOf } from './options.ts';
import type { HttpOptions } from './options.ts';
import { PlainCalls } from './plain-calls.ts';
import { ANY_METHOD, reject } from './rejection.ts';
import type { Rejection } from './rejection.ts';
import { checkRequest, isServerOptions, makeHostCheck, noEndpoint, pathOf, tooLarge } from './request-checks.ts';
import type { Head, HostCheck } from './request-checks.ts';
import { makeServer } from './server.ts';
import { SlowReaders } from './slow-readers.ts';
import type { TracedNodes } from './node-endpoints.ts';
import type { RecordedFrames } from './recording-endpoints.ts';
import type { UnitBodies } from './work-endpoints.ts';
import { TlsWatch, readTls, tlsSignature } from './tls.ts';
import { WrongScheme } from './wrong-scheme.ts';

export { httpDefaults, httpShape } from './options.ts';
export type { HttpOptions } from './options.ts';

export type { Health } from './health-endpoints.ts';
export type { AboutRelay } from './page-endpoint.ts';
export type { UnitBodies } from './work-endpoints.ts';
export { ProgramServer } from './program-server.ts';
export type { ProgramToken } from './program-server.ts';
export type { Bound } from './listeners.ts';
export { clientTls, readTls } from './tls.ts';

declare module 'fastify' {
  interface FastifyRequest {
    outcome: CallOutcome;
    /** Who calls; set once the request is accepted. */
    principal: Principal;
  }
  interface FastifyContextConfig {
    /** The endpoint of the route. */
    endpoint?: Endpoint;
  }
}

/** What is known of the addresses (canonical) of callers. */
export interface KnownAddresses {
  /** True for the address of a configured peer that is trusted by its address. */
  isPeerAddress(address: string): boolean;
  /** The proven session that made this header of a request. Throws a RelayError NOT_AUTHENTICATED. */
  sessionOf(header: string): SessionCall;
  /** True for the address of a registered satellite. */
  isSatelliteAddress(address: string): boolean;
  /** The extensions of XML-RPC that the peer at this address is configured to read. */
  readBy(address: string): Extensions | undefined;
  /** True if a peer at this address may send doubles that are not finite. */
  acceptsNonFinite(address: string): boolean;
}

export interface HttpServerDependencies {
  readonly options: HttpOptions;
  readonly dispatcher: Dispatcher;
  readonly addresses: KnownAddresses;
  readonly about: AboutRelay;
  readonly health: Health;
  readonly work: UnitBodies;
  readonly recordings: RecordedFrames;
  readonly nodes: TracedNodes;
  /** The sources of the tokens that callers may present. */
  readonly tokens: readonly TokenSource[];
  readonly logs: LogSource;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
}

/** Counters since the start. */
export interface HttpStatus {
  readonly wrongCredentials: number;
  /** How often an address was locked out because it presented too many wrong credentials. */
  readonly lockOuts: number;
}

// How long a stop waits for requests in flight before it closes their connections.
const CLOSE_MS = 5_000;

export class HttpServer {
  readonly #parts: HttpServerDependencies;
  readonly #log: Log;
  readonly #accessLog: AccessLog;
  readonly #server: FastifyInstance;
  readonly #endpoints: readonly Endpoint[];
  readonly #listeners: Listeners;
  readonly #handles: FileHandles;
  readonly #rules: CallerRules;
  readonly #lockout: Lockout;
  readonly #certificates: TlsWatch | undefined;
  readonly #plainCalls: PlainCalls | undefined;
  readonly #stopping = new AbortController();
  #tls: SecureContextOptions | undefined;
  #checkHost: HostCheck;
  #isTrusted: IsTrusted;
  #isOpen = false;
  #bound: Bound = { address: '127.0.0.1', port: 0 };
  #listening: readonly Bound[] = [];

  constructor(parts: HttpServerDependencies) {
    this.#parts = parts;
    const { options, dispatcher, addresses, about, health, work, recordings, nodes, tokens, logs, clock, date } = parts;
    // Taken before the files are read, so that a change in between is noticed.
    const certificates = options.tls ? tlsSignature(options.tls) : '';
    this.#tls = options.tls && readTls(options.tls);
    this.#server = makeServer(
      options,
      this.#tls,
      (request, reply, rejection) => this.#reject(request, reply, rejection),
      (socket) => {
        wrongScheme.onTls(socket);
      },
    );
    const { server } = this.#server;
    const log = (this.#log = logs('http'));
    const wrongScheme = new WrongScheme(log, clock);
    if (options.tls) wrongScheme.watch(server, options.requestTimeoutMs);
    if (options.tls && server instanceof SecureServer) {
      const apply = (context: SecureContextOptions): void => {
        server.setSecureContext(context);
        this.#tls = context;
      };
      this.#certificates = new TlsWatch(options.tls, certificates, apply, clock, log);
    }
    this.#checkHost = this.#hostCheckFor(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
    this.#lockout = new Lockout(options.maxWrongCredentials, clock, log);
    this.#rules = {
      isTrusted: (address) => this.#isTrusted(address),
      presented: credentialCheck(tokens, date),
      isPeerAddress: (address) => addresses.isPeerAddress(address),
      sessionOf: (header) => addresses.sessionOf(header),
      readByPeer: (address) => addresses.readBy(address),
      isSatelliteAddress: (address) => addresses.isSatelliteAddress(address),
      isUnix: (socket) => this.#listeners.isUnix(socket),
      lockOut: this.#lockout,
    };
    this.#accessLog = new AccessLog(logs('access'), this.#rules);
    const readers = new SlowReaders(options.requestTimeoutMs, clock, log);
    this.#endpoints = makeEndpoints({
      ...{ dispatcher, about, health, maxBodyBytes: options.maxBodyBytes, scheme: this.scheme, bodies: new LargeBodies() },
      acceptsNonFinite: (address) => addresses.acceptsNonFinite(address),
      ...{ work, recordings, nodes, clock, requestTimeoutMs: options.requestTimeoutMs, readers, stopping: this.#stopping.signal },
    });
    // One untrusted address may use a quarter of the budget, so a quarter has room for one body.
    const budget = new ByteBudget(Math.max(options.maxBufferedBytes, 4 * options.maxBodyBytes), shareOf);
    const inFlight = new InFlight(budget, readers);
    this.#addHooks(inFlight);
    this.#addRoutes();
    if (options.fastPath) this.#plainCalls = this.#answerPlainCalls(inFlight);
    this.#handles = new FileHandles({ files: systemFiles, maxConnections: options.maxConnections, clock, log });
    // After the fast path, which must not see a connection that is refused.
    this.#listeners = new Listeners(server, {
      ...{ maxConnections: options.maxConnections, isTls: options.tls !== undefined },
      onError: (error) => {
        this.#handles.failed(error);
      },
    });
    this.#handles.watch(server);
  }

  /** The certificate, key and authorities in use, another object after each change; undefined over HTTP. */
  get tls(): SecureContextOptions | undefined {
    return this.#tls;
  }

  get scheme(): 'http' | 'https' {
    return this.#parts.options.tls ? 'https' : 'http';
  }

  status(): HttpStatus {
    return this.#lockout.counts;
  }

  /** The address in our host_id. */
  get ownAddress(): string {
    return ownAddress(this.#parts.options, this.#bound);
  }

  /** The first address and port that it is bound to; 127.0.0.1:0 before {@link bind}. */
  get bound(): Bound {
    return this.#bound;
  }

  /** Every address and port that it is bound to, in order; empty before {@link bind} and after {@link stop}. */
  get listening(): readonly Bound[] {
    return this.#listening;
  }

  /** True if a call to `address` (canonical) and `port` reaches this server. */
  isOwn(address: string, port: number): boolean {
    return isOwnAddress(this.#parts.options, this.#bound, address, port);
  }

  /** Listens on every address; requests are answered 503 until {@link open}. Rejects with a RelayError LISTEN_FAILED. */
  async bind(): Promise<void> {
    const { options } = this.#parts;
    this.#handles.start();
    const [first = '', ...others] = await addressesOf(hostsOf(options));
    const port = options.port === 0 && others.length > 0 ? await freePort([first, ...others]) : options.port;
    this.#bound = await this.#bindFirst(first, port);
    const listening = [this.#bound];
    for (const host of others) {
      const bound = await this.#listeners.add(host, this.#bound.port);
      listening.push(bound);
      this.#log.info(`also listening on ${hostPort(bound.address, bound.port)}`);
    }
    if (options.unixSocket !== undefined) {
      await this.#listeners.addUnix(options.unixSocket);
      this.#log.info(`also listening on ${options.unixSocket}`);
    }
    this.#listening = listening;
  }

  async #bindFirst(host: string, port: number): Promise<Bound> {
    try {
      await this.#server.listen({ host, port });
    } catch (error) {
      throw listenError(error, host, port);
    }
    this.#certificates?.start();
    const bound = this.#server.server.address();
    const address = typeof bound === 'object' && bound !== null ? canonicalAddress(bound.address) : undefined;
    if (typeof bound !== 'object' || bound === null || address === undefined)
      throw new RelayError('LISTEN_FAILED', `the system does not say which address it bound for ${host}`);
    return { address, port: bound.port };
  }

  /** Applies other allowedHosts, allowedOrigins and trustedProxies from now on; the other options keep their values. */
  reconfigure(options: HttpOptions): void {
    this.#checkHost = this.#hostCheckFor(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
  }

  /** Starts to accept requests. */
  open(): void {
    this.#isOpen = true;
  }

  /** Rejects new requests, waits for those in flight, and closes the connections of those that take too long. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#stopping.abort();
    // From now on another process may use the ports.
    this.#listening = [];
    this.#certificates?.stop();
    this.#handles.stop();
    this.#plainCalls?.close();
    const cut = setTimeout(() => {
      this.#listeners.cut();
    }, CLOSE_MS);
    await Promise.all([this.#listeners.stop(), this.#server.close()]);
    clearTimeout(cut);
  }

  /** What happens to every request, in order. */
  #addHooks(inFlight: InFlight): void {
    const server = this.#server;
    server.decorateRequest('outcome');
    server.decorateRequest('principal');
    server.addHook('onRequest', (request, _reply, done) => {
      request.outcome = { rpcMethod: undefined, rpcFault: undefined };
      done();
    });
    // Before the budget, so that the budget counts inflated bytes.
    readBodiesAsBytes(server, this.#parts.options.maxBodyBytes);
    watchInFlight(server, inFlight);
    server.addHook('onRequest', (request, reply, done) => {
      const rejection = this.#check(request.raw, request.routeOptions.config.endpoint);
      if (rejection) this.#reject(request, reply, rejection);
      else if (isServerOptions(request)) reply.code(204).header('allow', ANY_METHOD).send();
      else this.#identifyCaller(request, reply, done);
    });
    server.addHook('onResponse', (request, reply, done) => {
      const { method, url, socket, headers, outcome } = request;
      this.#accessLog.write({ method, url, socket, headers, outcome, status: reply.statusCode, ms: reply.elapsedTime });
      done();
    });
  }

  /** Makes the fast path; every check is that of the general path. */
  #answerPlainCalls(inFlight: InFlight): PlainCalls {
    const { options, clock } = this.#parts;
    return new PlainCalls({
      ...{ server: this.#server.server, isTls: options.tls !== undefined, requestTimeoutMs: options.requestTimeoutMs, clock },
      ...{ endpoints: this.#endpoints, inFlight, accessLog: this.#accessLog },
      check: (head, endpoint) => this.#check(head, endpoint),
      findCaller: (request) => this.#findCaller(request),
      failure: (error) => this.#failure(error),
    });
  }

  #addRoutes(): void {
    for (const endpoint of this.#endpoints) {
      const { path: url, get, post, put, reads } = endpoint;
      const config = { endpoint };
      if (get) this.#server.get(url, { config }, get);
      if (put) this.#addUpload(url, endpoint, put);
      if (!post) continue;
      this.#server.post(url, { config }, (request, reply) => {
        const type = readMediaType(request.headers['content-type'], reads);
        return 'status' in type ? this.#reject(request, reply, type) : post(request, reply, type);
      });
    }
    // The hook has rejected such requests already; without a handler it would not see them.
    this.#server.setNotFoundHandler((request, reply) => this.#reject(request, reply, noEndpoint(request, this.#endpoints)));
    this.#server.setErrorHandler((error, request, reply) => this.#reject(request, reply, this.#failure(error)));
  }

  #addUpload(url: string, endpoint: Endpoint, { refuse, answer }: StreamedUpload): void {
    void this.#server.register((part, _options, done) => {
      passBodiesUnread(part);
      const onRequest = (request: FastifyRequest, reply: FastifyReply, next: () => void): void => {
        if (!refuse(request, reply)) next();
      };
      part.put(url, { config: { endpoint }, onRequest }, answer);
      done();
    });
  }

  /** Why a request is rejected by its head, or undefined; `endpoint` is the one that would answer it. */
  #check(head: Head, endpoint: Endpoint | undefined): Rejection | undefined {
    return (
      this.#checkHost(head.headers, head.socket) ??
      (endpoint?.answersAlways === true ? undefined : this.#checkOpen()) ??
      checkRequest(head, endpoint, this.#endpoints, this.#parts.options)
    );
  }

  #checkOpen(): Rejection | undefined {
    return this.#isOpen ? undefined : { status: 503, text: 'the relay is starting or stopping; call again in a moment' };
  }

  /** Runs before the body is read, so that a wrong credential or too many calls cost nothing more. Throws RelayErrors. */
  #findCaller(request: CallerRequest): Principal {
    const principal = findCaller(request, this.#rules);
    this.#parts.dispatcher.requireAllowance(principal);
    return principal;
  }

  #identifyCaller(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    try {
      request.principal = this.#findCaller({
        ...{ url: request.url, headers: request.headers, socket: request.socket },
        maySession: maySession(request),
      });
      if (request.inFlight) request.inFlight.principal = request.principal;
    } catch (error) {
      request.routeOptions.config.endpoint?.fail(request, reply, error);
      return;
    }
    done();
  }

  #reject(request: FastifyRequest, reply: FastifyReply, rejection: Rejection): FastifyReply {
    return reject(reply, rejection, endpointAt(this.#endpoints, pathOf(request)));
  }

  #failure(error: unknown): Rejection {
    const { statusCode: status = 500, code, message = '' } = error as Partial<FastifyError>;
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(this.#parts.options.maxBodyBytes);
    if ((status >= 400 && status < 500) || status === 503) return { status, text: message };
    this.#log.error('a request failed:', error);
    return { status: 500, text: 'the relay failed; its log has the reason' };
  }

  #hostCheckFor(options: HttpOptions): HostCheck {
    const own = options.publicAddress === undefined ? [] : [options.publicAddress];
    const names = [hostname(), ...hostsOf(options), ...options.allowedHosts, ...own];
    return makeHostCheck(names, options.allowedOrigins, (socket) => this.#listeners.isUnix(socket));
  }
}

/** True for a POST of XML to an endpoint that reads XML-RPC. */
function maySession({ method, headers, routeOptions }: FastifyRequest): boolean {
  const { endpoint } = routeOptions.config;
  if (method !== 'POST' || endpoint?.xml === undefined) return false;
  const type = readMediaType(headers['content-type'], endpoint.reads);
  return 'kind' in type && type.kind === 'xml';
}

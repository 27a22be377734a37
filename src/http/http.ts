/** The doors: takes requests in, refuses what must not come in, finds the caller, and hands the rest to the relay. */
import { Server as SecureServer } from 'node:https';
import { hostname } from 'node:os';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean } from '../core/core.ts';
import { canonicalAddress, hostPort } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { Relay } from '../relay/relay.ts';
import type { Principal, TokenSource } from '../access/access.ts';
import { ByteBudget } from './byte-budget.ts';
import { trustedProxies } from './client-address.ts';
import type { IsTrusted } from './client-address.ts';
import { credentialCheck, Lockout } from '../access/access.ts';
import { ANY_VERB, doorAt } from './endpoint.ts';
import type { Door, Told } from './endpoint.ts';
import { makeDoors } from './endpoints.ts';
import { asksForAll, noRoute, pathOf, refuseEarly, tooLarge } from './request-checks.ts';
import type { Head } from './request-checks.ts';
import { FileHandles, systemFiles } from './file-handles.ts';
import { clientInLog, findCaller } from './find-caller.ts';
import type { Asked, CallerRules } from './find-caller.ts';
import { makeGuard } from './guard.ts';
import type { Guard, Refusal } from './guard.ts';
import { InFlight, shareOf, watchInFlight } from './in-flight.ts';
import { LargeBodies } from './large-bodies.ts';
import { Listeners, addressesOf, freePort, listenError } from './listeners.ts';
import { readMediaType } from './media-type.ts';
import { hostsOf } from './options.ts';
import { isOwnDoor, ownAddress } from './own-address.ts';
import type { Bound } from './own-address.ts';
import type { HttpOptions } from './options.ts';
import { refuse } from './rejection.ts';
import { answerBefore, makeServer, takeBodies } from './server.ts';
import { shortWay } from './fast-path.ts';
import type { Access } from './fast-path.ts';
import { SlowReaders } from './slow-readers.ts';
import { TlsWatch, tlsSignature } from './tls.ts';
import { WrongScheme } from './wrong-scheme.ts';

export { httpDefaults, httpShape } from './options.ts';
export type { HttpOptions } from './options.ts';

export { ProgramDoor } from './program-server.ts';
export type { ProgramToken } from './program-server.ts';
export type { Bound } from './own-address.ts';
export { readTls } from './tls.ts';

declare module 'fastify' {
  interface FastifyRequest {
    told: Told;
    /** Who calls; there once the request may come in. */
    standing: Principal;
  }
  interface FastifyContextConfig {
    /** What serves the route. */
    door?: Door;
  }
}

export interface DoorsParts {
  readonly options: HttpOptions;
  readonly relay: Pick<
    Relay,
    | 'acceptsNonFinite'
    | 'readBy'
    | 'call'
    | 'may'
    | 'callAmong'
    | 'count'
    | 'faultFor'
    | 'properties'
    | 'describeMethods'
    | 'exposedMethods'
    | 'satellites'
    | 'plugins'
    | 'isPeerAddress'
    | 'isSatelliteAddress'
    | 'requireAllowance'
    | 'requireBatch'
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

// How long a stop waits for requests in flight before their connections are cut.
const CLOSE_MS = 5_000;

export class Doors {
  readonly #parts: DoorsParts;
  readonly #accessLog: Log;
  readonly #server: FastifyInstance;
  readonly #doors: readonly Door[];
  readonly #listeners: Listeners;
  readonly #handles: FileHandles;
  readonly #rules: CallerRules;
  #guard: Guard;
  #isTrusted: IsTrusted;
  readonly #lockOut: Lockout;
  readonly #wrongScheme: WrongScheme;
  readonly #tlsSeen: string;
  #tlsWatch: TlsWatch | undefined;
  #open = false;
  #bound: Bound = { address: '127.0.0.1', port: 0 };
  #listening: readonly Bound[] = [];

  constructor(parts: DoorsParts) {
    this.#parts = parts;
    const { options, relay, tokens, clock, date } = parts;
    this.#accessLog = parts.logs('access');
    this.#tlsSeen = options.tls ? tlsSignature(options.tls) : '';
    this.#server = makeServer(
      options,
      (request, reply, refusal) => this.#refuse(request, reply, refusal),
      (socket) => {
        this.#wrongScheme.onTls(socket);
      },
    );
    this.#wrongScheme = new WrongScheme(parts.logs('http'), clock);
    if (options.tls) this.#wrongScheme.watch(this.#server.server, options.requestTimeoutMs);
    this.#handles = new FileHandles({ files: systemFiles, maxConnections: options.maxConnections, clock, log: parts.logs('http') });
    this.#listeners = new Listeners(this.#server.server, {
      ...{ maxConnections: options.maxConnections, isTls: options.tls !== undefined },
      onError: (error) => {
        this.#handles.failed(error);
      },
    });
    this.#handles.watch(this.#server.server);
    this.#guard = this.#guardOf(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
    this.#lockOut = new Lockout(options.maxWrongCredentials, clock, parts.logs('http'));
    this.#rules = {
      isTrusted: (address) => this.#isTrusted(address),
      presented: credentialCheck(tokens, date),
      isPeerAddress: (address) => relay.isPeerAddress(address),
      readByPeer: (address) => relay.readBy(address),
      isSatelliteAddress: (address) => relay.isSatelliteAddress(address),
      isUnix: (socket) => this.#listeners.isUnix(socket),
      lockOut: this.#lockOut,
    };
    this.#doors = makeDoors({ relay, maxBodyBytes: options.maxBodyBytes, scheme: this.scheme, bodies: new LargeBodies() });
    this.#build();
  }

  get scheme(): 'http' | 'https' {
    return this.#parts.options.tls ? 'https' : 'http';
  }

  status(): DoorsStatus {
    return this.#lockOut.counts;
  }

  /** The address in our host_id. */
  get ownAddress(): string {
    return ownAddress(this.#parts.options, this.#bound);
  }

  /** Where they are bound first; 127.0.0.1:0 until then. */
  get bound(): Bound {
    return this.#bound;
  }

  /** Every address and port that was bound, in order; none until then. */
  get listening(): readonly Bound[] {
    return this.#listening;
  }

  /** True if a call to `address` (canonical) and `port` would come in here. */
  isOwn(address: string, port: number): boolean {
    return isOwnDoor(this.#parts.options, this.#bound, address, port);
  }

  /** Takes the port on every address; requests are answered 503 until {@link open}. Throws a RelayError LISTEN_FAILED. */
  async bind(): Promise<void> {
    const { options, logs } = this.#parts;
    this.#handles.start();
    const [first = '', ...others] = await addressesOf(hostsOf(options));
    const port = options.port === 0 && others.length > 0 ? await freePort([first, ...others]) : options.port;
    this.#bound = await this.#bindFirst(first, port);
    const listening = [this.#bound];
    for (const host of others) {
      const bound = await this.#listeners.add(host, this.#bound.port);
      listening.push(bound);
      logs('http').info(`listening on ${hostPort(bound.address, bound.port)} too`);
    }
    if (options.unixSocket !== undefined) {
      await this.#listeners.addUnix(options.unixSocket);
      logs('http').info(`listening on ${options.unixSocket} too`);
    }
    this.#listening = listening;
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
    this.#guard = this.#guardOf(options);
    this.#isTrusted = trustedProxies(options.trustedProxies);
  }

  /** Lets requests in. */
  open(): void {
    this.#open = true;
  }

  /** Lets no new request in, waits for those in flight, cuts the rest. */
  async stop(): Promise<void> {
    this.#open = false;
    // From now on others may take the ports.
    this.#listening = [];
    this.#tlsWatch?.stop();
    this.#handles.stop();
    const cut = setTimeout(() => {
      this.#listeners.cut();
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
      this.#tlsSeen,
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
    server.decorateRequest('told');
    server.decorateRequest('standing');
    server.addHook('onRequest', (request, _reply, done) => {
      request.told = { rpcMethod: undefined, rpcFault: undefined };
      done();
    });
    // A quarter of it, which is what one stranger may have, has room for one body.
    const budget = new ByteBudget(Math.max(options.maxBufferedBytes, 4 * options.maxBodyBytes), shareOf);
    const readers = new SlowReaders(options.requestTimeoutMs, this.#parts.clock, this.#parts.logs('http'));
    // First, so that what is counted below is what a body grows to.
    takeBodies(server, options.maxBodyBytes);
    const inFlight = new InFlight(budget, readers);
    watchInFlight(server, inFlight);
    server.addHook('onRequest', (request, reply, done) => {
      const refusal = this.#refusal(request.raw, request.routeOptions.config.door);
      if (refusal) this.#refuse(request, reply, refusal);
      else if (asksForAll(request)) reply.code(204).header('allow', ANY_VERB).send();
      else this.#letIn(request, reply, done);
    });
    server.addHook('onResponse', (request, reply, done) => {
      const { method, url, socket, headers, told } = request;
      this.#logAccess({ method, url, socket, headers, told, status: reply.statusCode, ms: reply.elapsedTime });
      done();
    });
    answerBefore(
      server,
      shortWay({
        doors: this.#doors,
        inFlight,
        refusal: (head, door) => this.#refusal(head, door),
        admit: (request) => this.#admit(request),
        logAccess: (access) => {
          this.#logAccess(access);
        },
        failure: (error) => this.#failure(error),
      }),
      (error) => this.#failure(error),
    );
    this.#route();
  }

  #route(): void {
    for (const door of this.#doors) {
      const { path: url, get, post, reads } = door;
      const config = { door };
      if (get) this.#server.get(url, { config }, get);
      this.#server.post(url, { config }, (request, reply) => {
        const type = readMediaType(request.headers['content-type'], reads);
        return 'status' in type ? this.#refuse(request, reply, type) : post(request, reply, type);
      });
    }
    // Refused by the hook already; this only lets the hook see such requests.
    this.#server.setNotFoundHandler((request, reply) => this.#refuse(request, reply, noRoute(request, this.#doors)));
    this.#server.setErrorHandler((error, request, reply) => this.#refuse(request, reply, this.#failure(error)));
  }

  /** Why a request must not come in, as far as its head tells; `door` is what would serve it. */
  #refusal(head: Head, door: Door | undefined): Refusal | undefined {
    return this.#guard(head.headers, head.socket) ?? this.#refuseClosed() ?? refuseEarly(head, door, this.#doors, this.#parts.options);
  }

  /** The caller before the body: who presents a wrong credential, or calls too often, has nothing read. Throws RelayErrors. */
  #admit(request: Asked): Principal {
    const standing = findCaller(request, this.#rules);
    this.#parts.relay.requireAllowance(standing);
    return standing;
  }

  #letIn(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    try {
      request.standing = this.#admit(request);
      if (request.inFlight) request.inFlight.standing = request.standing;
    } catch (error) {
      request.routeOptions.config.door?.fail(request, reply, error);
      return;
    }
    done();
  }

  #refuse(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
    return refuse(reply, refusal, doorAt(this.#doors, pathOf(request)));
  }

  #refuseClosed(): Refusal | undefined {
    return this.#open ? undefined : { status: 503, text: 'the relay is starting or stopping; call again in a moment' };
  }

  #failure(error: unknown): Refusal {
    const { statusCode: status = 500, code, message = '' } = error as Partial<FastifyError>;
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(this.#parts.options.maxBodyBytes);
    if ((status >= 400 && status < 500) || status === 503) return { status, text: message };
    this.#parts.logs('http').error('a request failed:', error);
    return { status: 500, text: 'the relay failed; its log has the reason' };
  }

  #logAccess(access: Access): void {
    if (!this.#accessLog.isInfoEnabled()) return;
    const { method, url, status, ms } = access;
    const { rpcMethod, rpcFault } = access.told;
    const called = rpcMethod === undefined ? '' : ` ${clean(rpcMethod, 100)}`;
    const fault = rpcFault === undefined ? '' : ` fault ${rpcFault}`;
    const client = clientInLog(access, this.#rules);
    this.#accessLog.info(`${client} ${method} ${clean(url, 200)}${called} ${status}${fault} ${ms.toFixed(1)} ms`);
  }

  #guardOf(options: HttpOptions): Guard {
    const own = options.publicAddress === undefined ? [] : [options.publicAddress];
    const names = [hostname(), ...hostsOf(options), ...options.allowedHosts, ...own];
    return makeGuard(names, options.allowedOrigins, (socket) => this.#listeners.isUnix(socket));
  }
}

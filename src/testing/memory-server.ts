/** The network of test relays: each has an address that only test relays know, and calls are passed between them as bytes in memory. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { HttpServerDependencies, HttpServerPort } from '../app.ts';
import type { LinkTransport, ServerAddress } from '../links/links.ts';
import { RelayError } from '../core/core.ts';
import { answerCall, callerOf } from '../rpc/rpc.ts';
import type { RpcEndpoint } from '../rpc/rpc.ts';
import type { Principal } from '../access/access.ts';
import { parseCall, parseResponse } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';

/** The result of a call; `error` is what the relay or the plugin threw, which clients do not see. */
export interface Answered {
  readonly response: ParsedResponse;
  readonly error?: unknown;
}

/** One call, and what it threw. */
interface Request {
  readonly principal: Principal;
  error: unknown;
}

/** An address with its port. */
type Endpoint = Pick<Principal, 'address' | 'port'>;

const PORT = 2004;
const open = new Map<string, MemoryServer>();
let relays = 0;

/** Replaces the HttpServer of one relay, without binding a port. */
export class MemoryServer implements HttpServerPort {
  readonly scheme = 'http';
  readonly tls = undefined;
  readonly bound: Endpoint;
  readonly listening = [];
  #endpoint: RpcEndpoint<Request> | undefined;
  #addresses: HttpServerDependencies['addresses'] | undefined;

  constructor() {
    relays++;
    // Addresses of private networks: they are valid in a host_id, and nothing connects to them.
    this.bound = { address: `10.${(relays >> 16) & 255}.${(relays >> 8) & 255}.${relays & 255}`, port: PORT };
  }

  /** Serves the calls of this relay. */
  of({ dispatcher, addresses }: Pick<HttpServerDependencies, 'dispatcher' | 'addresses'>): this {
    this.#addresses = addresses;
    this.#endpoint = {
      parse: (body, { principal }) =>
        parseCall(body as Uint8Array, { allowNonFinite: principal.isPeer && addresses.acceptsNonFinite(principal.address) }),
      invoke: (call, { principal }) =>
        dispatcher.call(
          call.methodName,
          call.params,
          callerOf(principal, (dict) => call.sourceOf(dict), call.exactOf),
        ),
      writing: () => ({ nil: true, i8: true }),
      faultFor: (error, method, request) => {
        // The error of a plugin's method is wrapped for callers who may not see it; a test may.
        request.error = RelayError.is(error) && error.code === 'APPLICATION' ? (error.cause ?? error) : error;
        return dispatcher.faultFor(error, method);
      },
    };
    return this;
  }

  get ownAddress(): string {
    return this.bound.address;
  }

  isOwn(address: string, port: number): boolean {
    return address === this.bound.address && port === this.bound.port;
  }

  async bind(): Promise<void> {
    // There is nothing to bind.
  }

  open(): void {
    open.set(this.bound.address, this);
  }

  async stop(): Promise<void> {
    open.delete(this.bound.address);
  }

  status(): ReturnType<HttpServerPort['status']> {
    return { wrongCredentials: 0, lockOuts: 0 };
  }

  reconfigure(): void {
    // No option affects it.
  }

  /** Answers a serialized call like the HTTP endpoint. */
  async answer(body: Uint8Array, principal: Principal): Promise<Answered> {
    if (this.#endpoint === undefined || !open.has(this.bound.address))
      throw new RelayError('UNAVAILABLE', 'this test relay has been stopped', { data: { reason: 'stopped' } });
    const request: Request = { principal, error: undefined };
    const response = parseResponse(await answerCall(this.#endpoint, body, request));
    return { response, error: request.error };
  }

  /** Carries dicts from here to another test relay. */
  carrierTo(server: ServerAddress): LinkTransport {
    return {
      canBatch: true,
      post: async (body) => {
        // As on a network, nothing arrives in the same turn of the event loop.
        await nextTurn();
        const target = server.port === PORT ? open.get(server.addresses[0] ?? '') : undefined;
        if (target === undefined) throw new RelayError('TRANSPORT', `there is no test relay at ${server.name}`);
        return (await target.answer(body, target.#principalOf(this.bound))).response;
      },
      reset: async () => undefined,
      close: async () => undefined,
    };
  }

  #principalOf({ address, port }: Endpoint): Principal {
    const isPeer = this.#addresses?.isPeerAddress(address) === true;
    return { role: { kind: isPeer ? 'peer' : 'anonymous' }, address, port, isDirect: true, isPeer };
  }
}

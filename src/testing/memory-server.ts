/** The network of test relays: each has an address that only they know, and calls go from one to the other as bytes in memory. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { HttpServerPort } from '../app.ts';
import type { Transport, ServerAddress } from '../links/links.ts';
import { RelayError } from '../core/core.ts';
import { callerOf } from '../relay/relay.ts';
import type { Relay } from '../relay/relay.ts';
import type { Principal } from '../access/access.ts';
import { parseCall, parseResponse, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';

/** What came of a call; `error` is what the relay or the plugin threw, which no client sees. */
export interface Answered {
  readonly response: ParsedResponse;
  readonly error?: unknown;
}

/** An address with its port. */
type Endpoint = Pick<Principal, 'address' | 'port'>;

const PORT = 2004;
const open = new Map<string, MemoryServer>();
let relays = 0;

/** The server of one test relay, which binds no port. */
export class MemoryServer implements HttpServerPort {
  readonly scheme = 'http';
  readonly bound: Endpoint;
  readonly listening = [];
  #relay: Relay | undefined;

  constructor() {
    relays++;
    // Addresses of private networks: host_ids may hold them, and nobody is called there.
    this.bound = { address: `10.${(relays >> 16) & 255}.${(relays >> 8) & 255}.${relays & 255}`, port: PORT };
  }

  /** Sets the relay that answers. */
  of(relay: Relay): this {
    this.#relay = relay;
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
    // Nothing of them depends on an option.
  }

  /** Answers the written call of a caller as the HTTP server does. */
  async answer(body: Uint8Array, standing: Principal): Promise<Answered> {
    const relay = this.#relay;
    if (relay === undefined || !open.has(this.bound.address)) throw new RelayError('UNAVAILABLE', 'this test relay has been stopped');
    let method = 'a request';
    try {
      const call = parseCall(body, { allowNonFinite: standing.isPeer && relay.acceptsNonFinite(standing.address) });
      method = call.methodName;
      const caller = callerOf(standing, (dict) => call.sourceOf(dict));
      const result = await relay.call(method, call.params, caller);
      return { response: parseResponse(serialiseResponse(result, { nil: true, i8: true })) };
    } catch (error) {
      return { response: { kind: 'fault', ...relay.faultFor(error, method) }, error };
    }
  }

  /** Carries dicts from here to another test relay. */
  carrierTo(server: ServerAddress): Transport {
    return {
      canBatch: true,
      post: async (body) => {
        // As on a network, nothing arrives in the turn in which it was sent.
        await nextTurn();
        const target = server.port === PORT ? open.get(server.addresses[0] ?? '') : undefined;
        if (target === undefined) throw new RelayError('TRANSPORT', `no test relay runs at ${server.name}`);
        return (await target.answer(body, target.#standingOf(this.bound))).response;
      },
      reset: async () => undefined,
      close: async () => undefined,
    };
  }

  #standingOf({ address, port }: Endpoint): Principal {
    const isPeer = this.#relay?.isPeerAddress(address) === true;
    return { role: { kind: isPeer ? 'peer' : 'anonymous' }, address, port, isDirect: true, isPeer };
  }
}

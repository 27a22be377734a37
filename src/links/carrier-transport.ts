/** Posts calls to a peer by a relay plugin's carrier, and stays connected by it, since the peer sends by the same connection. */
import { Refusal, RelayError, clean, reasonOf, withTimeout } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Carrier, CarrierPeer, Receive } from '../plugin/plugin.ts';
import { parseResponse, serialiseFault } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { labelOf } from './link-events.ts';
import type { LinkEvent, LinkName } from './link-events.ts';
import type { LinkTransport } from './link.ts';
import { retryDelay } from './link-state.ts';
import type { LinkOptions } from './options.ts';

export interface CarrierTransportParts extends LinkName {
  /** Makes the carrier of one connection. */
  readonly make: () => Carrier;
  readonly url: URL;
  /** Our own host_id, once it is known. */
  readonly self: () => string;
  readonly receive: Receive;
  /** For connect, send and close, each. */
  readonly timeoutMs: number;
  readonly retry: LinkOptions['retry'];
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  readonly events: EventSink<LinkEvent>;
  readonly log: Pick<Log, 'debug'>;
}

// As over HTTP: an answer to `notify` has 120 bytes.
const MAX_RESPONSE_BYTES = 1024 * 1024;
const ENDED = serialiseFault(503, 'the connection has ended; send it again later');

export class CarrierTransport implements LinkTransport {
  readonly canBatch = true;
  readonly #parts: CarrierTransportParts;
  #connection: CarrierConnection | undefined;
  #ending: Promise<void> = Promise.resolve();
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: CarrierTransportParts) {
    this.#parts = parts;
  }

  /** Connects, and reconnects whenever the connection has ended, until {@link close}. */
  open(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    if (!this.#isClosed && !this.#connection) this.#connect();
  }

  async post(body: Uint8Array): Promise<ParsedResponse> {
    this.open();
    const connection = this.#connection;
    if (!connection) throw new RelayError('TRANSPORT', `${labelOf(this.#parts)}: the link is closed`);
    const answer = await connection.send(body);
    try {
      return parseResponse(answer, { limits: { maxBodyBytes: MAX_RESPONSE_BYTES }, leniency: 'forms' });
    } catch (error) {
      throw new RelayError('TRANSPORT', `the answer is not a readable XML-RPC response: ${reasonOf(error)}`, { cause: error });
    }
  }

  async reset(): Promise<void> {
    await this.#end('the connection is replaced');
    this.#connectLater();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    await this.#end('the link is closed');
  }

  #connect(): void {
    const connection: CarrierConnection = new CarrierConnection(this.#parts, this.#ending, (reason) => {
      if (this.#connection !== connection) return;
      this.#emit('lost', reason);
      void this.reset();
    });
    this.#connection = connection;
    connection.ready.then(
      () => {
        this.#emit('connected', '');
        this.#failures = 0;
      },
      (error: unknown) => {
        if (this.#connection !== connection) return;
        this.#failures++;
        this.#emit('failed', reasonOf(error));
        void this.reset();
      },
    );
  }

  #emit(state: (LinkEvent & { type: 'link.carrier' })['state'], reason: string): void {
    const { role, name, events } = this.#parts;
    events.emit({ type: 'link.carrier', role, name, state, attempts: this.#failures, reason });
  }

  #connectLater(): void {
    if (this.#isClosed || this.#connection || this.#cancelRetry) return;
    const { clock, retry, random } = this.#parts;
    this.#cancelRetry = clock.after(retryDelay(this.#failures, { ...retry, random }), () => {
      this.open();
    });
  }

  #end(reason: string): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) this.#ending = connection.end(reason);
    return this.#ending;
  }
}

/** One connection of a carrier: made, used and closed as the contract of `Carrier` says, whatever the plugin does. */
class CarrierConnection {
  readonly #parts: CarrierTransportParts;
  readonly #onLost: (reason: string) => void;
  readonly #controller = new AbortController();
  readonly #ended: Promise<never>;
  /** Resolves when documents may be sent; rejects with a RelayError TRANSPORT. */
  readonly ready: Promise<void>;
  #carrier: Carrier | undefined;

  /**
   * Connects once `before`, the end of the previous connection, has resolved. `onLost` is called once, when the carrier says that the
   * connection has ended.
   */
  constructor(parts: CarrierTransportParts, before: Promise<void>, onLost: (reason: string) => void) {
    this.#parts = parts;
    this.#onLost = onLost;
    const { signal } = this.#controller;
    this.#ended = new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });
    this.ready = before.then(() => this.#connect());
    // They may reject while nobody waits for them.
    for (const promise of [this.#ended, this.ready]) promise.catch(() => undefined);
  }

  /** The peer's answer. Rejects with a RelayError: LIMIT if the carrier can never carry this document, else TRANSPORT. */
  async send(document: Uint8Array): Promise<Uint8Array> {
    await this.ready;
    const answer: unknown = await this.#within('answer', () => this.#carrier?.send(document));
    if (answer instanceof Uint8Array) return answer;
    throw new RelayError('TRANSPORT', 'the carrier did not return a document');
  }

  /** Ends the connection, and everything that waits for it. Never rejects. */
  async end(reason: string): Promise<void> {
    if (this.#controller.signal.aborted) return;
    this.#controller.abort(new RelayError('TRANSPORT', reason));
    const { clock, timeoutMs, url, log } = this.#parts;
    try {
      await withTimeout(clock, timeoutMs, `it did not close in ${timeoutMs} ms`, () => this.#carrier?.close());
    } catch (error) {
      log.debug(`the carrier of ${url.protocol} failed to close: ${clean(reasonOf(error), 300)}`);
    }
  }

  async #connect(): Promise<void> {
    const { make, url, self, receive } = this.#parts;
    const { signal } = this.#controller;
    const peer: CarrierPeer = {
      url: new URL(url),
      self: self(),
      signal,
      lost: (reason) => {
        if (!signal.aborted) this.#onLost(clean(reason, 300));
      },
    };
    await this.#within('connect', () => {
      signal.throwIfAborted();
      this.#carrier = make();
      return this.#carrier.connect(peer, (document) => (signal.aborted ? Promise.resolve(ENDED) : receive(document)));
    });
  }

  /** Runs the plugin's code with the timeout; any error of it becomes a RelayError. */
  async #within<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#parts;
    try {
      const late = `it did not ${what} in ${timeoutMs} ms (peerTimeoutMs)`;
      return await Promise.race([this.#ended, withTimeout(clock, timeoutMs, late, work)]);
    } catch (error) {
      const reason = clean(reasonOf(error), 300);
      throw new RelayError(Refusal.is(error) ? 'LIMIT' : 'TRANSPORT', reason, { cause: error });
    }
  }
}

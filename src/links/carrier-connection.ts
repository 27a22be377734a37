/** One connection of a relay plugin's carrier: made, used and ended as the contract of `Carrier` says, whatever the plugin does. */
import { Refusal, RelayError, clean, reasonOf, withTimeout } from '../core/core.ts';
import type { Carrier, CarrierPeer, Receive } from '../plugin/plugin.ts';
import type { Clock, Log } from '../core/core.ts';
import { serialiseFault } from '../xmlrpc/xmlrpc.ts';

export interface ConnectionParts {
  /** Makes the carrier. */
  readonly make: () => Carrier;
  readonly url: URL;
  /** Our own host_id. */
  readonly self: string;
  readonly receive: Receive;
  /** For connect, send and close, each. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Pick<Log, 'debug'>;
  /** Told once, when the carrier says that the connection has ended. */
  readonly onLost: (reason: string) => void;
}

const GONE = serialiseFault(503, 'the connection has ended; send it again later');

export class CarrierConnection {
  readonly #parts: ConnectionParts;
  readonly #controller = new AbortController();
  readonly #ended: Promise<never>;
  /** Resolves when documents may be sent; rejects with a RelayError TRANSPORT. */
  readonly ready: Promise<void>;
  #carrier: Carrier | undefined;

  /** Connects as soon as `before`, the end of the connection before, has resolved. */
  constructor(parts: ConnectionParts, before: Promise<void>) {
    this.#parts = parts;
    const { signal } = this.#controller;
    this.#ended = new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });
    this.ready = before.then(() => this.#connect());
    // Whoever waits for them hears of it; nobody may.
    for (const promise of [this.#ended, this.ready]) promise.catch(() => undefined);
  }

  /** The peer's answer. Rejects with a RelayError: LIMIT if the carrier can never carry this, else TRANSPORT. */
  async send(document: Uint8Array): Promise<Uint8Array> {
    await this.ready;
    const answer: unknown = await this.#within('answer', () => this.#carrier?.send(document));
    if (answer instanceof Uint8Array) return answer;
    throw new RelayError('TRANSPORT', 'the carrier answered something that is no document');
  }

  /** Ends it, and all that waits for it. Never rejects. */
  async end(reason: string): Promise<void> {
    if (this.#controller.signal.aborted) return;
    this.#controller.abort(new RelayError('TRANSPORT', reason));
    const { clock, timeoutMs, log } = this.#parts;
    try {
      await withTimeout(clock, timeoutMs, `it did not close in ${timeoutMs} ms`, () => this.#carrier?.close());
    } catch (error) {
      log.debug(`the carrier of ${this.#parts.url.protocol} failed to close: ${clean(reasonOf(error), 300)}`);
    }
  }

  async #connect(): Promise<void> {
    const { make, url, self, receive, onLost } = this.#parts;
    const { signal } = this.#controller;
    const peer: CarrierPeer = {
      url: new URL(url),
      self,
      signal,
      lost: (reason) => {
        if (!signal.aborted) onLost(clean(reason, 300));
      },
    };
    await this.#within('connect', () => {
      signal.throwIfAborted();
      this.#carrier = make();
      return this.#carrier.connect(peer, (document) => (signal.aborted ? Promise.resolve(GONE) : receive(document)));
    });
  }

  /** Whatever goes wrong in a plugin is a RelayError afterwards. */
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

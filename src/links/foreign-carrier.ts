/** Posts dicts by a relay plugin's carrier in place of HTTP, and stays connected by it, since the peer speaks by it too. */
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { parseResponse } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { CarrierConnection } from './carrier-connection.ts';
import type { ConnectionParts } from './carrier-connection.ts';
import type { Transport } from './link.ts';
import { pauseMs } from './link-state.ts';
import type { LinkOptions } from './options.ts';

export interface ForeignParts extends Pick<ConnectionParts, 'make' | 'url' | 'receive' | 'timeoutMs'> {
  /** `peer memory://b`, for the log. */
  readonly name: string;
  /** Our own host_id, once it is known. */
  readonly self: () => string;
  readonly retry: LinkOptions['retry'];
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

// As over HTTP: an answer to `notify` is 120 bytes.
const MAX_RESPONSE_BYTES = 1024 * 1024;

export class ForeignCarrier implements Transport {
  readonly canBatch = true;
  readonly #parts: ForeignParts;
  #connection: CarrierConnection | undefined;
  #ending: Promise<void> = Promise.resolve();
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: ForeignParts) {
    this.#parts = parts;
  }

  /** Connects, and again whenever the connection has ended, until {@link close}. */
  open(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    if (!this.#isClosed && !this.#connection) this.#connect();
  }

  async post(body: Uint8Array): Promise<ParsedResponse> {
    this.open();
    const connection = this.#connection;
    if (!connection) throw new RelayError('TRANSPORT', `${this.#parts.name}: the link is closed`);
    const answer = await connection.send(body);
    try {
      return parseResponse(answer, { limits: { maxBodyBytes: MAX_RESPONSE_BYTES }, leniency: 'forms' });
    } catch (error) {
      throw new RelayError('TRANSPORT', `it answered no response of XML-RPC: ${reasonOf(error)}`, { cause: error });
    }
  }

  async reset(): Promise<void> {
    await this.#end('the connection is made anew');
    this.#connectLater();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    await this.#end('the link is closed');
  }

  #connect(): void {
    const { name, self, log } = this.#parts;
    const lost = (reason: string): void => {
      if (this.#connection !== connection) return;
      log.warn(`${name}: the connection has ended: ${reason}`);
      void this.reset();
    };
    const connection: CarrierConnection = new CarrierConnection({ ...this.#parts, self: self(), onLost: lost }, this.#ending);
    this.#connection = connection;
    connection.ready.then(
      () => {
        if (this.#failures > 0) log.info(`${name} is connected again after ${this.#failures} tries`);
        this.#failures = 0;
      },
      (error: unknown) => {
        if (this.#connection !== connection) return;
        // Those that follow are as the first, and the link says it again of what waits.
        log[this.#failures++ === 0 ? 'warn' : 'debug'](`${name} cannot be connected: ${reasonOf(error)}`);
        void this.reset();
      },
    );
  }

  #connectLater(): void {
    if (this.#isClosed || this.#connection || this.#cancelRetry) return;
    const { clock, retry, random } = this.#parts;
    this.#cancelRetry = clock.after(pauseMs(this.#failures, { ...retry, random }), () => {
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

/** One satellite elsewhere: its record, the link that it is notified by, and the pings on the same connection. */
import { randomUUID } from 'node:crypto';
import { Link, ServerAddress, isSignOfLife } from '../links/links.ts';
import type { Transport, LinkOptions, LinkStatus, Outgoing } from '../links/links.ts';
import { RelayError } from '../core/core.ts';
import { dictOf } from '../values/values.ts';
import type { Clock, Log } from '../core/core.ts';
import { serialiseCall } from '../xmlrpc/xmlrpc.ts';
import type { SatelliteOptions } from './options.ts';
import { Pinger } from './pinger.ts';
import type { Pings } from './pings.ts';
import { placeKey, urlOf } from './record.ts';
import type { Credential, SatelliteRecord } from './record.ts';

export interface RemoteParts {
  readonly options: SatelliteOptions & LinkOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly carrier: (server: ServerAddress) => Transport;
  readonly isValidToken: (credential: Credential) => boolean;
  /** `reason`: what it did. */
  readonly onGone: (remote: Remote, reason: string) => void;
}

// One empty struct, as every call of co2 has one.
const PING = serialiseCall('ping', [dictOf()]);

export class Remote {
  /** Names it inside this process, whatever is registered at its place later. */
  readonly id = randomUUID();
  readonly #carrier: Transport;
  readonly #link: Link;
  readonly #pinger: Pinger;

  constructor(
    public record: SatelliteRecord,
    { options, clock, random, log, carrier, isValidToken, onGone }: RemoteParts,
  ) {
    this.#carrier = carrier(new ServerAddress(urlOf(record), async () => []));
    this.#pinger = new Pinger({
      clock,
      intervalMs: options.pingIntervalMs,
      maxFails: options.maxPingFails,
      isBusy: () => this.#link.status().state === 'sending',
      ping: () => this.#ping(),
      onAnswer: () => {
        this.#link.retryNow();
      },
      whyRefused: () => {
        const { registeredWith } = this.record;
        return registeredWith === undefined || isValidToken(registeredWith)
          ? undefined
          : `the token '${registeredWith.name}' that it registered with is no longer valid`;
      },
      lastError: () => this.#link.status().lastError ?? 'no answer',
      onGone: (reason) => {
        onGone(this, reason);
      },
    });
    this.#link = new Link({
      name: this.name,
      ...{ carrier: this.#carrier, options, clock, random, log },
      isUnansweredFinal: true,
      onOutcome: (answered) => {
        this.#pinger.note(answered);
      },
    });
  }

  /** For the log. */
  get name(): string {
    return `satellite ${placeKey(this.record)}`;
  }

  get pings(): Pings {
    return this.#pinger.pings;
  }

  get status(): LinkStatus {
    return this.#link.status();
  }

  /** Whatever it answers is a sign of life, a method that it does not have too; what a proxy answers for a server that is not there is none. */
  async #ping(): Promise<void> {
    const answer = await this.#carrier.post(PING);
    if (answer.kind === 'other' && !isSignOfLife(answer)) throw new RelayError('TRANSPORT', answer.reason);
  }

  /** Starts the pings; the first is due after `firstMs`. */
  start(firstMs?: number): void {
    this.#pinger.start(firstMs);
  }

  notify(outgoing: Outgoing): void {
    this.#link.enqueue(outgoing);
  }

  /** It registered anew, so it is there: what waits is tried at once. */
  welcomeBack(): void {
    this.#pinger.forgive();
    this.#link.startedAgain();
  }

  /** Sends what waits, and ends. */
  async drain(budgetMs: number): Promise<void> {
    this.#pinger.stop();
    await this.#link.drain(budgetMs);
  }

  /** Ends at once. */
  async abandon(): Promise<void> {
    this.#pinger.stop();
    await this.#link.abandon();
  }
}

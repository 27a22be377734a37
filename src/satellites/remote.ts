/**
 * One remote satellite: its registration, the link that notifies it, and the pings on the same connection that detect when it is gone.
 */
import { randomUUID } from 'node:crypto';
import { Link, Outbox, PING, ServerAddress, isSignOfLife } from '../links/links.ts';
import type { LinkEvent, LinkOptions, LinkStatus, LinkTransport, Outgoing } from '../links/links.ts';
import { RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { SatelliteOptions } from './options.ts';
import { NO_PINGS, afterAnswer, afterFailure, afterSign, whenDue } from './pings.ts';
import type { Pings } from './pings.ts';
import { endpointKey, urlOf } from './record.ts';
import type { Credential, SatelliteRecord } from './record.ts';

export interface RemoteParts {
  readonly options: SatelliteOptions & LinkOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly events: EventSink<LinkEvent>;
  readonly transport: (server: ServerAddress) => LinkTransport;
  readonly isValidToken: (credential: Credential) => boolean;
  /** Called once, when the satellite has stopped answering or its token has become invalid. No pings are sent after that. */
  readonly onExpired: (remote: Remote, reason: string) => void;
}

/** A registered satellite. */
export class Remote {
  /** Identifies it in this process, whatever is registered at its endpoint later. */
  readonly id = randomUUID();
  readonly #parts: RemoteParts;
  readonly #transport: LinkTransport;
  readonly #outbox: Outbox;
  readonly #link: Link;
  #pings = NO_PINGS;
  // Outcomes of dicts since the last ping was due.
  #answered = false;
  #failed = false;
  #cancelPing: (() => void) | undefined;
  #isStopped = false;

  constructor(
    public record: SatelliteRecord,
    parts: RemoteParts,
  ) {
    this.#parts = parts;
    const { options, clock, random, log, events, transport } = parts;
    this.#transport = transport(new ServerAddress(urlOf(record), async () => []));
    this.#outbox = new Outbox({ name: this.name, limits: options.outbox, log });
    this.#link = new Link({
      ...{ role: 'satellite', name: endpointKey(record), source: this.#outbox, transport: this.#transport },
      ...{ options, clock, random, events, log },
      isUnansweredFinal: true,
      onOutcome: (answered) => {
        this.#countOutcome(answered);
      },
    });
  }

  /** Its name in the log. */
  get name(): string {
    return `satellite ${endpointKey(this.record)}`;
  }

  get pings(): Pings {
    return this.#pings;
  }

  get status(): LinkStatus {
    return this.#link.status();
  }

  /** Starts the pings; the first is due after `firstMs`. */
  start(firstMs = this.#parts.options.pingIntervalMs): void {
    if (this.#isStopped) return;
    this.#cancelPing = this.#parts.clock.after(firstMs, () => {
      void this.#onPingDue();
    });
  }

  notify(outgoing: Outgoing): void {
    this.#outbox.push(outgoing);
    this.#link.wake();
  }

  /** Call this when the satellite has registered again, so that it is alive: resets failures, and sends waiting dicts at once. */
  registeredAgain(): void {
    this.#pings = afterSign(this.#pings);
    this.#link.startedAgain();
  }

  /** Sends the waiting dicts, and ends. */
  async drain(budgetMs: number): Promise<void> {
    this.#stopPings();
    await this.#link.drain(budgetMs);
  }

  /** Ends without sending the waiting dicts. */
  async abandon(): Promise<void> {
    this.#stopPings();
    await this.#link.abandon();
  }

  #countOutcome(answered: boolean): void {
    if (!answered) {
      this.#failed = true;
      return;
    }
    this.#answered = true;
    this.#pings = afterSign(this.#pings);
  }

  /** Never rejects. The next ping is due one interval after this one has ended, so that there is never more than one in progress. */
  async #onPingDue(): Promise<void> {
    const { registeredWith } = this.record;
    if (registeredWith !== undefined && !this.#parts.isValidToken(registeredWith)) {
      this.#expire(`the token '${registeredWith.name}' with which it registered is no longer valid`);
      return;
    }
    const { isSending, lastError } = this.#link.status();
    const action = whenDue({ isBusy: isSending, answered: this.#answered, failed: this.#failed });
    this.#answered = this.#failed = false;
    if (action === 'ping') await this.#ping();
    if (action === 'failure') this.#countFailure(lastError ?? 'no answer');
    this.start();
  }

  async #ping(): Promise<void> {
    const { clock } = this.#parts;
    const start = clock.now();
    try {
      const answer = await this.#transport.post(PING);
      // Any answer of the satellite itself is a sign of life, even a fault for an unknown method; the answer of a proxy in front of it is
      // not.
      if (answer.kind === 'other' && !isSignOfLife(answer)) throw new RelayError('TRANSPORT', answer.reason);
    } catch (error) {
      // A dict that was answered meanwhile proves that it is alive.
      if (!this.#answered) this.#countFailure(reasonOf(error));
      return;
    }
    if (this.#isStopped) return;
    this.#pings = afterAnswer(this.#pings, Math.round((clock.now() - start) * 1000) / 1000);
    this.#link.retryNow();
  }

  #countFailure(reason: string): void {
    if (this.#isStopped) return;
    this.#pings = afterFailure(this.#pings);
    if (this.#pings.fails >= this.#parts.options.maxPingFails)
      this.#expire(`it failed ${this.#pings.fails} times in a row (${clean(reason)})`);
  }

  #expire(reason: string): void {
    this.#stopPings();
    this.#parts.onExpired(this, reason);
  }

  #stopPings(): void {
    this.#isStopped = true;
    this.#cancelPing?.();
  }
}

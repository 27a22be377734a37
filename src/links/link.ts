/** The link to one XML-RPC server: its waiting line, one dict in flight, tried again until the server takes or refuses it. */
import { RelayError, Seldom, WaitingLine, clean, reasonOf } from '../message/message.ts';
import type { Clock, Log } from '../message/message.ts';
import { mayHaveArrived } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { step } from './link-state.ts';
import type { Backoff, LinkEffect, LinkEvent, LinkState } from './link-state.ts';
import type { LinkOptions } from './options.ts';

/** A written-out call on its way. */
export interface Outgoing {
  readonly id: string;
  /** Size in the waiting line. */
  readonly bytes: number;
  /** The call `notify(dict)`, written now. */
  body(): Buffer;
}

/** How bytes get to a server: over HTTP, or by the carrier of a relay plugin. */
export interface Transport {
  /** Connects anew at the next post; called after each failure. */
  reset(): Promise<void>;
  /** Connects already now, where the server speaks by the same connection. Default: the first post connects. */
  open?(): void;
  /** Posts a written `notify`; rejects with a RelayError if no answer came. */
  post(body: Uint8Array): Promise<ParsedResponse>;
  close(): Promise<void>;
}

export interface LinkParts {
  /** `peer http://192.168.1.7:2004`, for the log. */
  readonly name: string;
  readonly carrier: Transport;
  readonly options: LinkOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /**
   * What a server that knows no ids gets once, not again and again: a dict that it took and did not answer in time, or at which it ended the connection for the fifth time, counts as
   * refused. Default false: the server recognises a dict that it had before.
   */
  readonly isUnansweredFinal?: boolean | undefined;
  /** Told of each post: true if the server answered it, whatever it answered. Default: nobody. */
  readonly onOutcome?: ((answered: boolean) => void) | undefined;
}

/** Counters of one link since the start, and where it stands. */
export interface LinkStatus {
  readonly state: 'idle' | 'sending' | 'waiting' | 'closed';
  readonly waiting: number;
  readonly forwarded: number;
  /** Refused by the server for good. */
  readonly refused: number;
  /** Lost to the limits of the line, or at a stop. */
  readonly dropped: number;
  readonly lastError: string | undefined;
}

// Faults by which a server says "not now": too many calls, starting or stopping, transport, system. Any other fault is about the dict and stays the same at every try.
const PASSING_FAULTS: ReadonlySet<number> = new Set([429, 503, 504, -32300, -32400]);

// A program that dies at a dict and is started again would die for ever.
const MAX_BREAKS = 5;

export class Link {
  readonly #parts: LinkParts;
  readonly #line: WaitingLine<Outgoing>;
  readonly #backoff: Backoff;
  readonly #refusals: Seldom;
  readonly #downs: Seldom;
  #state: LinkState = { kind: 'idle' };
  #head: Outgoing | undefined;
  #cancelTimer: (() => void) | undefined;
  #count = { forwarded: 0, refused: 0, lost: 0 };
  // Connections that ended at the dict in flight.
  #breaks = 0;
  #lastError: string | undefined;
  #lastRefusal: string | undefined;
  // The reason of its failure that was last warned of.
  #lastDown: string | undefined;
  #ending = 'when the relay stopped';
  readonly #closed: Promise<void>;
  #sayClosed!: () => void;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    const { name, options, log } = parts;
    this.#line = new WaitingLine({ name, limits: options.outbox, bytesOf: ({ bytes }) => bytes, log });
    this.#refusals = new Seldom(log, parts.clock);
    this.#downs = new Seldom(log, parts.clock);
    this.#backoff = { ...parts.options.retry, random: parts.random };
    this.#closed = new Promise((resolve) => {
      this.#sayClosed = resolve;
    });
  }

  /** Takes a dict into the line; the oldest goes if the line is full. */
  enqueue(outgoing: Outgoing): void {
    if (this.#state.kind === 'closed') return;
    this.#line.push(outgoing);
    this.#on({ type: 'queued' });
  }

  /** Sends what waits and closes; at once if the server is down, and at the latest after `budgetMs`. */
  async drain(budgetMs: number): Promise<void> {
    const cancel = this.#parts.clock.after(budgetMs, () => {
      this.#on({ type: 'close' });
    });
    this.#on({ type: 'drain' });
    await this.#closed;
    cancel();
    await this.#parts.carrier.close();
  }

  /** Tries at once what waits for a server that failed: it has given a sign of life. */
  retryNow(): void {
    if (this.#state.kind !== 'waiting') return;
    this.#cancelTimer?.();
    this.#on({ type: 'due' });
  }

  /** Ends now, without sending what waits: the server has left, or counts as gone. */
  async abandon(): Promise<void> {
    this.#ending = 'when it left';
    this.#on({ type: 'close' });
    await this.#parts.carrier.close();
  }

  status(): LinkStatus {
    return {
      state: this.#state.kind,
      waiting: this.#line.length + (this.#head ? 1 : 0),
      forwarded: this.#count.forwarded,
      refused: this.#count.refused,
      dropped: this.#line.dropped + this.#count.lost,
      lastError: this.#lastError,
    };
  }

  #on(event: LinkEvent): void {
    const [state, effects] = step(this.#state, event, this.#backoff);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: LinkEffect): void {
    switch (effect.type) {
      case 'post':
        this.#head ??= this.#line.shift();
        if (this.#head) void this.#post(this.#head);
        break;
      case 'wait':
        this.#sayDown(effect.ms, effect.failures);
        this.#cancelTimer = this.#parts.clock.after(effect.ms, () => {
          this.#on({ type: 'due' });
        });
        break;
      case 'recovered':
        this.#parts.log.info(
          `${this.#parts.name} answers again after ${effect.failures} tries; ${counted(this.#line.length, 'wait', 'waits')}`,
        );
        break;
      case 'close':
        this.#close();
        break;
    }
  }

  /** Never rejects: whatever happens becomes an event of the link. */
  async #post(outgoing: Outgoing): Promise<void> {
    const body = this.#write(outgoing);
    if (body === undefined) return;
    try {
      const answer = await this.#parts.carrier.post(body);
      this.#parts.onOutcome?.(true);
      this.#note(outgoing, answer);
    } catch (error) {
      if (RelayError.is(error) && error.code === 'LIMIT') {
        this.#parts.onOutcome?.(true);
        this.#settle(outgoing, `it is too large for it (${error.message})`);
        return;
      }
      this.#parts.onOutcome?.(false);
      await this.#fail(reasonOf(error), outgoing, this.#whyFinal(error));
    }
  }

  /** Why the dict in flight must not be sent again; undefined if it may be. */
  #whyFinal(error: unknown): string | undefined {
    if (this.#parts.isUnansweredFinal !== true || !mayHaveArrived(error)) return undefined;
    if (RelayError.is(error) && error.code === 'TIMEOUT') return reasonOf(error);
    this.#breaks++;
    return this.#breaks >= MAX_BREAKS ? `the connection ended ${this.#breaks} times without an answer` : undefined;
  }

  /** A dict that cannot be written now never can; it must not hold up those behind it. */
  #write(outgoing: Outgoing): Buffer | undefined {
    try {
      return outgoing.body();
    } catch (error) {
      // In a turn of its own, so that a line full of such dicts is no recursion.
      queueMicrotask(() => {
        this.#settle(outgoing, `it cannot be written (${reasonOf(error)})`);
      });
      return undefined;
    }
  }

  #note(outgoing: Outgoing, answer: ParsedResponse): void {
    if (answer.kind === 'fault' && PASSING_FAULTS.has(answer.code))
      throw new RelayError('TRANSPORT', `fault ${answer.code}: ${answer.text}`);
    this.#settle(outgoing, answer.kind === 'fault' ? `fault ${answer.code}: ${answer.text}` : undefined);
  }

  #settle(outgoing: Outgoing, refusal: string | undefined): void {
    // An answer that comes after the end: the dict is counted as lost already.
    if (this.#state.kind === 'closed') return;
    const { log } = this.#parts;
    this.#head = undefined;
    this.#breaks = 0;
    if (refusal === undefined) {
      this.#lastRefusal = undefined;
      this.#count.forwarded++;
      if (log.isDebugEnabled()) log.debug(`forwarded ${outgoing.id} to ${this.#parts.name}`);
    } else {
      this.#count.refused++;
      this.#lastError = refusal;
      const text = `refused ${outgoing.id} by ${this.#parts.name}, dropped for it: ${clean(refusal, 300)}`;
      // A server that refuses everything is told once, not once a dict; its counter has them all.
      if (refusal === this.#lastRefusal || !this.#refusals.warn(text)) log.debug(text);
      this.#lastRefusal = refusal;
    }
    this.#on({ type: 'answered', left: this.#line.length });
  }

  async #fail(reason: string, outgoing: Outgoing, whyFinal: string | undefined): Promise<void> {
    this.#lastError = reason;
    await this.#parts.carrier.reset().catch((error: unknown) => {
      this.#parts.log.debug(`${this.#parts.name}: ${reasonOf(error)}`);
    });
    if (whyFinal === undefined) this.#on({ type: 'failed' });
    else this.#settle(outgoing, whyFinal);
  }

  #sayDown(ms: number, failures: number): void {
    const text = `${this.#parts.name} is down (${clean(this.#lastError ?? '', 300)}); ${counted(this.#line.length + 1, 'wait', 'waits')}, next try in ${ms} ms`;
    // Another reason needs another remedy, so it is as loud as the first one.
    if (failures === 1) this.#parts.log.warn(text);
    else if (this.#lastError === this.#lastDown || !this.#downs.warn(text)) {
      this.#parts.log.debug(text);
      return;
    }
    this.#lastDown = this.#lastError;
  }

  #close(): void {
    this.#cancelTimer?.();
    const inFlight = this.#head ? 1 : 0;
    const lost = this.#line.clear() + inFlight;
    this.#count.lost += inFlight;
    this.#head = undefined;
    if (lost > 0) this.#parts.log.warn(`${this.#parts.name}: ${counted(lost, 'were', 'was')} still waiting ${this.#ending}, and lost`);
    this.#sayClosed();
  }
}

function counted(count: number, many: string, one: string): string {
  return count === 1 ? `1 dict ${one}` : `${count} dicts ${many}`;
}

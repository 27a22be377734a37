/** The link to one XML-RPC server: a bounded queue, one request in flight that carries what waits, tried again until the server takes or refuses it. */
import { RelayError, RateLimitedLog, BoundedQueue, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { mayHaveArrived } from '../client/internal.ts';
import { serialiseCall, serialiseMulticall } from '../xmlrpc/xmlrpc.ts';
import { BatchSize, MAX_BATCH_BYTES } from './batch-size.ts';
import { step } from './link-state.ts';
import type { Backoff, LinkEffect, LinkEvent, LinkState } from './link-state.ts';
import type { LinkOptions } from './options.ts';
import { batchVerdictOf, isSignOfLife, offersBatches, verdictOf } from './verdict.ts';
import type { Answer, BatchVerdict, Verdict } from './verdict.ts';

/** A call that is to be sent. */
export interface Outgoing {
  readonly id: string;
  /** What it holds while it waits. */
  readonly bytes: number;
  /** The call `notify(dict)`, written now. */
  body(): Buffer;
}

/** How bytes get to a server: over HTTP, or by the carrier of a relay plugin. */
export interface Transport {
  /** True if it also carries `system.multicall`, so that the server may be asked whether it takes several dicts in one request. Default false. */
  readonly canBatch?: boolean;
  /** Connects anew at the next post; called after each failure. */
  reset(): Promise<void>;
  /** Connects already now, where the server speaks by the same connection. Default: the first post connects. */
  open?(): void;
  /** Posts a written call; rejects with a RelayError if no answer came. */
  post(body: Uint8Array): Promise<Answer>;
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
  /** Told of each post: true if the server answered it and so is alive, whatever it answered. Default: nobody. */
  readonly onOutcome?: ((answered: boolean) => void) | undefined;
}

/** Counters of one link since the start, and where it stands. */
export interface LinkStatus {
  readonly state: 'idle' | 'sending' | 'waiting' | 'closed';
  readonly waiting: number;
  readonly forwarded: number;
  /** Of those forwarded: the server answered that it took them, in a form that could not be read. */
  readonly unreadable: number;
  /** Refused by the server for good. */
  readonly refused: number;
  /** Lost to the limits of the line, or at a stop. */
  readonly dropped: number;
  readonly lastError: string | undefined;
}

/** Why a dict must not be sent again, and how long to wait before any is. */
interface Failure {
  readonly reason: string;
  readonly whyFinal?: string | undefined;
  readonly atLeastMs?: number | undefined;
  readonly progressed?: boolean;
  /** The connection works, so it is kept. */
  readonly keepsConnection?: boolean;
}

// A program that dies at a dict and is started again would die for ever.
const MAX_BREAKS = 5;
// Nothing is called: who offers batches answers the empty list.
const PROBE = serialiseCall('system.multicall', [[]]);

export class Link {
  readonly #parts: LinkParts;
  readonly #line: BoundedQueue<Outgoing>;
  readonly #backoff: Backoff;
  readonly #refusals: RateLimitedLog;
  readonly #downs: RateLimitedLog;
  readonly #batches: BatchSize;
  #state: LinkState = { kind: 'idle' };
  // Taken from the line and not settled, in order: what is in flight, or is sent next. At most one batch.
  #front: Outgoing[] = [];
  #cancelTimer: (() => void) | undefined;
  // Until then the server asked not to be called.
  #notBefore = -Infinity;
  #count = { forwarded: 0, unreadable: 0, refused: 0, lost: 0 };
  // Connections that ended at the first dict in flight.
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
    const { name, options, log, clock } = parts;
    this.#line = new BoundedQueue({ name, limits: options.outbox, bytesOf: ({ bytes }) => bytes, log });
    this.#refusals = new RateLimitedLog(log, clock);
    this.#downs = new RateLimitedLog(log, clock);
    this.#batches = new BatchSize(clock, parts.isUnansweredFinal === true);
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

  /** Tries at once what waits for a server that failed, since it has given a sign of life; not before the time that it asked for. */
  retryNow(): void {
    if (this.#parts.clock.now() >= this.#notBefore) this.#retry();
  }

  /** The server started again: what waits is tried at once, and what was learned of it is forgotten. */
  startedAgain(): void {
    this.#batches.forget();
    this.#retry();
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
      waiting: this.#waiting,
      forwarded: this.#count.forwarded,
      unreadable: this.#count.unreadable,
      refused: this.#count.refused,
      dropped: this.#line.dropped + this.#count.lost,
      lastError: this.#lastError,
    };
  }

  get #waiting(): number {
    return this.#front.length + this.#line.length;
  }

  #retry(): void {
    if (this.#state.kind !== 'waiting') return;
    this.#cancelTimer?.();
    this.#on({ type: 'due' });
  }

  #on(event: LinkEvent): void {
    const [state, effects] = step(this.#state, event, this.#backoff);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: LinkEffect): void {
    switch (effect.type) {
      case 'post':
        void this.#post();
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
  async #post(): Promise<void> {
    const isAsking = this.#parts.carrier.canBatch === true && this.#waiting > 1 && this.#batches.isUnknown;
    if (isAsking && !(await this.#askForBatches())) return;
    const batch = this.#next();
    const written = this.#write(batch);
    const [first] = written;
    if (first === undefined) {
      // In a turn of its own, so that a line full of such dicts is no recursion.
      queueMicrotask(() => {
        this.#answered();
      });
      return;
    }
    const bodies = written.map(({ body }) => body);
    const outgoing = written.map((one) => one.outgoing);
    const startedAt = this.#parts.clock.now();
    try {
      const answer = await this.#parts.carrier.post(bodies.length === 1 ? first.body : serialiseMulticall('notify', bodies));
      this.#parts.onOutcome?.(isSignOfLife(answer));
      await this.#act(outgoing, answer, this.#parts.clock.now() - startedAt);
    } catch (error) {
      await this.#unanswered(outgoing, error);
    }
  }

  /** The next request's dicts, which become the front: as many as the server takes, by count and by bytes; one always. */
  #next(): readonly Outgoing[] {
    const { limit } = this.#batches;
    let bytes = 0;
    let count = 0;
    for (; count < limit; count++) {
      const next = this.#front[count] ?? this.#line.first;
      if (next === undefined) break;
      bytes += next.bytes;
      if (count > 0 && bytes > MAX_BATCH_BYTES) break;
      if (count === this.#front.length) this.#front.push(...this.#taken());
    }
    return this.#front.slice(0, count);
  }

  #taken(): readonly Outgoing[] {
    const next = this.#line.shift();
    return next === undefined ? [] : [next];
  }

  /** Asks the server whether it takes batches; false if the link does not go on now. Never rejects. */
  async #askForBatches(): Promise<boolean> {
    try {
      const answer = await this.#parts.carrier.post(PROBE);
      this.#parts.onOutcome?.(isSignOfLife(answer));
      if (offersBatches(answer)) this.#batches.offered();
      else if (verdictOf(answer, true).kind !== 'later') this.#batches.refused();
      // It may have been closed meanwhile.
      return this.#state.kind === 'sending';
    } catch (error) {
      // Of a server that cannot be reached nothing is learned.
      if (mayHaveArrived(error)) this.#batches.unanswered(RelayError.is(error) && error.code === 'TIMEOUT');
      this.#parts.onOutcome?.(false);
      await this.#fail([], { reason: reasonOf(error) });
      return false;
    }
  }

  async #act(batch: readonly Outgoing[], answer: Answer, ms: number): Promise<void> {
    // An answer that comes after the end: its dicts are counted as lost already.
    if (this.#state.kind === 'closed') return;
    const knowsIds = this.#parts.isUnansweredFinal !== true;
    const verdict: BatchVerdict =
      batch.length === 1 ? { kind: 'each', verdicts: [verdictOf(answer, knowsIds)] } : batchVerdictOf(answer, batch.length, knowsIds);
    switch (verdict.kind) {
      case 'each':
        if (verdict.endsBatches === true) this.#batches.endsBatches();
        else this.#batches.answered(batch.length, ms);
        // A server that answers in XML-RPC works, whatever it says.
        await this.#actOnEach(batch, verdict.verdicts, answer.kind !== 'other');
        break;
      case 'no batches':
        this.#parts.log.debug(`${this.#parts.name} takes no batches: ${clean(verdict.reason, 300)}`);
        this.#batches.refused();
        this.#answered();
        break;
      case 'too large':
        this.#batches.tooLarge(batch.length);
        this.#answered();
        break;
      case 'later':
        await this.#fail(batch, { reason: verdict.reason, atLeastMs: verdict.retryAfterMs, keepsConnection: answer.kind === 'fault' });
        break;
      case 'failed':
        await this.#fail(batch, { reason: verdict.reason });
        break;
    }
  }

  /** Settles what was taken or refused; the rest stays in front, in order. */
  async #actOnEach(batch: readonly Outgoing[], verdicts: readonly Verdict[], keepsConnection: boolean): Promise<void> {
    let failure: Failure | undefined;
    const left: Outgoing[] = [];
    for (const [index, outgoing] of batch.entries()) {
      const verdict = verdicts[index] ?? { kind: 'failed', reason: 'no answer' };
      if (verdict.kind === 'later' || verdict.kind === 'failed') {
        left.push(outgoing);
        failure ??= { reason: verdict.reason, atLeastMs: verdict.kind === 'later' ? verdict.retryAfterMs : undefined };
      } else if (verdict.kind === 'taken') this.#noteTaken(outgoing, verdict.unreadable);
      else this.#noteRefused(outgoing, verdict.kind === 'refused' ? verdict.reason : `it is too large for it (${verdict.reason})`);
    }
    this.#front = [...left, ...this.#front.slice(batch.length)];
    const settled = batch.length - left.length;
    if (settled > 0) this.#breaks = 0;
    if (failure) await this.#fail(left, { ...failure, progressed: settled > 0, keepsConnection });
    else this.#answered();
  }

  /** No answer came, or the carrier can never carry this. */
  async #unanswered(batch: readonly Outgoing[], error: unknown): Promise<void> {
    if (this.#state.kind === 'closed') return;
    const reason = reasonOf(error);
    if (RelayError.is(error) && error.code === 'LIMIT') {
      this.#parts.onOutcome?.(true);
      if (batch.length > 1) this.#batches.tooLarge(batch.length);
      else this.#refuseAll(batch, `it is too large for it (${reason})`);
      this.#answered();
      return;
    }
    this.#parts.onOutcome?.(false);
    // It may have taken some of them: the next batch must not meet the same end.
    if (this.#parts.isUnansweredFinal === true && batch.length > 1 && mayHaveArrived(error)) this.#batches.endsBatches(true);
    await this.#fail(batch, { reason, whyFinal: this.#whyFinal(error) });
  }

  /** Why what is in flight must not be sent again; undefined if it may be. */
  #whyFinal(error: unknown): string | undefined {
    if (this.#parts.isUnansweredFinal !== true || !mayHaveArrived(error)) return undefined;
    if (RelayError.is(error) && error.code === 'TIMEOUT') return reasonOf(error);
    this.#breaks++;
    return this.#breaks >= MAX_BREAKS ? `the connection ended ${this.#breaks} times without an answer` : undefined;
  }

  /** The dicts with their calls. One that cannot be written now never can; it must not hold up those behind it. */
  #write(batch: readonly Outgoing[]): readonly { readonly outgoing: Outgoing; readonly body: Buffer }[] {
    return batch.flatMap((outgoing) => {
      try {
        return [{ outgoing, body: outgoing.body() }];
      } catch (error) {
        this.#refuseAll([outgoing], `it cannot be written (${reasonOf(error)})`);
        return [];
      }
    });
  }

  /** The request is done with; the next one may go. */
  #answered(): void {
    this.#on({ type: 'answered', left: this.#waiting });
  }

  #noteTaken({ id }: Outgoing, unreadable: string | undefined): void {
    const { log, name } = this.#parts;
    this.#lastRefusal = undefined;
    this.#count.forwarded++;
    if (unreadable !== undefined) this.#count.unreadable++;
    if (!log.isDebugEnabled()) return;
    const how = unreadable === undefined ? '' : `; its answer could not be read, so it counts as taken (${clean(unreadable, 300)})`;
    log.debug(`forwarded ${id} to ${name}${how}`);
  }

  #noteRefused({ id }: Outgoing, refusal: string): void {
    const { log, name } = this.#parts;
    this.#count.refused++;
    this.#lastError = refusal;
    const text = `refused ${id} by ${name}, dropped for it: ${clean(refusal, 300)}`;
    // A server that refuses everything is logged once, not once per dict; its counter has them all.
    if (refusal === this.#lastRefusal || !this.#refusals.warn(text)) log.debug(text);
    this.#lastRefusal = refusal;
  }

  #refuseAll(batch: readonly Outgoing[], refusal: string): void {
    for (const outgoing of batch) this.#noteRefused(outgoing, refusal);
    const refused = new Set(batch);
    this.#front = this.#front.filter((one) => !refused.has(one));
    this.#breaks = 0;
  }

  async #fail(batch: readonly Outgoing[], { reason, whyFinal, atLeastMs, progressed, keepsConnection }: Failure): Promise<void> {
    this.#lastError = reason;
    if (keepsConnection !== true) {
      this.#batches.failed(batch.length);
      await this.#reset();
    }
    // It was closed meanwhile, and its dicts are counted as lost.
    if (this.#state.kind === 'closed') return;
    if (whyFinal !== undefined) {
      this.#refuseAll(batch, whyFinal);
      this.#answered();
      return;
    }
    this.#notBefore = this.#parts.clock.now() + (atLeastMs ?? 0);
    this.#on({ type: 'failed', progressed: progressed === true, atLeastMs });
  }

  async #reset(): Promise<void> {
    await this.#parts.carrier.reset().catch((error: unknown) => {
      this.#parts.log.debug(`${this.#parts.name}: ${reasonOf(error)}`);
    });
  }

  #sayDown(ms: number, failures: number): void {
    const text = `${this.#parts.name} is down (${clean(this.#lastError ?? '', 300)}); ${counted(this.#waiting, 'wait', 'waits')}, next try in ${ms} ms`;
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
    const inFlight = this.#front.length;
    const lost = this.#line.clear() + inFlight;
    this.#count.lost += inFlight;
    this.#front = [];
    if (lost > 0) this.#parts.log.warn(`${this.#parts.name}: ${counted(lost, 'were', 'was')} still waiting ${this.#ending}, and lost`);
    this.#sayClosed();
  }
}

function counted(count: number, many: string, one: string): string {
  return count === 1 ? `1 dict ${one}` : `${count} dicts ${many}`;
}

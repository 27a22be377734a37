/**
 * The link to one XML-RPC server: pulls dicts from a source and sends them in order, one request at a time, until the server accepts or
 * rejects them.
 */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { mayHaveArrived } from '../client/internal.ts';
import { dictOf } from '../values/values.ts';
import { serialiseCall, serialiseMulticall } from '../xmlrpc/xmlrpc.ts';
import { BatchSize, MAX_BATCH_BYTES } from './batch-size.ts';
import { labelOf } from './link-events.ts';
import type { LinkConnection, LinkEvent, LinkFailure, LinkName } from './link-events.ts';
import { step } from './link-state.ts';
import type { Backoff, LinkEffect, LinkInput, LinkState } from './link-state.ts';
import type { LinkOptions } from './options.ts';
import type { Outgoing, Source } from './outbox.ts';
import { batchVerdictOf, isSignOfLife, offersBatches, pingVerdictOf, verdictOf } from './verdict.ts';
import type { BatchVerdict, ServerAnswer, Verdict } from './verdict.ts';

/** `ping` with one empty struct, as in every co2 call. The fault of a server without the method counts as an answer. */
export const PING = serialiseCall('ping', [dictOf()]);

/** How bytes reach a server: over HTTP, or by the carrier of a relay plugin. */
export interface LinkTransport {
  /**
   * True if it also carries `system.multicall`, so that the server may be asked whether it accepts several dicts in one request. Default
   * false.
   */
  readonly canBatch?: boolean;
  /** Makes the next post use a new connection; called after each failure. */
  reset(): Promise<void>;
  /** Connects now, where the server sends by the same connection. Default: the first post connects. */
  open?(): void;
  /** Posts a serialized call; rejects with a RelayError if no answer came. */
  post(body: Uint8Array): Promise<ServerAnswer>;
  close(): Promise<void>;
}

export interface LinkParts extends LinkName {
  readonly source: Source;
  readonly transport: LinkTransport;
  readonly options: Pick<LinkOptions, 'retry'>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly events: EventSink<LinkEvent>;
  /** For what happens once per request; events report everything else. */
  readonly log: Pick<Log, 'debug' | 'isDebugEnabled'>;
  /**
   * True for a server that does not recognize a dict that it had before, and so must not get it again and again: a dict that it did not
   * answer in time, or at which it closed the connection for the fifth time, counts as rejected. Default false.
   */
  readonly isUnansweredFinal?: boolean | undefined;
  /** Called after each request; `answered`: the server is alive, whatever it answered. Default: nothing. */
  readonly onOutcome?: ((answered: boolean) => void) | undefined;
}

/** State of one link, and counters since the start. */
export interface LinkStatus {
  /** How the link stands with its server. */
  readonly state: LinkConnection['type'];
  /** True while a request is under way. */
  readonly isSending: boolean;
  /** ms since the first of the requests in a row that failed; 0 if the last one did not. */
  readonly downMs: number;
  readonly waiting: number;
  /** Memory of the waiting dicts. */
  readonly bytes: number;
  /** For how long the oldest waiting dict has been at this relay, in ms; 0 if none waits. */
  readonly oldestMs: number;
  readonly forwarded: number;
  /** Of those forwarded: the server accepted them in an answer that could not be read. */
  readonly unreadable: number;
  /** Rejected by the server for good. */
  readonly refused: number;
  /** Lost to the limits of the outbox, or when the link ended. */
  readonly dropped: number;
  /** Why it fails, or why the last dict was refused; undefined if neither is so. */
  readonly lastError: string | undefined;
}

interface Failure {
  readonly reason: string;
  /** Why the dicts must not be sent again; undefined if they may. */
  readonly whyFinal?: string | undefined;
  readonly atLeastMs?: number | undefined;
  readonly progressed?: boolean;
  /** The connection works, so it is kept. */
  readonly keepsConnection?: boolean;
}

// A program that crashes at a dict and is restarted would crash forever.
const MAX_BREAKS = 5;
// Calls nothing: a server that accepts batches answers the empty list.
const PROBE = serialiseCall('system.multicall', [[]]);

export class Link {
  readonly #parts: LinkParts;
  readonly #backoff: Backoff;
  readonly #batches: BatchSize;
  // What the machine does next; changes with every request.
  #state: LinkState = { kind: 'idle' };
  // What others are told of it; changes when the server fails or recovers.
  #connection: LinkConnection = { type: 'unused' };
  #hasAnswered = false;
  #failingSince: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #cancelPing: (() => void) | undefined;
  // The server asked not to be called before this time.
  #notBefore = -Infinity;
  readonly #count = { forwarded: 0, unreadable: 0, refused: 0 };
  // Connections that ended at the first dict in flight.
  #breaks = 0;
  readonly #whenSent: (() => void)[] = [];
  // Why the last request failed; undefined after one that did not.
  #failure: string | undefined;
  // Reason of the previous rejection; undefined after a dict was accepted.
  #lastRefusal: string | undefined;
  #whenStopped = 'when the relay stopped';
  readonly #closed: Promise<void>;
  #resolveClosed!: () => void;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#batches = new BatchSize(parts.clock, parts.isUnansweredFinal === true);
    this.#backoff = { ...parts.options.retry, random: parts.random };
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Sends what was added to the source, unless a request is under way already. */
  wake(): void {
    if (this.#state.kind === 'idle' && this.#parts.source.size() > 0) this.#on({ type: 'queued' });
  }

  /**
   * Pings the server at once, so that its state is known before there is a dict for it, and then after each time of about `intervalMs`
   * in which it got none.
   */
  startPings(intervalMs: number): void {
    this.#on({ type: 'ping' });
    this.#pingLater(intervalMs);
  }

  /** Sends what waits and closes; at once if the server is down, and after `budgetMs` at the latest. */
  async drain(budgetMs: number): Promise<void> {
    const cancel = this.#parts.clock.after(budgetMs, () => {
      this.#on({ type: 'close' });
    });
    // Nothing waits behind a ping that is under way.
    this.#on({ type: this.#parts.source.size() === 0 ? 'close' : 'drain' });
    await this.#closed;
    cancel();
    await this.#parts.transport.close();
  }

  /** Retries at once, since a server that failed has given a sign of life; but not before the time that it asked for. */
  retryNow(): void {
    if (this.#parts.clock.now() >= this.#notBefore) this.#retry();
  }

  /** Retries at once and forgets what was learned of the server, since it was restarted. */
  startedAgain(): void {
    this.#batches.forget();
    this.#retry();
  }

  /** Closes without sending what waits: the server has left, or counts as gone. */
  async abandon(): Promise<void> {
    this.#whenStopped = 'when it left';
    this.#on({ type: 'close' });
    await this.#parts.transport.close();
  }

  status(): LinkStatus {
    const { source, clock } = this.#parts;
    return {
      ...{ state: this.#connection.type, isSending: this.#state.kind === 'sending' },
      ...{
        waiting: source.size(),
        ...source.backlog(clock.now()),
        ...this.#count,
        dropped: source.dropped,
        lastError: this.#failure ?? this.#lastRefusal,
      },
      downMs: this.#failingSince === undefined ? 0 : Math.max(1, Math.round(clock.now() - this.#failingSince)),
    };
  }

  /** Resolves once nothing waits, which is at once if nothing does; also when the link is closed. Never rejects. */
  whenSent(): Promise<void> {
    if (this.#state.kind === 'closed' || this.#parts.source.size() === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSent.push(resolve);
    });
  }

  #noteSent(): void {
    for (const resolve of this.#whenSent.splice(0)) resolve();
  }

  /** True if the last request failed. */
  get isFailing(): boolean {
    return this.#failingSince !== undefined;
  }

  #pingLater(intervalMs: number): void {
    const { clock, random } = this.#parts;
    const settled = this.#settled;
    // Relays that were started together do not ping together forever.
    this.#cancelPing = clock.after(intervalMs * (0.9 + 0.2 * random()), () => {
      if (this.#settled === settled) this.#on({ type: 'ping' });
      this.#pingLater(intervalMs);
    });
  }

  /** Number of dicts that the server has accepted or rejected. */
  get #settled(): number {
    return this.#count.forwarded + this.#count.refused;
  }

  #retry(): void {
    if (this.#state.kind !== 'waiting') return;
    this.#cancelTimer?.();
    this.#on({ type: 'due' });
  }

  #on(input: LinkInput): void {
    const [state, effects] = step(this.#state, input, this.#backoff);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: LinkEffect): void {
    switch (effect.type) {
      case 'post':
        if (this.#connection.type === 'unused') this.#setConnection({ type: 'connecting' });
        void this.#post();
        break;
      case 'wait':
        this.#backOff(effect.failures, effect.ms);
        this.#cancelTimer = this.#parts.clock.after(effect.ms, () => {
          this.#on({ type: 'due' });
        });
        break;
      case 'recovered':
        this.#setConnection({ type: 'up', attempts: effect.failures });
        break;
      case 'close':
        this.#close();
        break;
    }
  }

  #setConnection(state: LinkConnection): void {
    this.#connection = state;
    if (state.type === 'up') [this.#hasAnswered, this.#failingSince] = [true, undefined];
    else if (isFailure(state)) this.#failingSince ??= this.#parts.clock.now();
    const { role, name, source, events } = this.#parts;
    events.emit({ type: 'link.state', role, name, state, waiting: source.size() });
  }

  #backOff(attempt: number, delayMs: number): void {
    const { role, name, source, events } = this.#parts;
    const failure = { attempt, reason: this.#failure ?? '', delayMs };
    const before = this.#connection;
    if (attempt > 0 && !(isFailure(before) && before.reason === failure.reason))
      this.#setConnection({ ...failure, type: this.#hasAnswered ? 'down' : 'never reached' });
    else {
      // The server accepted some dicts, and only wants a pause.
      if (before.type === 'connecting') this.#setConnection({ type: 'up', attempts: 0 });
      if (events.isWatched('link.retry')) events.emit({ ...failure, type: 'link.retry', role, name, waiting: source.size() });
    }
  }

  /** Never rejects: every outcome becomes an input of the state machine. */
  async #post(): Promise<void> {
    const { source, transport, clock, onOutcome } = this.#parts;
    if (source.size() === 0) {
      await this.#ping();
      return;
    }
    const mustAsk = transport.canBatch === true && source.size() > 1 && this.#batches.isUnknown;
    if (mustAsk && !(await this.#askForBatches())) return;
    const { batch, bodies } = this.#serialise(source.next(this.#batches.limit, MAX_BATCH_BYTES));
    const [first] = bodies;
    if (first === undefined) {
      // In a microtask of its own, so that many such dicts in a row are not a recursion.
      queueMicrotask(() => {
        this.#answered();
      });
      return;
    }
    const startedAt = clock.now();
    try {
      const answer = await transport.post(bodies.length === 1 ? first : serialiseMulticall('notify', bodies));
      onOutcome?.(isSignOfLife(answer));
      await this.#act(batch, answer, clock.now() - startedAt);
    } catch (error) {
      await this.#unanswered(batch, error);
    }
  }

  /** Asks the server whether it is there. Never rejects. */
  async #ping(): Promise<void> {
    try {
      const answer = await this.#parts.transport.post(PING);
      if (this.#state.kind === 'closed') return;
      const verdict = pingVerdictOf(answer);
      if (verdict.kind === 'failed') await this.#fail([], { reason: verdict.reason });
      else if (verdict.kind === 'later')
        await this.#fail([], { reason: verdict.reason, atLeastMs: verdict.retryAfterMs, keepsConnection: answer.kind === 'fault' });
      else this.#answered();
    } catch (error) {
      if (this.#state.kind !== 'closed') await this.#fail([], { reason: reasonOf(error) });
    }
  }

  /** Serializes the dicts. One that cannot be serialized now never can be; it must not hold up those behind it. */
  #serialise(items: readonly Outgoing[]): { readonly batch: readonly Outgoing[]; readonly bodies: readonly Buffer[] } {
    const batch: Outgoing[] = [];
    const bodies: Buffer[] = [];
    for (const item of items) {
      try {
        bodies.push(item.body());
        batch.push(item);
      } catch (error) {
        this.#refuseAll([item], `it cannot be written (${reasonOf(error)})`);
      }
    }
    return { batch, bodies };
  }

  /** Asks the server whether it accepts batches; false if the link does not continue now. Never rejects. */
  async #askForBatches(): Promise<boolean> {
    try {
      const answer = await this.#parts.transport.post(PROBE);
      this.#parts.onOutcome?.(isSignOfLife(answer));
      if (offersBatches(answer)) this.#batches.offered();
      else if (verdictOf(answer, true).kind !== 'later') this.#batches.refused();
      // The link may have been closed meanwhile.
      return this.#state.kind === 'sending';
    } catch (error) {
      // A server that cannot be reached has told us nothing.
      if (mayHaveArrived(error)) this.#batches.unanswered(isTimeout(error));
      this.#parts.onOutcome?.(false);
      await this.#fail([], { reason: reasonOf(error) });
      return false;
    }
  }

  async #act(batch: readonly Outgoing[], answer: ServerAnswer, ms: number): Promise<void> {
    // The link was closed before the answer came, and its dicts count as lost already.
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
        this.#parts.log.debug(`${labelOf(this.#parts)} accepts no batches: ${clean(verdict.reason, 300)}`);
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

  /** Acknowledges what was accepted or rejected; the rest stays in the source, in order. */
  async #actOnEach(batch: readonly Outgoing[], verdicts: readonly Verdict[], keepsConnection: boolean): Promise<void> {
    let failure: Failure | undefined;
    const settled: Outgoing[] = [];
    const unsettled: Outgoing[] = [];
    for (const [index, outgoing] of batch.entries()) {
      const verdict = verdicts[index] ?? { kind: 'failed', reason: 'no answer' };
      if (verdict.kind === 'later' || verdict.kind === 'failed') {
        unsettled.push(outgoing);
        failure ??= { reason: verdict.reason, atLeastMs: verdict.kind === 'later' ? verdict.retryAfterMs : undefined };
        continue;
      }
      settled.push(outgoing);
      if (verdict.kind === 'taken') this.#countAccepted(outgoing, verdict.unreadable);
      else this.#countRefused(outgoing, verdict.kind === 'refused' ? verdict.reason : `it is too large for it (${verdict.reason})`);
    }
    this.#parts.source.ack(settled);
    if (settled.length > 0) this.#breaks = 0;
    if (failure) await this.#fail(unsettled, { ...failure, progressed: settled.length > 0, keepsConnection });
    else this.#answered();
  }

  /** No answer came, or the carrier can never carry this. */
  async #unanswered(batch: readonly Outgoing[], error: unknown): Promise<void> {
    if (this.#state.kind === 'closed') return;
    const { onOutcome, isUnansweredFinal } = this.#parts;
    const reason = reasonOf(error);
    if (RelayError.is(error) && error.code === 'LIMIT') {
      onOutcome?.(true);
      if (batch.length > 1) this.#batches.tooLarge(batch.length);
      else this.#refuseAll(batch, `it is too large for it (${reason})`);
      this.#answered();
      return;
    }
    onOutcome?.(false);
    // The server may have accepted some of them: the next batch must not end the same way.
    if (isUnansweredFinal === true && batch.length > 1 && mayHaveArrived(error)) this.#batches.endsBatches(true);
    await this.#fail(batch, { reason, whyFinal: this.#whyFinal(error) });
  }

  /** Why the dicts in flight must not be sent again; undefined if they may. */
  #whyFinal(error: unknown): string | undefined {
    if (this.#parts.isUnansweredFinal !== true || !mayHaveArrived(error)) return undefined;
    if (isTimeout(error)) return reasonOf(error);
    this.#breaks++;
    return this.#breaks >= MAX_BREAKS ? `the connection ended ${this.#breaks} times without an answer` : undefined;
  }

  /** The request is finished; the next one may be sent. */
  #answered(): void {
    this.#failure = undefined;
    if (this.#connection.type === 'connecting') this.#setConnection({ type: 'up', attempts: 0 });
    const left = this.#parts.source.size();
    if (left === 0) this.#noteSent();
    this.#on({ type: 'answered', left });
  }

  #countAccepted({ id }: Outgoing, unreadable: string | undefined): void {
    const { role, name, log, events } = this.#parts;
    this.#lastRefusal = undefined;
    this.#count.forwarded++;
    if (unreadable !== undefined) this.#count.unreadable++;
    if (events.isWatched('link.forwarded')) events.emit({ type: 'link.forwarded', role, name, id, unreadable });
    // Once per message: no event is built for the log.
    if (!log.isDebugEnabled()) return;
    const how = unreadable === undefined ? '' : `; its answer could not be read, so it counts as accepted (${clean(unreadable, 300)})`;
    log.debug(`forwarded ${id} to ${labelOf(this.#parts)}${how}`);
  }

  #countRefused({ id }: Outgoing, reason: string): void {
    const { role, name, events } = this.#parts;
    this.#count.refused++;
    const isRepeated = reason === this.#lastRefusal;
    this.#lastRefusal = reason;
    if (events.isWatched('link.refused')) events.emit({ type: 'link.refused', role, name, id, reason, isRepeated });
  }

  #refuseAll(batch: readonly Outgoing[], reason: string): void {
    for (const outgoing of batch) this.#countRefused(outgoing, reason);
    this.#parts.source.ack(batch);
    this.#breaks = 0;
  }

  async #fail(batch: readonly Outgoing[], { reason, whyFinal, atLeastMs, progressed, keepsConnection }: Failure): Promise<void> {
    this.#failure = reason;
    if (keepsConnection !== true) {
      this.#batches.failed(batch.length);
      await this.#parts.transport.reset().catch((error: unknown) => {
        this.#parts.log.debug(`${labelOf(this.#parts)}: ${reasonOf(error)}`);
      });
    }
    // The link was closed meanwhile, and its dicts count as lost.
    if (this.#state.kind === 'closed') return;
    if (whyFinal !== undefined) {
      this.#refuseAll(batch, whyFinal);
      this.#answered();
      return;
    }
    this.#notBefore = this.#parts.clock.now() + (atLeastMs ?? 0);
    this.#on({ type: 'failed', progressed: progressed === true, atLeastMs });
  }

  #close(): void {
    this.#cancelTimer?.();
    this.#cancelPing?.();
    const { role, name, source, events } = this.#parts;
    const count = source.close();
    if (count > 0) events.emit({ type: 'link.dropped', role, name, count, reason: this.#whenStopped });
    this.#setConnection({ type: 'stopped' });
    this.#noteSent();
    this.#resolveClosed();
  }
}

function isFailure(state: LinkConnection): state is LinkConnection & LinkFailure {
  return state.type === 'down' || state.type === 'never reached';
}

function isTimeout(error: unknown): boolean {
  return RelayError.is(error) && error.code === 'TIMEOUT';
}

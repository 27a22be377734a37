/** Runs the hooks of relay plugins on each message after the origin check and before delivery, one message at a time and in order. */
import { Fifo, RateLimitedLog, RelayError, andThen, clean, isPromise, reasonOf } from '../core/core.ts';
import type { Clock, Log, MaybePromise, QueueLimits } from '../core/core.ts';
import { hopsOf } from '../message/message.ts';
import type { Message } from '../message/message.ts';
import type { Hook, HookAbout, Hooks } from '../plugin-host/plugin-host.ts';
import type { Sender } from '../satellites/satellites.ts';
import { decodedBytes, heldBytes, shareDict } from '../values/values.ts';
import type { Sending } from './addressing.ts';
import { withContents } from './ingress.ts';
import { route } from './route.ts';

/** A message as the hooks leave it. */
export interface Outcome {
  /** What the satellites of this relay get. */
  readonly here: Message;
  /** What the peers get; undefined if it is forwarded to none. */
  readonly onward: Message | undefined;
}

/** Who submitted a message. */
export type Submitter = HookAbout['from'];

/** Where a message comes from and how it is sent. */
export interface Journey {
  readonly from: Submitter;
  readonly sending: Sending;
}

/** What a {@link HookChain} needs. */
export interface HookChainDependencies {
  /** The names of the peers and nodes to which a message would be forwarded. */
  readonly targets: (message: Message, sending: Sending) => readonly string[];
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly log: Log;
}

/** A message that waits until earlier ones have passed the hooks. */
interface Waiting {
  readonly bytes: number;
  /** Never rejects. */
  readonly run: () => Promise<void>;
  readonly refuse: (error: RelayError) => void;
}

/** The hooks of all relay plugins, with the messages that wait for them. */
export class HookChain {
  readonly #dependencies: HookChainDependencies;
  readonly #warnings: RateLimitedLog;
  readonly #waiting = new Fifo<Waiting>();
  readonly #onIdle: (() => void)[] = [];
  #bytes = 0;
  #isBusy = false;
  #overflowed = 0;
  #heldBack = 0;

  constructor(dependencies: HookChainDependencies) {
    this.#dependencies = dependencies;
    this.#warnings = new RateLimitedLog(dependencies.log, dependencies.clock);
  }

  /** Numbers of dicts that wait for hooks now, that were refused because too many did, and that hooks did not let pass to peers. */
  get counters(): { hooksWaiting: number; hooksOverflowed: number; heldBack: number } {
    return { hooksWaiting: this.#waiting.length, hooksOverflowed: this.#overflowed, heldBack: this.#heldBack };
  }

  /**
   * Runs the hooks and calls `proceed` with the outcome, in the order of the calls of `pass`. Returns the result of `proceed`, without a
   * promise if neither a hook nor an earlier message has to be awaited. Throws, or rejects with, the RelayError or Fault by which a hook
   * refuses the message, or a RelayError UNAVAILABLE if too many wait.
   */
  pass<T>(hooks: Hooks, message: Message, journey: Journey, proceed: (outcome: Outcome) => T): MaybePromise<T> {
    const work = (): MaybePromise<T> => andThen(this.#outcome(hooks, message, journey), proceed);
    if (this.#isBusy) return this.#enqueue(message, work);
    // Also busy while `work` runs, so that a message that a hook sends comes after this one.
    this.#isBusy = true;
    let result: MaybePromise<T>;
    try {
      result = work();
    } catch (error) {
      this.#next();
      throw error;
    }
    const next = (): void => {
      this.#next();
    };
    if (isPromise(result)) result.then(next, next);
    else next();
    return result;
  }

  /** Resolves once no message is being processed by a hook; messages that are still waiting after `ms` are refused. */
  async settle(ms: number): Promise<void> {
    if (!this.#isBusy) return;
    const cancelTimer = this.#dependencies.clock.after(ms, () => {
      this.#refuseWaiting();
    });
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve);
    });
    cancelTimer();
  }

  #outcome({ onAccept, onForward }: Hooks, message: Message, { from, sending }: Journey): MaybePromise<Outcome> {
    const to = onForward.length === 0 ? [] : this.#dependencies.targets(message, sending);
    const delivered = (one: Message): MaybePromise<Message> =>
      route(one).local ? this.#run(onAccept, one, { where: 'delivery', from, to: [] }) : one;
    if (from.kind !== 'peer') {
      const sent = this.#run(onForward, message, { where: 'origin', from, to });
      return andThen(sent, (onward) => andThen(delivered(onward), (here) => ({ here, onward })));
    }
    // A message that passes through reaches the next peer as its origin sent it, or not at all.
    return andThen(delivered(message), (here) =>
      andThen(this.#mayPassThrough(onForward, message, from, to), (may) => ({ here, onward: may ? message : undefined })),
    );
  }

  #mayPassThrough(hooks: readonly Hook[], message: Message, from: Submitter, to: readonly string[]): MaybePromise<boolean> {
    if (to.length === 0) return true;
    try {
      const passed = this.#run(hooks, message, { where: 'through', from, to });
      if (!isPromise(passed)) return true;
      return passed.then(
        () => true,
        (error: unknown) => this.#holdBack(message, error),
      );
    } catch (error) {
      return this.#holdBack(message, error);
    }
  }

  #holdBack({ id }: Message, error: unknown): false {
    this.#heldBack++;
    this.#dependencies.log.debug(`${clean(id, 130)} is not forwarded: ${reasonOf(error)}`);
    return false;
  }

  /** Runs the hooks from the index `first` on, and returns the message as they leave it. */
  #run(hooks: readonly Hook[], message: Message, about: Pick<HookAbout, 'where' | 'from' | 'to'>, first = 0): MaybePromise<Message> {
    let current = message;
    for (const [index, hook] of hooks.entries()) {
      if (index < first) continue;
      const before = current;
      const answer = hook.call(shareDict(before.frozen()), { ...this.#stampOf(before), ...about });
      if (isPromise(answer))
        return answer.then((given) => this.#run(hooks, given ? withContents(before, given) : before, about, index + 1));
      if (answer) current = withContents(before, answer);
    }
    return current;
  }

  #stampOf(message: Message): Pick<HookAbout, 'id' | 'hops' | 'ageMs' | 'verdict'> {
    const { id, verdict, ageMs, arrivedAt } = message;
    return { id, verdict, hops: hopsOf(message), ageMs: ageMs + this.#dependencies.clock.now() - arrivedAt };
  }

  #enqueue<T>(message: Message, work: () => MaybePromise<T>): Promise<T> {
    const { maxMessages, maxBytes } = this.#dependencies.limits;
    // The decoded dict counts too, since the caller holds it while it waits.
    const bytes = heldBytes(message) + decodedBytes(message.frozen().dict);
    const isFull = this.#waiting.length >= maxMessages || (this.#waiting.length > 0 && this.#bytes + bytes > maxBytes);
    if (isFull) {
      this.#overflowed++;
      const text = `${this.#waiting.length} dicts are already waiting for the hooks of relay plugins (hookLine)`;
      this.#warnings.warn(`refused a dict: ${text}`);
      throw new RelayError('UNAVAILABLE', `${text}; send it again later`);
    }
    this.#bytes += bytes;
    return new Promise<T>((resolve, reject) => {
      const run = (): Promise<void> => Promise.resolve().then(work).then(resolve, reject);
      this.#waiting.push({ bytes, run, refuse: reject });
    });
  }

  #next(): void {
    if (this.#waiting.length > 0) {
      void this.#runWaiting();
      return;
    }
    this.#isBusy = false;
    for (const onIdle of this.#onIdle.splice(0)) onIdle();
  }

  async #runWaiting(): Promise<void> {
    for (let next = this.#shift(); next; next = this.#shift()) await next.run();
    this.#next();
  }

  #shift(): Waiting | undefined {
    const next = this.#waiting.shift();
    if (next) this.#bytes -= next.bytes;
    return next;
  }

  #refuseWaiting(): void {
    const { length } = this.#waiting;
    if (length === 0) return;
    this.#dependencies.log.warn(`refused ${length} dicts that still waited for the hooks of relay plugins when the relay stopped`);
    for (let next = this.#shift(); next; next = this.#shift()) next.refuse(new RelayError('UNAVAILABLE', 'the relay is stopping'));
  }
}

/** Who submitted a message to this relay: a peer if it has a stamp, since stamps are only trusted from peers. */
export function submitterOf({ via, clientAddress: [address] }: Message, sender: Sender | undefined): Submitter {
  const peer = via.at(-1);
  if (peer !== undefined) return { kind: 'peer', name: peer };
  return sender ? { kind: 'satellite', name: sender.name } : { kind: 'client', name: address };
}

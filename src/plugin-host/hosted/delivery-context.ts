/** The context of one delivery, one per satellite and message. */
import { hopsOf } from '../../message/message.ts';
import type { Message, Verdict } from '../../message/message.ts';
import { Context } from '../../plugin/plugin.ts';

/** What a context tells, but for its signal. */
export type ContextStamp = Omit<Context, 'signal'>;

export class DeliveryContext extends Context {
  readonly id: string;
  readonly hops: number;
  readonly ageMs: number;
  readonly redelivered: boolean;
  readonly verdict: Verdict;
  #controller: AbortController | undefined;

  constructor({ id, hops, ageMs, redelivered, verdict }: ContextStamp) {
    super();
    this.id = id;
    this.hops = hops;
    this.ageMs = ageMs;
    this.redelivered = redelivered;
    this.verdict = verdict;
  }

  /** Made when it is asked for: most receivers never look, and a signal costs more than the rest of a delivery. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  /** Also a signal that is asked for later is aborted then. */
  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }
}

/** The context of `message` for one satellite at `now` (the relay's clock). */
export function contextOf(message: Message, now: number): DeliveryContext {
  const { id, ageMs, arrivedAt, verdict } = message;
  return new DeliveryContext({ id, hops: hopsOf(message), ageMs: ageMs + now - arrivedAt, redelivered: false, verdict });
}

/** The context of one delivery, one per satellite and message. */
import { hopsOf } from '../message/message.ts';
import type { Message, Verdict } from '../message/message.ts';
import { Context } from '../plugin/plugin.ts';

export class DeliveryContext extends Context {
  readonly id: string;
  readonly hops: number;
  readonly ageMs: number;
  readonly redelivered = false;
  readonly verdict: Verdict;
  #controller: AbortController | undefined;

  constructor(message: Message, now: number) {
    super();
    this.id = message.id;
    this.hops = hopsOf(message);
    this.ageMs = message.ageMs + now - message.arrivedAt;
    this.verdict = message.verdict;
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

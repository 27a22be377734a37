/** Between the origin check and the junction: what the hooks of relay plugins make of a message. */
import { andThen, clean, isPromise, reasonOf } from '../core/core.ts';
import { decodedBytes, heldBytes, shareDict } from '../values/values.ts';
import { hopsOf } from '../message/message.ts';
import type { Clock, QueueLimits, Log, MaybePromise } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import type { Hook, HookAbout, Hooks } from '../plugin-host/plugin-host.ts';
import type { Sender } from '../satellites/satellites.ts';
import { HookLine } from './hook-line.ts';
import { withContents } from './intake.ts';

/** What of a message goes where. */
export interface Ways {
  /** To the satellites of this relay. */
  readonly here: Message;
  /** To peers; undefined if it goes to none. */
  readonly onward: Message | undefined;
}

export type HandedInBy = HookAbout['from'];

export interface HookedParts {
  readonly hooks: Hooks;
  /** Names of the peers that a message would be forwarded to. */
  readonly targets: (message: Message) => readonly string[];
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly log: Log;
}

export class Hooked {
  readonly #parts: HookedParts;
  readonly #line: HookLine;
  #heldBack = 0;

  constructor(parts: HookedParts) {
    this.#parts = parts;
    this.#line = new HookLine(parts);
  }

  /** Dicts that wait for hooks now, that were refused since too many did, and that a hook let go no further than here. */
  get counters(): { hooksWaiting: number; hooksOverflowed: number; heldBack: number } {
    return { hooksWaiting: this.#line.waiting, hooksOverflowed: this.#line.overflowed, heldBack: this.#heldBack };
  }

  /**
   * What `go` answers for what the hooks let through, in the order of the calls; now, if no hook and no dict before has to be waited for. Throws, or rejects
   * with, the RelayError or Fault by which it is refused.
   */
  take<T>(message: Message, from: HandedInBy, go: (ways: Ways) => T): MaybePromise<T> {
    // Its caller waits for the answer and holds the decoded dict meanwhile.
    const bytesOf = (): number => heldBytes(message) + decodedBytes(message.frozen().dict);
    return this.#line.run(bytesOf, () => andThen(this.#ways(message, from), go));
  }

  /** Resolves when no dict is under way any more; what still waits after `ms` is refused. */
  settle(ms: number): Promise<void> {
    return this.#line.settle(ms);
  }

  #ways(message: Message, from: HandedInBy): MaybePromise<Ways> {
    const { onAccept, onForward } = this.#parts.hooks;
    const delivered = (one: Message): MaybePromise<Message> => this.#pass(onAccept, one, { where: 'delivery', from, to: [] });
    if (from.kind !== 'peer') {
      const sent = this.#pass(onForward, message, { where: 'origin', from, to: this.#targets(message) });
      return andThen(sent, (onward) => andThen(delivered(onward), (here) => ({ here, onward })));
    }
    return andThen(delivered(message), (here) =>
      andThen(this.#goesOn(message, from), (goes) => ({ here, onward: goes ? message : undefined })),
    );
  }

  #targets(message: Message): readonly string[] {
    return this.#parts.hooks.onForward.length === 0 ? [] : this.#parts.targets(message);
  }

  /** False if a hook lets a message that goes through go no further. */
  #goesOn(message: Message, from: HandedInBy): MaybePromise<boolean> {
    const to = this.#targets(message);
    if (to.length === 0) return true;
    try {
      const passed = this.#pass(this.#parts.hooks.onForward, message, { where: 'through', from, to });
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
    this.#parts.log.debug(`${clean(id, 130)} goes no further than here: ${reasonOf(error)}`);
    return false;
  }

  /** The message that the hooks, from the one at `first` on, make of `message`. */
  #pass(hooks: readonly Hook[], message: Message, about: Pick<HookAbout, 'where' | 'from' | 'to'>, first = 0): MaybePromise<Message> {
    let current = message;
    for (const [index, hook] of hooks.entries()) {
      if (index < first) continue;
      const before = current;
      const answer = hook.call(shareDict(before.frozen()), { ...this.#stampOf(before), ...about });
      if (isPromise(answer))
        return answer.then((given) => this.#pass(hooks, given ? withContents(before, given) : before, about, index + 1));
      if (answer) current = withContents(before, answer);
    }
    return current;
  }

  #stampOf(message: Message): Pick<HookAbout, 'id' | 'hops' | 'ageMs' | 'verdict'> {
    const { id, verdict, ageMs, arrivedAt } = message;
    return { id, verdict, hops: hopsOf(message), ageMs: ageMs + this.#parts.clock.now() - arrivedAt };
  }
}

/** Who handed a message to this relay: a peer if it has a stamp, which is believed from peers alone. */
export function handedInBy({ via, clientAddress: [address] }: Message, sender: Sender | undefined): HandedInBy {
  const peer = via.at(-1);
  if (peer !== undefined) return { kind: 'peer', name: peer };
  return sender ? { kind: 'satellite', name: sender.name } : { kind: 'client', name: address };
}

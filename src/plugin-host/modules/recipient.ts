/** Delivery to a satellite of this process: the inbox that its class asks for, and the calls of its `receive`. */
import { BoundedQueue, clean, isPromise, RateLimitedLog, reasonOf } from '../../core/core.ts';
import type { Clock, Log, RelayError } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import { hopsOf } from '../../message/message.ts';
import type { Message, Verdict } from '../../message/message.ts';
import type { Plugin, SatelliteInbox } from '../../plugin/internal.ts';
import { Context } from '../../plugin/plugin.ts';
import { heldBytes, shareDict } from '../../values/values.ts';
import type { Dict } from '../../values/values.ts';
import { Inbox, reasonText, whereThrown } from '../hosted/hosted.ts';
import type { HostEvent, InboxOptions, Recipient } from '../hosted/hosted.ts';
import type { Watchdog, Watched } from './watchdog.ts';

export interface LocalInboxParts {
  /** The satellite's. */
  readonly name: string;
  /** The module, as plugins are named. */
  readonly plugin: string;
  readonly target: Pick<Plugin, 'receive'>;
  /** What the class asks for. */
  readonly asked: SatelliteInbox | undefined;
  /** What the operator allows. */
  readonly allowed: InboxOptions;
  readonly timeoutMs: number;
  readonly wake: (inbox: Inbox) => void;
  readonly watchdog: Watchdog;
  readonly watched: Watched;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventSink<HostEvent>;
  /** The plugins directory or that of the npm package, for the place of an error. */
  readonly directory: string;
}

/** The inbox of a satellite with a `receive`. Throws an Error if the class asks for something that makes no sense. */
export function makeInbox(parts: LocalInboxParts): Inbox {
  const { name, plugin, asked = {}, allowed, timeoutMs, wake, clock, log, events } = parts;
  // A plain literal: objects made by a spread are read more slowly, which a thousand inboxes make visible.
  const queue = new BoundedQueue<Message>({
    name,
    log,
    limits: {
      maxMessages: atMost(allowed.maxMessages, asked.maxMessages, 'inbox.maxMessages'),
      maxBytes: atMost(allowed.maxBytes, asked.maxBytes, 'inbox.maxBytes'),
    },
    bytesOf: heldBytes,
    sinceOf: ({ arrivedAt }) => arrivedAt,
    keyOf: safeKey(asked, parts),
  });
  return new Inbox({ name, queue, recipient: new LocalRecipient(parts), plugin, timeoutMs, wake, clock, log, events });
}

class LocalRecipient implements Recipient {
  readonly #parts: LocalInboxParts;
  /** Looked up once: among a thousand classes each lookup costs more than the call. */
  #receive: Plugin['receive'] | undefined;
  /** Of the delivery under way. */
  #context: DeliveryContext | undefined;

  constructor(parts: LocalInboxParts) {
    this.#parts = parts;
  }

  deliver(message: Message): unknown {
    const { clock, target, watchdog, watched } = this.#parts;
    const receive = (this.#receive ??= target.receive);
    const context = contextOf(message, clock.now());
    const dict = shareDict(message.frozen());
    const result: unknown = watchdog.run(watched, 'receive', () => receive.call(target as Plugin, dict, context));
    if (isPromise(result)) {
      this.#context = context;
      watchdog.begin(watched);
    }
    return result;
  }

  ended(reason?: RelayError): void {
    const { watchdog, watched } = this.#parts;
    watchdog.end(watched);
    if (reason) this.#context?.abort(reason);
    this.#context = undefined;
  }

  explain(error: unknown): string {
    const { directory } = this.#parts;
    return `${reasonText(error, directory)}${whereThrown(error, directory)}`;
  }
}

/** A context without its signal. */
export type ContextStamp = Omit<Context, 'signal'>;

/** The context of one delivery to one satellite. */
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

  /** Made on demand: most satellites never read it, and it costs more than the rest of a delivery. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  /** Aborts the signal, also if it is read later. */
  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }
}

/** The context of `message` at `now` (the relay's clock). */
function contextOf(message: Message, now: number): DeliveryContext {
  const { id, ageMs, arrivedAt, verdict } = message;
  return new DeliveryContext({ id, hops: hopsOf(message), ageMs: ageMs + now - arrivedAt, redelivered: false, verdict });
}

function atMost(allowed: number, asked: unknown, option: string): number {
  if (asked === undefined) return allowed;
  if (typeof asked === 'number' && Number.isInteger(asked) && asked >= 1) return Math.min(allowed, asked);
  throw new Error(`@Satellite: ${option} is not a whole number from 1`);
}

/** The author's function, made safe: if it fails, the message is not merged. */
function safeKey(
  asked: SatelliteInbox,
  { name, watchdog, watched, log, clock }: LocalInboxParts,
): ((message: Message) => string | undefined) | undefined {
  const { overflow = 'drop-oldest', key } = asked as { overflow?: unknown; key?: unknown };
  if (overflow !== 'merge' && overflow !== 'drop-oldest')
    throw new Error("@Satellite: inbox.overflow is neither 'drop-oldest' nor 'merge'");
  if (overflow === 'drop-oldest') return undefined;
  if (typeof key !== 'function') throw new Error("@Satellite: inbox.overflow 'merge' needs the function inbox.key");
  const warnings = new RateLimitedLog(log, clock);
  return (message) => {
    try {
      const answer: unknown = watchdog.run(watched, 'inbox.key', () => (key as (dict: Dict) => unknown)(shareDict(message.frozen())));
      if (typeof answer === 'string' || answer === undefined) return answer;
      warnings.warn(`${name}: inbox.key returned something other than a string; the message is not merged`);
    } catch (error) {
      warnings.warn(`${name}: inbox.key failed: ${clean(reasonOf(error))}; the message is not merged`);
    }
    return undefined;
  };
}

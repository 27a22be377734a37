/** Delivery to a satellite of this process: makes the inbox that its class requests, and calls its `receive`. */
import { BoundedQueue, clean, isPromise, RateLimitedLog, reasonOf } from '../../core/core.ts';
import type { Clock, Log, RelayError } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import { hopsOf } from '../../message/message.ts';
import type { Message, Verdict } from '../../message/message.ts';
import type { Plugin, SatelliteInbox } from '../../plugin/internal.ts';
import { Context } from '../../plugin/plugin.ts';
import { heldBytes, shareDict, showValue } from '../../values/values.ts';
import type { Dict } from '../../values/values.ts';
import { Inbox, reasonText, whereThrown } from '../hosted/hosted.ts';
import type { DurableQueue, HostEvent, InboxOptions, Recipient } from '../hosted/hosted.ts';
import type { Watchdog, Watched } from './watchdog.ts';

export interface LocalInboxParts {
  /** The name of the satellite. */
  readonly name: string;
  /** The module, as plugins are named. */
  readonly plugin: string;
  readonly target: Pick<Plugin, 'receive'>;
  /** What the class requests. */
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
  /** Its queue if it is durable. Default: it is not. */
  readonly durable?: DurableQueue | undefined;
  /** The plugins directory or that of the npm package, for the place of an error. */
  readonly directory: string;
}

/** The inbox of a satellite with a `receive`. Throws an Error if the class requests something invalid. */
export function makeInbox(parts: LocalInboxParts): Inbox {
  const { name, plugin, asked = {}, allowed, timeoutMs, wake, clock, log, events, durable } = parts;
  // A plain literal: objects made by a spread are read more slowly, which is measurable with a thousand inboxes.
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
  const recipient = new LocalRecipient(parts);
  return new Inbox({ name, queue, durable, isInProcess: true, recipient, plugin, timeoutMs, wake, clock, log, events });
}

// A larger dict takes time to decode and to copy, which is not the time of the satellite.
const QUICK_BYTES = 64 * 1024;

class LocalRecipient implements Recipient {
  readonly #parts: LocalInboxParts;
  /** Looked up once: with a thousand classes, the lookup costs more than the call. */
  #receive: Plugin['receive'] | undefined;
  /** The context of the delivery in progress. */
  #context: DeliveryContext | undefined;

  constructor(parts: LocalInboxParts) {
    this.#parts = parts;
  }

  deliver(message: Message, redelivered: boolean, now: number): unknown {
    const { target, watchdog, watched } = this.#parts;
    const receive = (this.#receive ??= target.receive);
    const context = contextOf(message, now, redelivered);
    const dict = shareDict(message.frozen());
    const since = message.payload.length <= QUICK_BYTES ? now : undefined;
    const result: unknown = watchdog.run(watched, 'receive', () => receive.call(target as Plugin, dict, context), since);
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

/** The data of a context, which are all its members but the signal. */
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

  /** Created on demand: most satellites never read it, and it costs more than the rest of a delivery. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  /** Aborts the signal, even if it is read later. */
  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }
}

/** The context of `message` at `now` (the relay's clock). */
function contextOf(message: Message, now: number, redelivered: boolean): DeliveryContext {
  const { id, ageMs, arrivedAt, verdict } = message;
  return new DeliveryContext({ id, hops: hopsOf(message), ageMs: ageMs + now - arrivedAt, redelivered, verdict });
}

function atMost(allowed: number, asked: unknown, option: string): number {
  if (asked === undefined) return allowed;
  if (typeof asked === 'number' && Number.isInteger(asked) && asked >= 1) return Math.min(allowed, asked);
  throw new Error(`@Satellite: ${option}: found ${showValue(asked)}, expected a whole number of at least 1`);
}

/** The author's function, made safe: if it fails, the message is not merged. */
function safeKey(
  asked: SatelliteInbox,
  { name, watchdog, watched, log, clock }: LocalInboxParts,
): ((message: Message) => string | undefined) | undefined {
  const { overflow = 'drop-oldest', key } = asked as { overflow?: unknown; key?: unknown };
  if (overflow !== 'merge' && overflow !== 'drop-oldest')
    throw new Error(`@Satellite: inbox.overflow: found ${showValue(overflow)}, expected 'drop-oldest' or 'merge'`);
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

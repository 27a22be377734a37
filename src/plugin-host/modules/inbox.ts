/** The waiting line that a satellite gets: what its class asks for, within what the operator allows. */
import { RateLimitedLog, BoundedQueue, clean, reasonOf } from '../../core/core.ts';
import { heldBytes, shareDict } from '../../values/values.ts';
import type { Clock, Log } from '../../core/core.ts';
import type { Dict } from '../../values/values.ts';
import type { Message } from '../../message/message.ts';
import type { SatelliteInbox } from '../../plugin/for-host.ts';
import type { InboxOptions } from '../hosted/hosted.ts';
import type { Watchdog, Watched } from './watchdog.ts';

export interface InboxParts {
  /** The satellite's. */
  readonly name: string;
  readonly asked: SatelliteInbox | undefined;
  readonly allowed: InboxOptions;
  readonly watchdog: Watchdog;
  readonly watched: Watched;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws an Error that says what is wrong with what the class asks for. */
export function makeInbox(parts: InboxParts): BoundedQueue<Message> {
  const { name, asked = {}, allowed, log } = parts;
  return new BoundedQueue({
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
}

function atMost(allowed: number, asked: unknown, option: string): number {
  if (asked === undefined) return allowed;
  if (typeof asked === 'number' && Number.isInteger(asked) && asked >= 1) return Math.min(allowed, asked);
  throw new Error(`@Satellite: ${option} is not a whole number from 1`);
}

/** Its author's function, made safe: whatever is wrong with it, the message waits unmerged. */
function safeKey(
  asked: SatelliteInbox,
  { name, watchdog, watched, log, clock }: InboxParts,
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
      warnings.warn(`${name}: inbox.key answers no string; the message is not merged`);
    } catch (error) {
      warnings.warn(`${name}: inbox.key failed: ${clean(reasonOf(error))}; the message is not merged`);
    }
    return undefined;
  };
}

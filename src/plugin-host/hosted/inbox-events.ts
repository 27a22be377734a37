/** What happens to messages in the inboxes of satellites, as events, and the log lines for them. */
import { clean } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';

interface InboxOf {
  /** `ham.spam`, or the name of a program. */
  readonly plugin: string;
  readonly satellite: string;
}

export type InboxEvent =
  /** Transient: the satellite received the message of this id. */
  | (InboxOf & { readonly type: 'inbox.delivered'; readonly id: string })
  /** Transient: a delivery failed or took too long. */
  | (InboxOf & { readonly type: 'inbox.failed'; readonly id: string; readonly reason: string })
  /** Transient: messages wait for the next version of the satellite. */
  | (InboxOf & { readonly type: 'inbox.paused' })
  /** Messages were lost because the satellite was stopped, or receives none any more. */
  | (InboxOf & { readonly type: 'inbox.dropped'; readonly count: number; readonly reason: string })
  /** As much is stored for a durable satellite as may be: what it would get is refused. Emitted once until it has received some. */
  | (InboxOf & { readonly type: 'inbox.full'; readonly waiting: number; readonly bytes: number })
  /** The satellite ended at this message again and again, so that it was set aside. */
  | (InboxOf & { readonly type: 'inbox.dead-letter'; readonly id: string; readonly deaths: number });

/** Events that may occur once per message or reload. */
export const TRANSIENT_INBOX_EVENTS = ['inbox.delivered', 'inbox.failed', 'inbox.paused'] as const satisfies readonly InboxEvent['type'][];

/** Logs a delivery. Its event is only for other subscribers. */
export function logDelivered(log: Log, id: string, satellite: string): void {
  log.debug(`delivered ${clean(id)} to ${satellite}`);
}

/** Writes the log line of an event to the log of the plugin. */
export function logInboxEvent(event: Exclude<InboxEvent, { readonly type: 'inbox.delivered' }>, log: Log): void {
  const { satellite } = event;
  switch (event.type) {
    case 'inbox.failed':
      log.error(`delivery of ${clean(event.id)} to ${satellite} failed: ${event.reason}`);
      break;
    case 'inbox.paused':
      log.debug(`messages wait for the next version of ${satellite}`);
      break;
    case 'inbox.dropped':
      log.warn(`dropped ${event.count === 1 ? '1 queued message' : `${event.count} queued messages`}: ${satellite}: ${event.reason}`);
      break;
    case 'inbox.full':
      log.error(
        `${event.waiting} messages (${event.bytes} bytes) are stored for ${satellite}, as many as may be (durableInbox): the relay refuses more until it has received some`,
      );
      break;
    case 'inbox.dead-letter':
      log.error(`${satellite} ended ${event.deaths} times at the message ${clean(event.id)}: it is set aside (plugin.dead_letters)`);
  }
}

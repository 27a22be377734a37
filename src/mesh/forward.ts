/** A message on its way to peers: a notification that has one forward less to go. */
import type { Clock, Message } from '../message/message.ts';
import { Notification } from '../links/links.ts';

export class Forward extends Notification {
  /** `by` is our own host_id. */
  constructor(message: Message, by: string, clock: Clock) {
    super(message, { by, clock, hops: message.hopsLeft - 1 });
  }
}

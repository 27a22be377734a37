/** A message on its way to peers: a notification that has one forward less to go. */
import type { Clock } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import { Notification } from '../links/links.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

export class Forward extends Notification {
  /** `by` is our own host_id; `writing`, if given, what its peer reads. */
  constructor(message: Message, by: string, clock: Clock, writing?: WriteOptions) {
    super(message, { by, clock, hops: message.hopsLeft - 1, writing });
  }
}

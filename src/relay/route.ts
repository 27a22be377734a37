/** Decides where a message goes, in one pure function for everything that is submitted or sent. */
import type { Destination, Message } from '../message/message.ts';

/** The kinds of recipients of a message. Delivery skips the sender itself. */
export interface Route {
  /** The satellites that this relay hosts. */
  readonly local: boolean;
  /** The satellites that registered at this relay. */
  readonly remote: boolean;
  /** The peers; the mesh skips those that the message has passed. */
  readonly peers: boolean;
}

const ROUTES: Readonly<Record<Destination, Route>> = {
  all: { local: true, remote: true, peers: true },
  here: { local: true, remote: true, peers: false },
  away: { local: false, remote: false, peers: false },
};

/** The route of a message with this destination. */
export function route({ destination }: Pick<Message, 'destination'>): Route {
  return ROUTES[destination];
}

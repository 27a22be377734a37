/** Links to other XML-RPC servers, peers and remote satellites alike: ordered, retried, bounded. */
export { CarrierTransport } from './carrier-transport.ts';
export { HttpLinkTransport } from './http-transport.ts';
export type { HttpAnswer, HttpLimits } from './http-transport.ts';
export { LOGGED_LINK_EVENTS, TRANSIENT_LINK_EVENTS, linkLogger } from './link-events.ts';
export type { LinkEvent } from './link-events.ts';
export { Link, PING } from './link.ts';
export type { LinkStatus, LinkTransport } from './link.ts';
export { NO_METHOD_STATUSES, PASSING_FAULTS, isSignOfLife, isSuccess } from './verdict.ts';
export type { ServerAnswer, UnreadableAnswer } from './verdict.ts';
export { Notification } from './notification.ts';
export { linkDefaults, linkShape } from './options.ts';
export type { LinkOptions } from './options.ts';
export { Outbox } from './outbox.ts';
export type { Outgoing } from './outbox.ts';
export { ServerAddress, resolveBySystem } from './server-address.ts';
export type { Resolve } from './server-address.ts';

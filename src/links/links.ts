/** Links to other XML-RPC servers that get our dicts: ordered, retried, bounded. Peers and remote satellites are both reached so. */
export { ForeignCarrier } from './foreign-carrier.ts';
export { HttpCarrier } from './http-carrier.ts';
export { Link } from './link.ts';
export type { Transport, LinkParts, LinkStatus, Outgoing } from './link.ts';
export { isSignOfLife } from './verdict.ts';
export type { Answer, OtherAnswer } from './verdict.ts';
export { Notification } from './notification.ts';
export type { NotificationParts } from './notification.ts';
export { linkDefaults, linkShape } from './options.ts';
export type { LinkOptions } from './options.ts';
export { ServerAddress, resolveBySystem } from './server-address.ts';
export type { Resolve } from './server-address.ts';

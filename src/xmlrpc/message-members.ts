/** The members of a dict that are forwarded unchanged: all except those that each relay sets itself. */
import type { Message } from '../message/message.ts';
import type { Sendable } from '../values/values.ts';
import { canonicalMembers, sendableMembers } from './read/messages.ts';
import { serialiseMembersCall, serialiseStructCall } from './write/messages.ts';

/** The members that each relay sets itself. */
export const SET_BY_RELAYS = ['host_id', 'client_address', 'co2'] as const;

/** Some of the members that each relay sets. */
export type RelayMembers = Readonly<Partial<Record<(typeof SET_BY_RELAYS)[number], Sendable>>>;

// Read once for all recipients that get the message at the same time. Held weakly: a queued message would otherwise hold its text twice.
const CACHE = new WeakMap<Message, WeakRef<ReadonlyMap<string, string>>>();

/**
 * The body of `notify` with the dict of a message, every scalar as it came, and the members that this relay sets. Throws a RelayError for
 * NaN and infinities, which only some recipients read; see {@link keptValues}.
 */
export function serialiseNotify(message: Message, own: RelayMembers): Buffer {
  if (message.isOwnWriting === true) return serialiseStructCall('notify', message.payload, own);
  return serialiseMembersCall('notify', keptMembers(message), own);
}

/**
 * Name -> canonical `<value>…</value>`. Throws a RelayError for NaN and infinities.
 */
function keptMembers(message: Message): ReadonlyMap<string, string> {
  const kept = CACHE.get(message)?.deref();
  if (kept) return kept;
  const members = withoutOwn(canonicalMembers(message.payload, { limits: limitsOf(message) }));
  CACHE.set(message, new WeakRef(members));
  return members;
}

/**
 * The same members as values, to be written for one recipient. By default, small 64-bit integers become ints, and NaN and infinities are
 * errors.
 */
export function keptValues(message: Message, { i8 = false, nonFinite = false } = {}): ReadonlyMap<string, Sendable> {
  return withoutOwn(sendableMembers(message.payload, i8, { limits: limitsOf(message), allowNonFinite: nonFinite }));
}

function withoutOwn<T>(members: Map<string, T>): ReadonlyMap<string, T> {
  for (const name of SET_BY_RELAYS) members.delete(name);
  return members;
}

/** The message was already read within the limits of its endpoint, or written here, so its size is not limited again. */
function limitsOf({ payload }: Message): { readonly maxBodyBytes: number } {
  return { maxBodyBytes: payload.length };
}

/** The members of a message's dict that go on as they came: all but those that relays set anew for each who gets it. */
import type { Message } from '../message/message.ts';
import type { Sendable } from '../values/values.ts';
import { canonicalMembers, sendableMembers } from './parse.ts';

// What relays set.
const SET_BY_RELAYS = ['host_id', 'client_address', 'co2'];

// Read once for all peers, satellites and programs that get the message at once. Not kept for it: a message that waits would hold its text
// twice.
const KEPT = new WeakMap<Message, WeakRef<ReadonlyMap<string, string>>>();

/**
 * Name -> `<value>…</value>`, each scalar in its own text. Throws a RelayError if it holds a number that is not finite: that goes only to
 * who is known to read it.
 */
export function keptMembers(message: Message): ReadonlyMap<string, string> {
  const kept = KEPT.get(message)?.deref();
  if (kept) return kept;
  const members = withoutOurs(canonicalMembers(message.payload, { limits: limitsOf(message) }));
  KEPT.set(message, new WeakRef(members));
  return members;
}

/** The same as values, to be written for one reader. Default: small integers of 64 bits become ints, and what is not finite is an error. */
export function keptValues(message: Message, { i8 = false, nonFinite = false } = {}): ReadonlyMap<string, Sendable> {
  return withoutOurs(sendableMembers(message.payload, i8, { limits: limitsOf(message), allowNonFinite: nonFinite }));
}

function withoutOurs<T>(members: Map<string, T>): ReadonlyMap<string, T> {
  for (const name of SET_BY_RELAYS) members.delete(name);
  return members;
}

/** It was read within the limits of the door, or written here: no smaller limit may stop it now. */
function limitsOf({ payload: source }: Message): { readonly maxBodyBytes: number } {
  return { maxBodyBytes: source.length };
}

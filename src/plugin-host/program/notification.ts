/** A message on its way to a program: `notify(dict)` with each scalar as it came; host_id, client_address and what a satellite here has as its context are set. */
import { hopsOf } from '../../message/message.ts';
import type { Message, Sendable } from '../../message/message.ts';
import { canonicalMembers, sendableMembers, serialiseMembersCall } from '../../xmlrpc/xmlrpc.ts';
import type { ProgramRequest } from './transport.ts';

// Members that relays set.
const SET_BY_RELAYS = ['host_id', 'client_address', 'co2'];

// Written once for all programs, and forgotten with the message.
const KEPT = new WeakMap<Message, ReadonlyMap<string, string>>();

/** The call by which a program gets `message` at `now` (the relay's clock). */
export function notificationOf(message: Message, now: number, redelivered: boolean): ProgramRequest {
  const { id, ageMs, arrivedAt, hostId, clientAddress, verdict } = message;
  const own: Readonly<Record<string, Sendable>> = {
    host_id: hostId,
    client_address: clientAddress,
    co2: { id, hops: hopsOf(message), age_ms: Math.round(ageMs + now - arrivedAt), redelivered, verdict },
  };
  return {
    method: 'notify',
    body: () => serialiseMembersCall('notify', keptMembers(message), own),
    params: () => [new Map([...valuesOf(message), ...Object.entries(own)])],
  };
}

function keptMembers(message: Message): ReadonlyMap<string, string> {
  const kept = KEPT.get(message);
  if (kept) return kept;
  const members = canonicalMembers(message.source, { limits: limitsOf(message) });
  for (const name of SET_BY_RELAYS) members.delete(name);
  KEPT.set(message, members);
  return members;
}

/** The door that hands them out writes them. */
function valuesOf(message: Message): ReadonlyMap<string, Sendable> {
  const members = sendableMembers(message.source, true, { limits: limitsOf(message) });
  for (const name of SET_BY_RELAYS) members.delete(name);
  return members;
}

/** It was read within the limits of the door, or written here: no smaller limit may stop it now. */
function limitsOf({ source }: Message): { readonly maxBodyBytes: number } {
  return { maxBodyBytes: source.length };
}

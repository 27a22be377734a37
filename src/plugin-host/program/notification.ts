/** A message on its way to a program: `notify(dict)` with each scalar as it came; host_id, client_address and what a satellite here has as its context are set. */
import { hopsOf } from '../../message/message.ts';
import type { Message, Sendable } from '../../message/message.ts';
import { keptMembers, keptValues, serialiseMembersCall } from '../../xmlrpc/xmlrpc.ts';
import type { ProgramRequest } from './transport.ts';

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
    // The door that hands them out writes them.
    params: () => [new Map([...keptValues(message, { i8: true }), ...Object.entries(own)])],
  };
}

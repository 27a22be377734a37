/** Messages for the tests of this room, and what a peer would read of them. */
import type { Dict, Sendable } from '../../src/values/values.ts';
import type { Message } from '../../src/message/message.ts';
import { freezeDict } from '../../src/values/values.ts';
import { parseCall, parseStruct, serialiseStructBytes } from '../../src/xmlrpc/xmlrpc.ts';

export const SELF = 'self@192.0.2.1:2004';

/** What a test changes of a message; the source as text, too. */
export interface Change extends Omit<Partial<Message>, 'source'> {
  readonly source?: string | Buffer;
}

/** A message of the dict `{data}`, or of `dict`. */
export function messageOf(data: string | number, { source: given, ...change }: Change = {}, dict: Sendable = { data }): Message {
  const source = given === undefined ? serialiseStructBytes(dict, { nil: true, i8: true }) : Buffer.from(given);
  return {
    id: `m.${String(data).slice(0, 20)}`,
    hostId: SELF,
    clientAddress: ['192.0.2.1', 2004],
    payload: source,
    frozen: () => freezeDict(parseStruct(source)),
    destination: 'all',
    hopsLeft: 16,
    ageMs: 0,
    arrivedAt: 1_000_000,
    via: [],
    verdict: 'local',
    ...change,
  };
}

/** The dict of a posted `notify`. */
export function dictIn(body: Uint8Array): Dict {
  const { methodName, params } = parseCall(body);
  if (methodName !== 'notify' || params.length !== 1) throw new Error(`a peer gets notify with one dict, not ${methodName}`);
  return params[0] as Dict;
}

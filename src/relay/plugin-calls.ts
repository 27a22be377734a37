/** Calls of plugins in this process: who calls, and what crosses between two that share no object. */
import { RelayError } from '../message/message.ts';
import type { Sendable, Value } from '../message/message.ts';
import { parseResponse, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from './caller.ts';
import type { Identity } from './intake.ts';

/** The plugin's satellite of this name as a caller: here, at our own address. */
export function pluginCaller(name: string, { address, port }: Identity): Caller {
  return {
    role: { kind: 'plugin', name },
    address,
    port,
    isDirect: true,
    isPeer: false,
    sourceOf: () => undefined,
  };
}

/** What would arrive of `value` on the other side of a connection: the same for a plugin next door, and nobody shares an object with anybody. */
export function asReceived(value: Sendable): Value {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new RelayError('INTERNAL', answer.text);
  return answer.value;
}

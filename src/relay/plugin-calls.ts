/** Calls of plugins in this process: who calls, and what crosses between two that share no object. */
import { RelayError } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { parseResponse, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from './caller.ts';
import type { Identity } from './intake.ts';

/** The plugin's satellite of this name as a caller: here, at our own address. */
export function pluginCaller(name: string, { address, port }: Identity, usesI8: boolean): Caller {
  return {
    role: { kind: 'plugin', name },
    address,
    port,
    isDirect: true,
    isPeer: false,
    sourceOf: () => undefined,
    usesI8,
  };
}

/** What would arrive of `value` on the other side of a connection: the same for a plugin next door, and nobody shares an object with anybody. */
export function asReceived(value: Sendable): Value {
  return received(value).value;
}

/** The same, and whether it holds integers of 64 bits. */
export function received(value: Sendable): { readonly value: Value; readonly usesI8: boolean } {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }));
  if (answer.kind === 'fault') throw new RelayError('INTERNAL', answer.text);
  return { value: answer.value, usesI8: answer.extensions.i8 };
}

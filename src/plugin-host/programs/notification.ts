/** Delivery to a program: the `notify` call for a message. */
import { clean, reasonOf, RelayError } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import { hopsOf } from '../../message/message.ts';
import type { Message } from '../../message/message.ts';
import type { Value } from '../../values/values.ts';
import { keptValues, serialiseCall, serialiseNotify } from '../../xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import type { Recipient } from '../hosted/hosted.ts';
import type { ProgramRequest } from './transport.ts';

export interface ProgramRecipientParts {
  readonly clock: Clock;
  /** Timeout for one `notify`. */
  readonly timeoutMs: number;
  /** How messages have to be encoded for it; called for each. Undefined: it may get them as they arrived. */
  readonly writing: () => WriteOptions | undefined;
  /** Resolves once the process has ended, or has answered after it broke a connection. */
  readonly hasEndedOrAnswers: () => Promise<void>;
  /** Called with a message that cannot be encoded this way. */
  readonly onUnwritable: (message: Message, reason: string) => void;
}

/** Makes a program the recipient of an inbox; `send` calls the program. */
export function programRecipient(
  { clock, timeoutMs, writing, hasEndedOrAnswers, onUnwritable }: ProgramRecipientParts,
  send: (request: ProgramRequest, timeoutMs: number) => Promise<Value>,
): Recipient {
  return {
    deliver: async (message, redelivered) => {
      const request = notificationOf(message, clock.now(), redelivered);
      try {
        const required = writing();
        if (required) request.body(required);
      } catch (error) {
        onUnwritable(message, clean(reasonOf(error)));
        throw error;
      }
      try {
        await send(request, timeoutMs);
      } catch (error) {
        // The process may be about to exit. The inbox is then interrupted and redelivers the message, so wait for that.
        if (RelayError.is(error) && error.code === 'TRANSPORT') await hasEndedOrAnswers();
        throw error;
      }
    },
    explain: (error) => clean(reasonOf(error)),
  };
}

/** The write options that a message has to meet if the program reads only plain XML-RPC and `reads`, as `plugin.describe` says. */
export function writingFor(reads: ReadonlySet<string>): WriteOptions {
  return { nil: reads.has('nil'), i8: reads.has('i8'), wideInts: reads.has('i8'), nonFinite: true, astral: reads.has('astral') };
}

/** What a message holds that only some XML-RPC libraries can read, in words; undefined if there is nothing. */
export function extensionIn(message: Message, now: number): string | undefined {
  try {
    notificationOf(message, now, false).body(writingFor(new Set()));
    return undefined;
  } catch (error) {
    return clean(reasonOf(error));
  }
}

/** The call that delivers `message` at `now` (the relay's clock). */
export function notificationOf(message: Message, now: number, redelivered: boolean): ProgramRequest {
  const { id, ageMs, arrivedAt, hostId, clientAddress, verdict, generation = 0 } = message;
  const answers = generation > 0 && { gen: generation };
  const own = {
    host_id: hostId,
    client_address: clientAddress,
    co2: { id, hops: hopsOf(message), age_ms: Math.round(ageMs + now - arrivedAt), redelivered, verdict, ...answers },
  };
  return {
    method: 'notify',
    body: (writing) => {
      if (writing === undefined) return serialiseNotify(message, own);
      const values = keptValues(message, { i8: writing.i8 === true, nonFinite: true });
      return serialiseCall('notify', [new Map([...values, ...Object.entries(own)])], writing);
    },
    // A program that polls receives the values from the endpoint, which encodes them.
    params: () => [new Map([...keptValues(message, { i8: true }), ...Object.entries(own)])],
  };
}

/** What the router reports of single messages. These events are transient: they only reach current subscribers. */
import type { ErrorCode } from '../core/core.ts';
import type { Message } from '../message/message.ts';

export type MessageEvent =
  | {
      /** The message went to its recipients. */
      readonly type: 'message.routed';
      readonly message: Message;
      /** The satellite of this relay that sent it; undefined for a message that came in. */
      readonly sender: string | undefined;
      /** The number of satellites of this relay in whose inboxes it is. */
      readonly recipients: number;
    }
  | {
      /** A copy of a message that was here before; it is acknowledged and goes nowhere. */
      readonly type: 'message.duplicate';
      readonly id: string;
    }
  | {
      /** A dict or registration that was refused. */
      readonly type: 'message.refused';
      /** The id that the dict claims, or what was refused. */
      readonly what: string;
      /** Who submitted it, in words. */
      readonly caller: string;
      readonly code: ErrorCode;
      readonly reason: string;
    };

/** Their types, for the event stream. */
export const MESSAGE_EVENTS = ['message.routed', 'message.duplicate', 'message.refused'] as const satisfies readonly MessageEvent['type'][];

/** The events of single messages. They are transient: they only reach current subscribers. */
import type { ErrorCode } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import type { DictOutcome } from './mesh-dicts.ts';

/** What the router reports about one message. */
export type MessageEvent =
  | {
      /** The message was routed to its recipients. */
      readonly type: 'message.routed';
      readonly message: Message;
      /** The local satellite that sent it; undefined for a message that a caller submitted. */
      readonly sender: string | undefined;
      /** The number of local satellites in whose inboxes it was put. */
      readonly recipients: number;
    }
  | {
      /** A copy of an earlier message, which is acknowledged but not delivered. */
      readonly type: 'message.duplicate';
      readonly id: string;
    }
  | {
      /** A dict or registration that was refused. */
      readonly type: 'message.refused';
      /** The id that the dict claims, or what was refused. */
      readonly what: string;
      /** A description of the submitter. */
      readonly caller: string;
      readonly code: ErrorCode;
      readonly reason: string;
    }
  | ({
      /** What became of a message that a satellite of this relay sent to other nodes. */
      readonly type: 'message.outcome';
    } & DictOutcome);

/** Their types, for the event stream. */
export const MESSAGE_EVENTS = [
  'message.routed',
  'message.duplicate',
  'message.refused',
  'message.outcome',
] as const satisfies readonly MessageEvent['type'][];

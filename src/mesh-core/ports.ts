/**
 * What goes into the machine of a node and what comes out: its host turns the network, the disk, the clock and its satellites into events,
 * and carries out the effects. All of it is plain data.
 */
import type { StoreOperation } from '../store/store.ts';
import type { Envelope, Head } from './message.ts';
import type { Description } from './link-state.ts';
import type { NodeChange, Version } from './topology.ts';

/** Who is to get a message. */
export type Target =
  | { readonly type: 'all' }
  | { readonly type: 'node'; readonly id: string }
  /** The nearest node that offers a capability; the same one for the same `key`, as long as it is the nearest. */
  | { readonly type: 'any'; readonly capability: string; readonly key?: string | undefined };

/** A message that a satellite or client of this node sends. */
export interface Submission {
  /** Names it in the answers `accepted` and `refused`. */
  readonly token: string;
  readonly target: Target;
  readonly payload: Buffer;
  readonly isDurable: boolean;
  readonly isOrdered: boolean;
  /** Default: a day if it is durable, 30 s if it is not. At most a week. */
  readonly ttlMs?: number | undefined;
  readonly hostId: string;
  /** One more than that of the message that it answers; 0 if it answers none. */
  readonly generation: number;
  readonly ref?: string | undefined;
  readonly contentType: string;
}

/** The other end of a channel, whose identity is proven. */
export interface ProvenPeer {
  readonly id: string;
  readonly epoch: number;
  /** 64 random bits per start of the node, as text. */
  readonly instance: string;
}

/** What happens to a node. */
export type NodeEvent =
  | { readonly type: 'submit'; readonly submission: Submission; readonly wallMs: number }
  /** The connection that the effect `dial` asked for is made; the proof of identity follows. */
  | { readonly type: 'connected'; readonly channel: number }
  /** The other end of a channel is proven. An incoming channel begins with this, under a positive number that the host chooses. */
  | { readonly type: 'proven'; readonly channel: number; readonly peer: ProvenPeer }
  /** A channel is closed or reset, or could not be made. */
  | { readonly type: 'closed'; readonly channel: number; readonly reason: string }
  | { readonly type: 'frame'; readonly channel: number; readonly frame: Frame }
  /** The batch is on the disk, synced if that was asked for. `numbers` are those of the records that it appended. */
  | { readonly type: 'written'; readonly batch: number; readonly numbers: readonly number[] }
  | { readonly type: 'write-failed'; readonly batch: number; readonly reason: string }
  /** New durable messages are refused from now on, for this reason; undefined: they are accepted again. What was accepted is written. */
  | { readonly type: 'storage'; readonly refusal: string | undefined }
  /** The records that the effect `read` asked for; undefined for one that is damaged or gone. */
  | { readonly type: 'read'; readonly request: number; readonly values: readonly (Buffer | undefined)[] }
  /** The satellites have had a message that the effect `deliver` brought. */
  | { readonly type: 'processed'; readonly delivery: number; readonly outcome: ProcessingOutcome }
  | { readonly type: 'describe'; readonly description: Description }
  /** A configured address to which a link is kept. */
  | { readonly type: 'add-address'; readonly address: string }
  | { readonly type: 'remove-address'; readonly address: string }
  /** An operator looks at what waits here for other nodes, or changes it; answered by an effect of the same type. */
  | { readonly type: 'outbox'; readonly request: number; readonly command: OutboxCommand }
  /** Nothing is sent to a neighbour while it is held, though its link may come up: earlier messages still go to it another way. */
  | { readonly type: 'hold'; readonly id: string; readonly isHeld: boolean }
  /** A neighbour is no longer one: nothing waits for it any more. */
  | { readonly type: 'forget-peer'; readonly id: string }
  | { readonly type: 'leave' }
  | { readonly type: 'tick' };

/** How the delivery to the satellites of this node ended. */
export type ProcessingOutcome =
  | { readonly type: 'done' }
  | { readonly type: 'rejected'; readonly reason: string }
  /** The receiver crashed too often over it. */
  | { readonly type: 'dead-letter'; readonly reason: string };

/** What became of a message. */
export type DeliveryStatus = 'delivered' | 'expired' | 'rejected' | 'dead-letter' | 'dropped';

/** What a node wants done. Effects are carried out in their order. */
export type Effect =
  /** Connects to an address; answered by `connected` and `proven`, or `closed`. */
  | { readonly type: 'dial'; readonly channel: number; readonly address: string }
  | { readonly type: 'send'; readonly channel: number; readonly frame: Frame }
  | { readonly type: 'close'; readonly channel: number; readonly reason: string }
  /** Writes a batch; answered by `written` or `write-failed`. One is written at a time. */
  | {
      readonly type: 'write';
      readonly batch: number;
      readonly operations: readonly StoreOperation[];
      readonly durability: 'synced' | 'written';
      readonly isProgress: boolean;
    }
  /** Reads records of the log {@link MESSAGE_LOG}; answered by `read`. */
  | { readonly type: 'read'; readonly request: number; readonly numbers: readonly number[] }
  /** The message is for the satellites of this node; answered by `processed`. */
  | {
      readonly type: 'deliver';
      readonly delivery: number;
      readonly head: Head;
      readonly payload: Buffer;
      readonly ageMs: number;
      readonly via: readonly string[];
      /** True if it may have been delivered before the last end of this node. */
      readonly isRedelivered: boolean;
    }
  /** The submission may be acknowledged: it is stored, if it is durable. */
  | { readonly type: 'accepted'; readonly token: string; readonly id: string }
  | { readonly type: 'refused'; readonly token: string; readonly reason: RefusalReason; readonly text: string }
  /** What became of a message of this node, or of a broadcast that waited here for a neighbour. */
  | {
      readonly type: 'outcome';
      readonly id: string;
      readonly status: DeliveryStatus;
      readonly reason: string;
      readonly node: string | undefined;
      /** {@link Submission.ref} of the message. */
      readonly ref: string;
      /** The payload, if {@link ref} is {@link WITH_PAYLOAD}; undefined if it is damaged. */
      readonly payload: Buffer | undefined;
    }
  | { readonly type: 'outbox'; readonly request: number; readonly answer: OutboxAnswer }
  | { readonly type: 'link'; readonly peer: string; readonly state: 'up' | 'down'; readonly reason: string }
  /** A node can be reached, or cannot any more. */
  | { readonly type: 'node'; readonly change: NodeChange }
  /** Something that an operator must know. */
  | { readonly type: 'alarm'; readonly text: string };

/** What an operator wants of the messages that wait here for other nodes. */
export type OutboxCommand =
  /** Answered by `list`: those behind the position `after`, at most `limit` (1 to 100), and only those for `node` if it is given. */
  | { readonly type: 'list'; readonly after?: number | undefined; readonly limit: number; readonly node?: string | undefined }
  /** Answered by `message`. */
  | { readonly type: 'show'; readonly id: string }
  /** Tries it at once, and connects at once where this node is waiting to connect. Answered by `done`. */
  | { readonly type: 'retry'; readonly id: string }
  /** Gives it up here; its origin gets the outcome `dropped`. What another node has taken over may still arrive. Answered by `done`. */
  | { readonly type: 'drop'; readonly id: string; readonly reason: string };

export type OutboxAnswer =
  | { readonly type: 'list'; readonly entries: readonly OutboxEntry[]; readonly hasMore: boolean }
  /** `payload` is undefined if its record is damaged. */
  | { readonly type: 'message'; readonly entry: OutboxEntry; readonly payload: Buffer | undefined }
  | { readonly type: 'done' }
  /** No message with this id waits here. */
  | { readonly type: 'unknown' };

/** A message that waits here for other nodes. */
export interface OutboxEntry {
  /** Where it stands in the list. */
  readonly position: number;
  readonly id: string;
  /** Id of the node that sent it. */
  readonly origin: string;
  /** Id of the node that it is for; undefined for all nodes. */
  readonly target: string | undefined;
  /** The neighbours that have not got a broadcast yet; otherwise the target. */
  readonly waitingFor: readonly string[];
  /**
   * `waiting`: there is no path or link. `queued`: it is sent when its turn comes, or again after a delay. `in-flight`: a neighbour has not
   * acknowledged it yet. `custody`: a neighbour has it, and this node, its origin, keeps it until its target confirms it.
   */
  readonly state: 'waiting' | 'queued' | 'in-flight' | 'custody';
  readonly isDurable: boolean;
  /** Bytes of payload, head and seal. */
  readonly bytes: number;
  /** ms until it expires. */
  readonly ttlLeftMs: number;
  /** Attempts that failed, and why the last one did, as a text for people. */
  readonly attempts: number;
  readonly lastReason: string | undefined;
  /** The neighbour that was tried last; only of messages for one node. */
  readonly lastHop: string | undefined;
  /** What its head says; undefined if its record is damaged. */
  readonly head: Head | undefined;
  /** ms since it was sent; undefined if its record is damaged. */
  readonly ageMs: number | undefined;
}

/** A neighbour that is remembered or has a link. Counts are since the start of this node. */
export interface NeighbourStatus {
  readonly id: string;
  readonly state: 'down' | 'sync' | 'up' | 'draining';
  /** When that began, in the time of the node; undefined if there was no link since its start. */
  readonly since: number | undefined;
  /** The round trip; undefined if it was not measured yet. */
  readonly rttMs: number | undefined;
  /** Broadcasts that it has not got yet, and messages for itself. */
  readonly waitingMessages: number;
  readonly waitingBytes: number;
  /** Messages that were sent to it and are not acknowledged yet. */
  readonly inFlightMessages: number;
  readonly inFlightBytes: number;
  /** Messages that it has stored, that it gave back, and that came from it. */
  readonly sent: number;
  readonly returned: number;
  readonly received: number;
}

/** What a node has counted since its start. Messages of the mesh itself, such as receipts, are not in the first two. */
export interface NodeCounters {
  /** Messages of this node that were accepted. */
  readonly accepted: number;
  /** Messages that were given to the satellites of this node. */
  readonly delivered: number;
  /** Messages of other nodes that a neighbour took over. */
  readonly forwarded: number;
  /** Messages that arrived again. */
  readonly duplicates: number;
  /** Messages that waited here for others too long, or came too late. */
  readonly expired: number;
  /** Messages that were given up: too much waited, or an operator wanted it. */
  readonly dropped: number;
  /** Messages that were not what their origin had signed. */
  readonly forged: number;
  /** Messages that were sent again, since they were given back, or not acknowledged or confirmed in time. */
  readonly repeated: number;
}

/** As {@link Submission.ref} of a message for all: the payload comes with each outcome. */
export const WITH_PAYLOAD = '*';

/** Why a submission was not accepted. */
export type RefusalReason = 'invalid' | 'quota' | 'no-candidate' | 'too-far' | 'storage' | 'generation';

/**
 * Why a neighbour gives a message back. `hops`: the target is farther than the message may go on. That, `forged` and `expired` are final
 * for this copy; the others are tried again.
 */
export type ReturnReason = 'no-route' | 'quota' | 'storage' | 'gaps' | 'hops' | 'forged' | 'expired';

/** Why an attempt to send a message failed. */
export type FailureReason = ReturnReason | 'link-closed' | 'no-receipt';

/** What a node has received on a channel. */
export interface Ack {
  /** All messages up to this number are stored or were returned. */
  readonly through: number;
  /** The next number that it waits for. */
  readonly next: number;
  /** True if a later number arrived already: everything from `next` on is to be sent again. */
  readonly hasGap: boolean;
  /** The numbers that it gives back, all that the sender may not know yet. */
  readonly returned: readonly (readonly [number: number, reason: ReturnReason])[];
  /** The greatest `through` of the other side that it has processed. */
  readonly seen: number;
  /** Messages that may be in flight. */
  readonly window: number;
}

/** What neighbours send each other. Frames may be lost, repeated or reordered; a host that can, keeps their order. */
export type Frame =
  /** The first frame of both sides. */
  | { readonly type: 'sync'; readonly versions: readonly Version[] }
  | { readonly type: 'push'; readonly first: number; readonly items: readonly Envelope[]; readonly ack: Ack }
  | { readonly type: 'ack'; readonly ack: Ack }
  /** `at` is the sender's clock; `echo` the last one of the other side, which waited here for `heldMs`. */
  | { readonly type: 'beat'; readonly at: number; readonly echo: number | undefined; readonly heldMs: number; readonly ack: Ack }
  | { readonly type: 'states'; readonly states: readonly Buffer[]; readonly isAnswer: boolean }
  | { readonly type: 'summary'; readonly summary: number }
  | { readonly type: 'versions'; readonly versions: readonly Version[] }
  | { readonly type: 'want'; readonly ids: readonly string[] }
  /** Asks for long lists of capabilities by their hashes; answered by `capabilities`, for those that are not known yet later. */
  | { readonly type: 'want-capabilities'; readonly hashes: readonly Buffer[] }
  | { readonly type: 'capabilities'; readonly lists: readonly Buffer[] }
  /** The last frame. A node that leaves says so in its link state. */
  | { readonly type: 'bye'; readonly reason: string; readonly states: readonly Buffer[] };

/** The log of the store that has the messages, and notes of which are done. */
export const MESSAGE_LOG = 'mesh-messages';
/** The table of the neighbours that are remembered. */
export const PEER_TABLE = 'mesh-peers';

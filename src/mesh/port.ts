/** What the rest of the relay sends and receives over the mesh: bytes of a kind, for a node or for all. */
import type { MaybePromise, RelayError } from '../core/core.ts';
import type {
  DeliveryStatus,
  Head,
  LinkState,
  NeighbourStatus,
  NodeChange,
  NodeCounters,
  Path,
  ProcessingOutcome,
  Target,
} from '../mesh-core/mesh-core.ts';

/** A message to send. */
export interface MeshMessage {
  readonly target: Target;
  /** The kind of the payload, which decides about the receiver at the other end, such as `dict`. */
  readonly contentType: string;
  readonly payload: Buffer;
  /** True: {@link MeshPort.submit} resolves once it is stored, and it waits for nodes that are away. False: it is kept in memory only. */
  readonly isDurable: boolean;
  /** True: it does not overtake an earlier one of its stream on a link. Default false. */
  readonly isOrdered?: boolean | undefined;
  /** ms. Default: a day if it is durable, 30 s if it is not. At most a week. */
  readonly ttlMs?: number | undefined;
  /** `host_id` of the server that it comes from. Default: that of this relay. */
  readonly hostId?: string | undefined;
  /** One more than that of the message that it answers. Default 0. */
  readonly generation?: number | undefined;
  /** What it refers to, at most 255 bytes. Default nothing. */
  readonly ref?: string | undefined;
}

/** A message that arrived. The payload is in memory of its own. */
export interface MeshArrival {
  readonly head: Head;
  readonly payload: Buffer;
  /** ms since it was sent. */
  readonly ageMs: number;
  /** Ids of the nodes that it crossed, its origin first. */
  readonly via: readonly string[];
  /** True if it may have been delivered before the last end of this relay. */
  readonly isRedelivered: boolean;
}

/** What became of a message of this node that was not simply delivered, or of a durable one for one node that was. */
export interface MeshOutcome {
  /** As {@link MeshPort.submit} returned it. */
  readonly id: string;
  readonly status: DeliveryStatus;
  readonly reason: string;
  /** The node that it concerns; undefined: none in particular. */
  readonly node: string | undefined;
  /** {@link MeshMessage.ref} of the message, also if it was sent before the last start of this relay. */
  readonly ref: string;
}

/** Takes arrivals of one kind. A durable message counts as processed once the promise resolves. What it throws rejects the message. */
export type MeshReceiver = (arrival: MeshArrival) => MaybePromise<ProcessingOutcome>;

/** See the head of this file. */
export interface MeshPort {
  /** Id of this node. */
  readonly id: string;
  /** True if any other node is known, so that a message for all has somewhere to go. */
  readonly hasNeighbours: boolean;
  /**
   * Sends a message; resolves to its id once it may be acknowledged. Rejects with a RelayError: INVALID_PARAMS, LIMIT if too much waits,
   * UNAVAILABLE if nothing can be stored, no node offers the capability, or the node is too far.
   */
  submit(message: MeshMessage): Promise<string>;
  /** Sends a message like {@link submit}, without a promise, for a sender that does not wait for it. Calls `refused` if that rejected. */
  send(message: MeshMessage, refused: (error: RelayError) => void): void;
  /** Gives up a message of this node; false if it does not wait here any more. What another node has taken over may still arrive. */
  drop(id: string, reason: string): Promise<boolean>;
  /** Sets the receiver of a kind of message, before the start. What has none is rejected. */
  receive(contentType: string, receiver: MeshReceiver): void;
  /** Calls `listener` with what becomes of messages; returns the function that ends it. */
  onOutcome(listener: (outcome: MeshOutcome) => void): () => void;
  /** Calls `listener` with each node that can be reached from now on, or not any more; returns the function that ends it. */
  onNodes(listener: (change: NodeChange) => void): () => void;
  /** All that is known of the nodes of the mesh, this one included. */
  nodes(): readonly LinkState[];
  /** The way to a node; undefined if there is none at present. */
  path(id: string): Path | undefined;
  /** True if a node has links, but they are more than a message crosses; then there is no {@link path}. */
  isTooFar(id: string): boolean;
  /** The neighbours with a link that is up, with the round trip in ms. */
  links(): ReadonlyMap<string, number>;
  /** Sets what this relay offers, each as one text such as `method:ham.spam.add` or `work:render`, and how busy it is (0 to 100). */
  describe(offer: { readonly capabilities: readonly string[]; readonly load: number }): void;
}

/** What an operator sees of the node. */
export interface MeshNodeStatus {
  readonly id: string;
  readonly neighbours: readonly NeighbourStatus[];
  readonly counters: NodeCounters;
  /** Messages that are kept for others or for satellites. */
  readonly kept: number;
  /** Why no new durable message is accepted; undefined if it is. */
  readonly refusal: string | undefined;
}

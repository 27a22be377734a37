/** The contract of a transport that carries documents between two relays in place of HTTP. */

/** The peer of a carrier, and what the carrier may tell the relay about it. */
export interface CarrierPeer {
  /** As in `peers`: `memory://b`. */
  readonly url: URL;
  /** The host_id of this relay. */
  readonly self: string;
  /** Aborted when the relay gives the connection up. End everything that waits. */
  readonly signal: AbortSignal;
  /**
   * To be called when the connection has ended by itself. The relay closes this carrier and connects with a new one, even if there is
   * nothing to send.
   */
  lost(reason: string): void;
}

/**
 * Gives the relay a document from the peer. Resolves to the answer, which the carrier sends back. Never rejects: a rejection by the relay
 * is an answer, too. Documents are processed one at a time, in the order of the calls. A few may wait; more are answered with "call again
 * later".
 */
export type Receive = (document: Uint8Array) => Promise<Uint8Array>;

/**
 * One connection to one peer. A document is an XML-RPC call, its answer an XML-RPC response; a carrier reads neither. The rules:
 *
 * - **Life.** The relay makes a carrier for each connection. It calls `connect` once, first, then `send`, and `close` once, last, also if
 *   `connect` failed or never ended. After a failure it makes another one, with growing delays. Both relays connect on their own, in either
 *   order.
 * - **Order.** The relay calls `send` when the one before has ended. Documents must be received in the order in which they were sent, and
 *   none twice: only the relay sends a document again.
 * - **Acknowledgement.** `send` resolves to what `receive` of the other side resolved to, and to nothing else. That answer says that the
 *   peer has taken responsibility, or rejected the document. A carrier that answers earlier loses dicts.
 * - **Errors.** `send` rejects if no answer came, whatever the reason. The relay closes the carrier, connects again and sends the document
 *   again (the peer recognises one that it had). With a {@link Refusal} `send` says that this document can never be carried, for instance
 *   because it is too large: it is dropped for this peer, counted and logged. Errors of `close` are logged.
 * - **Limits.** `connect`, `send` and `close` have `peerTimeoutMs` each. Then `peer.signal` is aborted, and their results are ignored. A
 *   document has at most `maxBodyBytes`, an answer 1 MiB. The bytes belong to the receiving side; the other side does not change them.
 * - **Trust.** `receive` may be called from the call of `connect` until `close`, with documents of this peer and of nobody else, which is
 *   the responsibility of the carrier. Documents are treated as a `notify` of the peer over HTTP, or a `system.multicall` of it: host_id
 * and
 *   stamp must fit the `address` of the peer, and the access and limits are those of `access.peer` and `limits.peer`.
 */
export interface Carrier {
  /** Connects, or begins to listen. Resolves when `send` may be called. */
  connect(peer: CarrierPeer, receive: Receive): Promise<void>;
  /** Carries a document to the peer. Resolves to the answer of the peer. */
  send(document: Uint8Array): Promise<Uint8Array>;
  /** Ends the connection and frees its resources. What is under way rejects. */
  close(): Promise<void>;
}

/** The contract of a transport that carries documents between two relays in place of HTTP. */

/** The peer of a carrier, and the callback by which the carrier reports the end of the connection. */
export interface CarrierPeer {
  /** As in `peers`: `memory://b`. */
  readonly url: URL;
  /** The host_id of this relay. */
  readonly self: string;
  /** Aborted when the relay gives up the connection. End everything that is waiting. */
  readonly signal: AbortSignal;
  /**
   * Call this when the connection has ended by itself. The relay closes this carrier and connects with a new one, even if there is nothing
   * to send.
   */
  lost(reason: string): void;
}

/**
 * Passes a document from the peer to the relay. Resolves to the answer, which the carrier sends back. Never rejects: a rejection by the
 * relay is an answer, too. Documents are processed one at a time, in the order of the calls. A few may wait; more are answered with "call
 * again later".
 */
export type Receive = (document: Uint8Array) => Promise<Uint8Array>;

/**
 * One connection to one peer. A document is an XML-RPC call, its answer an XML-RPC response; a carrier reads neither. The rules:
 *
 * - **Lifecycle.** The relay creates a carrier for each connection. It calls `connect` once, first, then `send`, and `close` once, last,
 *   even if `connect` failed or never ended. After a failure it creates another one, with growing delays. Both relays connect
 *   independently, in either order.
 * - **Order.** The relay calls `send` when the previous call has ended. Documents must be received in the order in which they were sent,
 *   and none twice: only the relay retries a document.
 * - **Acknowledgement.** `send` resolves to what `receive` of the other side resolved to, and to nothing else. That answer says that the
 *   peer has taken responsibility, or rejected the document. A carrier that answers earlier loses dicts.
 * - **Errors.** `send` rejects if no answer came, whatever the reason. The relay closes the carrier, reconnects and sends the document
 *   again (the peer recognises one that it already has). By rejecting with a {@link Refusal}, `send` says that this document can never be
 *   carried, for instance because it is too large: it is dropped for this peer, counted and logged. Errors of `close` are logged.
 * - **Limits.** `connect`, `send` and `close` have `peerTimeoutMs` each. Then `peer.signal` is aborted, and their results are ignored. A
 *   document has at most `maxBodyBytes`, an answer 1 MiB. The bytes belong to the receiving side; the other side does not change them.
 * - **Trust.** `receive` may be called from the call of `connect` until `close`. The carrier must ensure that all documents come from this
 *   peer. They are treated like a `notify` or a `system.multicall` of the peer over HTTP: host_id and stamp must match the `address` of the
 *   peer, and the access and limits are those of `access.peer` and `limits.peer`.
 */
export interface Carrier {
  /** Connects, or begins to listen. Resolves when `send` may be called. */
  connect(peer: CarrierPeer, receive: Receive): Promise<void>;
  /** Carries a document to the peer. Resolves to the answer of the peer. */
  send(document: Uint8Array): Promise<Uint8Array>;
  /** Ends the connection and frees its resources. Pending calls reject. */
  close(): Promise<void>;
}

/** The contract between the relay and whatever carries documents between two relays in place of HTTP. */

/** The peer that a carrier is for, and what the carrier may tell the relay of it. */
export interface CarrierPeer {
  /** As it stands in `peers`: `memory://b`. */
  readonly url: URL;
  /** host_id of this relay. */
  readonly self: string;
  /** Aborted as soon as the relay gives the connection up: end what waits. */
  readonly signal: AbortSignal;
  /**
   * To be called when the connection has ended by itself: the relay closes this carrier and connects anew by another, also if there is
   * nothing to send.
   */
  lost(reason: string): void;
}

/**
 * Hands a document that came from the peer to the relay; resolves to the answer, which the carrier brings back. It never rejects: what the
 * relay refuses is an
 * answer too. One at a time, in the order of the calls; a few may wait, more are answered "call again later".
 */
export type Receive = (document: Uint8Array) => Promise<Uint8Array>;

/**
 * One connection to one peer. A document is an XML-RPC call, its answer an XML-RPC response; a carrier reads neither. What it has to keep
 * to:
 *
 * - **Life.** The relay makes a carrier for each connection and calls `connect` once, first, then `send`, and `close` once, last, also if
 *   `connect` failed or never ended. After a failure it
 *   makes another one, with growing pauses. Both relays connect on their own; nothing says who is first.
 * - **Order.** The relay calls `send` when the one before has ended. What is sent first must be received first, and no document twice:
 *   the same document is sent again by the relay alone.
 * - **Acknowledgement.** `send` resolves to what `receive` of the other side resolved to, and to nothing else: that answer says that the
 *   peer has taken responsibility, or
 *   refused. Whoever answers earlier loses dicts.
 * - **Errors.** `send` rejects if no answer came, whatever the reason; the relay closes, connects anew and sends the document again (the
 *   peer recognises one that it had). With a
 *   {@link Refusal} it says that this document can never be carried, for instance since it is too large: it is dropped for this peer,
 * counted and logged. What `close` throws is logged.
 * - **Limits.** `connect` and `send` have `peerTimeoutMs` each, and so has `close`; then `peer.signal` is aborted and what they still do
 *   is ignored. A document has at most `maxBodyBytes`, an
 *   answer 1 MiB. The bytes belong to whoever gets them; the giver does not change them afterwards.
 * - **Trust.** `receive` may be called from the call of `connect` on until `close`, with what came from this peer and nobody else: the
 *   carrier answers for that. Whatever comes is treated as the
 *   peer's `notify` over HTTP, or a `system.multicall` of it: its host_id and stamp must fit the peer's `address`, its rights and limits
 * are those of `access.peer` and `limits.peer`.
 */
export interface Carrier {
  /** Connects, or begins to listen; resolves when `send` may be called. */
  connect(peer: CarrierPeer, receive: Receive): Promise<void>;
  /** Carries a document to the peer and resolves to the peer's answer. */
  send(document: Uint8Array): Promise<Uint8Array>;
  /** Ends the connection and frees what it holds; what is under way rejects. */
  close(): Promise<void>;
}

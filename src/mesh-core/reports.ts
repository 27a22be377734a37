/** Receipts and reports: tells the origins of messages what became of them, and the host what became of those of this node. */
import { RelayError } from '../core/core.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { HeldMessages } from './held-messages.ts';
import type { Held } from './held-table.ts';
import { RECEIPT_PAUSE_MS } from './limits.ts';
import { HASH_BYTES, MAX_TEXT_BYTES, streamKey } from './message.ts';
import type { Head } from './message.ts';
import { NumberSet } from './number-set.ts';
import type { Origin } from './origin.ts';
import { WITH_PAYLOAD } from './ports.ts';
import type { DeliveryStatus, Effect } from './ports.ts';
import type { Crypto } from './seal.ts';
import type { SeenMessages } from './seen.ts';
import type { Sending } from './sending.ts';

export interface ReportsParts {
  readonly id: string;
  readonly effects: Effect[];
  readonly seen: SeenMessages;
  readonly held: HeldMessages;
  readonly origin: Origin;
  readonly sending: Sending;
  readonly crypto: Crypto;
}

const RECEIPT = 'co2/receipt';
const OUTCOME = 'co2/outcome';
const STATUSES: readonly DeliveryStatus[] = ['delivered', 'expired', 'rejected', 'dead-letter', 'dropped'];
const MAX_REASON_BYTES = 200;
const NO_PROOF = Buffer.alloc(0);

/** See the head of this file. */
export class Reports {
  readonly #parts: ReportsParts;
  readonly #receiptsDue = new Map<string, Head>();
  #receiptsAt = Infinity;
  #lastReceiptsAt = -Infinity;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** The message is stored here, at its target. */
  receiptDue(head: Head, now: number): void {
    if (!head.isDurable || head.target !== this.#parts.id) return;
    this.#receiptsDue.set(streamKey(head), head);
    if (this.#receiptsAt === Infinity) this.#receiptsAt = Math.max(now, this.#lastReceiptsAt + RECEIPT_PAUSE_MS);
  }

  /** When {@link sendReceipts} has something to do. */
  get wakeAt(): number {
    return this.#receiptsAt;
  }

  /** One receipt acknowledges all messages of a stream. A lost one is repaired by the next, since the origin sends again. */
  sendReceipts(now: number): void {
    if (now < this.#receiptsAt) return;
    this.#receiptsAt = Infinity;
    this.#lastReceiptsAt = now;
    for (const [key, { origin, epoch }] of this.#receiptsDue) {
      const numbers = this.#parts.seen.numbersOf(key);
      if (numbers) this.#parts.origin.submitSystem(origin, RECEIPT, numbers.encode(new ByteWriter().varint(epoch)).end(), false, '');
    }
    this.#receiptsDue.clear();
  }

  /** The satellites of this node did not take a message of another node. */
  tellOrigin(held: Held, status: DeliveryStatus, reason: string): void {
    this.#tellOrigin(held, status, reason, NO_PROOF);
  }

  /** This node gives up a message on its way from another node to a third. `head` are the bytes of its head. */
  tellOriginDropped(held: Held, reason: string, head: Buffer): void {
    this.#tellOrigin(held, 'dropped', reason, this.#parts.crypto.hash(head));
  }

  #tellOrigin({ stream: { key }, id, isSystem, ref }: Held, status: DeliveryStatus, text: string, proof: Buffer): void {
    if (isSystem) return;
    const [origin = ''] = key.split('.');
    const reason = shortened(text);
    const payload = new ByteWriter().byte(STATUSES.indexOf(status)).text(reason).text(ref).bytes(proof).end();
    this.#parts.origin.submitSystem(origin, OUTCOME, payload, true, id);
  }

  /** Takes a message of the mesh itself. */
  take(head: Head, payload: Buffer): void {
    try {
      if (head.contentType === RECEIPT) this.#takeReceipt(head, payload);
      if (head.contentType === OUTCOME) this.#takeOutcome(head, payload);
    } catch (error) {
      // A later version may send others.
      if (!RelayError.is(error)) throw error;
    }
  }

  /** Nothing is reported about messages of the mesh itself: there is never an error about an error. */
  report(held: Held, status: DeliveryStatus, reason: string, node: string | undefined): void {
    if (held.isSystem) return;
    const { id, ref } = held;
    const say = (payload?: Buffer): void => {
      this.#parts.effects.push({ type: 'outcome', id, status, reason, node, ref, payload });
    };
    if (held.isOwn && ref === WITH_PAYLOAD) this.#parts.sending.payloadOf(held, say);
    else say();
  }

  #takeReceipt({ origin: target }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a receipt');
    const epoch = reader.varint();
    const numbers = NumberSet.decode(reader);
    reader.end();
    const { id, held: messages } = this.#parts;
    for (const held of messages.messagesOf({ origin: id, epoch, target, isDurable: true })?.values() ?? []) {
      if (held.number > numbers.greatest) break;
      if (!numbers.has(held.number)) continue;
      this.report(held, 'delivered', '', target);
      messages.finish(held);
    }
  }

  #takeOutcome({ origin, ref: id }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a report');
    const status = STATUSES[reader.byte(STATUSES.length - 1)] ?? 'rejected';
    const reason = reader.text(MAX_REASON_BYTES);
    // Returned by the other node, since this one forgets a message once it has the receipt.
    const ref = reader.text(MAX_TEXT_BYTES);
    const proof = reader.bytes(HASH_BYTES);
    reader.end();
    if (!id.startsWith(`${this.#parts.id}.`)) return;
    if (id.includes(`.u:${origin}.`))
      this.#parts.effects.push({ type: 'outcome', id, status, reason, node: origin, ref, payload: undefined });
    else if (status === 'dropped') this.#droppedOnItsWay(id, reason, proof, origin);
  }

  /** A node between says that it has dropped a message of this node. It is believed if it has had the message. */
  #droppedOnItsWay(id: string, reason: string, proof: Buffer, node: string): void {
    const { held: messages, sending, crypto } = this.#parts;
    const held = messages.find(id);
    if (!held?.isOwn) return;
    const settle = (): void => {
      const head = held.arrival?.envelope.head;
      if (held.state === 'gone' || !head || !crypto.hash(head).equals(proof)) return;
      this.report(held, 'dropped', reason, node);
      messages.finish(held);
    };
    if (held.arrival) settle();
    else sending.read([held], settle);
  }
}

/** The beginning of a text, as long as a report may have it. */
function shortened(text: string): string {
  let short = text;
  while (Buffer.byteLength(short) > MAX_REASON_BYTES) short = short.slice(0, Math.min(short.length - 1, MAX_REASON_BYTES));
  return short;
}

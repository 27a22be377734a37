/** Receipts and reports: tells the origins of messages what became of them, and the host what became of those of this node. */
import { RelayError } from '../core/core.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { HeldMessages } from './held-messages.ts';
import type { Held } from './held.ts';
import { MAX_TEXT_BYTES, streamKey } from './message.ts';
import type { Head } from './message.ts';
import { NumberSet } from './number-set.ts';
import type { Origin } from './origin.ts';
import type { DeliveryStatus, Effect } from './ports.ts';
import type { SeenMessages } from './seen.ts';

export interface ReportsParts {
  readonly id: string;
  readonly effects: Effect[];
  readonly seen: SeenMessages;
  readonly held: HeldMessages;
  readonly origin: Origin;
}

const RECEIPT = 'co2/receipt';
const OUTCOME = 'co2/outcome';
const STATUSES: readonly DeliveryStatus[] = ['delivered', 'expired', 'rejected', 'dead-letter', 'dropped'];
const MAX_REASON_BYTES = 200;

/** See the head of this file. */
export class Reports {
  readonly #parts: ReportsParts;
  readonly #receiptsDue = new Map<string, Head>();

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** The message is stored here, at its target. */
  receiptDue(head: Head): void {
    if (head.isDurable && head.target === this.#parts.id) this.#receiptsDue.set(streamKey(head), head);
  }

  /** One receipt acknowledges all messages of a stream. A lost one is repaired by the next, since the origin sends again. */
  sendReceipts(): void {
    for (const [key, { origin, epoch }] of this.#receiptsDue) {
      const numbers = this.#parts.seen.numbersOf(key);
      if (numbers) this.#parts.origin.submitSystem(origin, RECEIPT, numbers.encode(new ByteWriter().varint(epoch)).end(), false, '');
    }
    this.#receiptsDue.clear();
  }

  /** The satellites of this node did not take a message of another node. */
  tellOrigin({ stream: { key }, id, ref }: Held, status: DeliveryStatus, text: string): void {
    const [origin = ''] = key.split('.');
    const reason = Buffer.from(text).subarray(0, MAX_REASON_BYTES).toString();
    const payload = new ByteWriter().byte(STATUSES.indexOf(status)).text(reason).text(ref).end();
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
    this.#parts.effects.push({ type: 'outcome', id, status, reason, node, ref });
  }

  #takeReceipt({ origin: target }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a receipt');
    const epoch = reader.varint();
    const numbers = NumberSet.decode(reader);
    reader.end();
    const { id, held: messages } = this.#parts;
    for (const [number, held] of messages.messagesOf({ origin: id, epoch, target, isDurable: true }) ?? []) {
      if (number > numbers.greatest) break;
      if (!numbers.has(number)) continue;
      messages.finish(held);
      this.report(held, 'delivered', '', target);
    }
  }

  #takeOutcome({ origin, ref: id }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a report');
    const status = STATUSES[reader.byte(STATUSES.length - 1)] ?? 'rejected';
    const reason = reader.text(MAX_REASON_BYTES);
    // Returned by the other node, since this one forgets a message once it has the receipt.
    const ref = reader.text(MAX_TEXT_BYTES);
    reader.end();
    // Only the node that a message was for may say so.
    if (!id.startsWith(`${this.#parts.id}.`) || !id.includes(`.u:${origin}.`)) return;
    this.#parts.effects.push({ type: 'outcome', id, status, reason, node: origin, ref });
  }
}

/** How a message is stored: the length of a header, the header as JSON, then the payload as it arrived. */
import type { Clock } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';

/** A message without the view of its dict, which is made from the payload. */
export type StoredMessage = Omit<Message, 'frozen'>;

/** What reading and writing stored messages takes. */
export interface MessageStorage {
  /** Makes the message again. Throws if no dict can be read from the payload. */
  readonly restore: (message: StoredMessage) => Message;
  /** ms since 1970. Times are stored as dates, since the clock of a relay starts with it. */
  readonly date: () => number;
  readonly clock: Pick<Clock, 'now'>;
}

interface Header<Extra> extends Omit<StoredMessage, 'payload' | 'arrivedAt'> {
  readonly cameAt: number;
  readonly extra: Extra;
}

const LENGTH_BYTES = 4;

/** The date of a time by the clock of the relay. */
export function dateOf(time: number, { date, clock }: MessageStorage): number {
  return date() - (clock.now() - time);
}

/** The time by the clock of the relay of a date. */
export function timeOf(stored: number, { date, clock }: MessageStorage): number {
  return clock.now() - (date() - stored);
}

/** `extra` is what its owner stores with the message; it must survive JSON. */
export function encodeMessage<Extra>(
  { payload, arrivedAt, frozen: _frozen, ...fields }: Message,
  extra: Extra,
  storage: MessageStorage,
): Buffer {
  const header: Header<Extra> = { ...fields, cameAt: dateOf(arrivedAt, storage), extra };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, payload]);
}

/** Throws if the value cannot be read, or has no dict. */
export function decodeMessage<Extra>(value: Buffer, storage: MessageStorage): { readonly message: Message; readonly extra: Extra } {
  const end = LENGTH_BYTES + value.readUInt32BE(0);
  const { cameAt, extra, ...fields } = JSON.parse(value.toString('utf8', LENGTH_BYTES, end)) as Header<Extra>;
  // In memory of its own: the value is part of a larger page.
  const payload = Buffer.from(value.subarray(end));
  return { message: storage.restore({ ...fields, payload, arrivedAt: timeOf(cameAt, storage) }), extra };
}

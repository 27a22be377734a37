/** Dead letters, and keeping them in the durable store, so that they survive restarts of the relay. */
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import type { Store, StoreOperation } from '../../store/store.ts';

/** A message that is not delivered any more. */
export interface DeadLetter {
  /** The message's id. */
  readonly id: string;
  /** The satellite that it was addressed to. */
  readonly satellite: string;
  readonly message: Message;
  /** How often the satellite's process died because of it. */
  readonly deaths: number;
  /** Why the last delivery failed. */
  readonly reason: string;
  /** When it became a dead letter, by the relay's clock. */
  readonly at: number;
}

/** A message without the view of its dict, which is made from the payload. */
export type StoredMessage = Omit<Message, 'frozen'>;

/** What keeping dead letters takes. */
export interface KeptLettersParts {
  readonly store: Store;
  /** Makes the message again. Throws if no dict can be read from the payload. */
  readonly restore: (message: StoredMessage) => Message;
  /** ms since 1970. */
  readonly date: () => number;
}

const TABLE = 'dead-letters';
const LENGTH_BYTES = 4;

/** What is stored before the payload. Times are dates, since the clock of a relay starts with it. */
interface Header extends Omit<StoredMessage, 'payload' | 'arrivedAt'> {
  readonly satellite: string;
  readonly deaths: number;
  readonly reason: string;
  readonly diedAt: number;
  readonly cameAt: number;
}

/** See the head of this file. */
export class KeptLetters {
  constructor(
    private readonly parts: KeptLettersParts,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly log: Pick<Log, 'warn'>,
  ) {}

  /** The stored letters in the order in which they became dead letters. One that cannot be read is logged and stays where it is. */
  async load(): Promise<readonly DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const { key, value } of this.parts.store.entries(TABLE)) {
      try {
        letters.push(this.#decode(value));
      } catch (error) {
        this.log.warn(`the stored dead letter ${clean(key)} cannot be read: ${reasonOf(error)}`);
      }
    }
    return letters.sort((one, other) => one.at - other.at);
  }

  /** Stores a letter and forgets others. A failure is logged: the letter is in memory, and the relay goes on. */
  keep(letter: DeadLetter, forgotten: readonly DeadLetter[]): void {
    this.#write([{ type: 'put', table: TABLE, key: keyOf(letter), value: this.#encode(letter) }, ...forgotten.map(removal)]);
  }

  forget(letter: DeadLetter): void {
    this.#write([removal(letter)]);
  }

  #write(operations: readonly StoreOperation[]): void {
    // The message was accepted before; there are few of them, so they are stored even while the disk is nearly full.
    this.parts.store.write(operations, { isProgress: true }).catch((error: unknown) => {
      this.log.warn(`a change of the dead letters is lost when the relay ends: ${reasonOf(error)}`);
    });
  }

  #encode({ message, satellite, deaths, reason, at }: DeadLetter): Buffer {
    const { payload, arrivedAt, frozen: _frozen, ...fields } = message;
    const dateOf = (time: number): number => this.parts.date() - (this.clock.now() - time);
    const header: Header = { ...fields, satellite, deaths, reason, diedAt: dateOf(at), cameAt: dateOf(arrivedAt) };
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(text.length);
    return Buffer.concat([length, text, payload]);
  }

  #decode(value: Buffer): DeadLetter {
    const end = LENGTH_BYTES + value.readUInt32BE(0);
    const { satellite, deaths, reason, diedAt, cameAt, ...fields } = JSON.parse(value.toString('utf8', LENGTH_BYTES, end)) as Header;
    const timeOf = (date: number): number => this.clock.now() - (this.parts.date() - date);
    // In memory of its own: the value is part of a larger page.
    const message = this.parts.restore({ ...fields, payload: Buffer.from(value.subarray(end)), arrivedAt: timeOf(cameAt) });
    return { id: message.id, satellite, deaths, reason, message, at: timeOf(diedAt) };
  }
}

function keyOf({ satellite, id }: DeadLetter): string {
  return `${satellite} ${id}`;
}

function removal(letter: DeadLetter): StoreOperation {
  return { type: 'delete', table: TABLE, key: keyOf(letter) };
}

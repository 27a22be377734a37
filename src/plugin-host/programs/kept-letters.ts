/** Dead letters, and keeping them in the durable store, so that they survive restarts of the relay. */
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import type { Store, StoreOperation } from '../../store/store.ts';
import { dateOf, decodeMessage, encodeMessage, timeOf } from '../hosted/hosted.ts';
import type { MessageStorage } from '../hosted/hosted.ts';

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

/** What keeping dead letters takes. */
export interface KeptLettersParts {
  readonly store: Store;
  /** Makes the message again. Throws if no dict can be read from the payload. */
  readonly restore: MessageStorage['restore'];
  /** ms since 1970. */
  readonly date: () => number;
}

const TABLE = 'dead-letters';

/** What is stored with the message. */
interface Letter {
  readonly satellite: string;
  readonly deaths: number;
  readonly reason: string;
  readonly diedAt: number;
}

/** See the head of this file. */
export class KeptLetters {
  readonly #storage: MessageStorage;

  constructor(
    private readonly parts: KeptLettersParts,
    clock: Pick<Clock, 'now'>,
    private readonly log: Pick<Log, 'warn'>,
  ) {
    this.#storage = { restore: parts.restore, date: parts.date, clock };
  }

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
    return encodeMessage<Letter>(message, { satellite, deaths, reason, diedAt: dateOf(at, this.#storage) }, this.#storage);
  }

  #decode(value: Buffer): DeadLetter {
    const { message, extra } = decodeMessage<Letter>(value, this.#storage);
    const { satellite, deaths, reason, diedAt } = extra;
    return { id: message.id, satellite, deaths, reason, message, at: timeOf(diedAt, this.#storage) };
  }
}

function keyOf({ satellite, id }: DeadLetter): string {
  return `${satellite} ${id}`;
}

function removal(letter: DeadLetter): StoreOperation {
  return { type: 'delete', table: TABLE, key: keyOf(letter) };
}

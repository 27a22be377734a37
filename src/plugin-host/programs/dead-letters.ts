/** Dead letters: messages that repeatedly ended their recipient. The newest ones are kept in memory. */
import { RelayError, clean } from '../../core/core.ts';
import { heldBytes } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';

/** A message that was set aside. */
export interface DeadLetter {
  /** The message's id. */
  readonly id: string;
  /** The satellite that ended because of it. */
  readonly satellite: string;
  readonly message: Message;
  /** How often it did. */
  readonly deaths: number;
  /** Why it died the last time. */
  readonly reason: string;
  /** When it was set aside, by the relay's clock. */
  readonly at: number;
}

// What an operator looks through, and what a relay can spare.
const MAX_LETTERS = 1_000;
const MAX_BYTES = 16 * 1024 * 1024;

export class DeadLetters {
  readonly #letters = new Map<string, DeadLetter>();
  #bytes = 0;

  /** `deliver` puts a message into the inbox of a satellite again; false if there is no such satellite, or it accepts no messages. */
  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly deliver: (satellite: string, message: Message) => boolean,
  ) {}

  /** The oldest first. */
  list(): readonly DeadLetter[] {
    return [...this.#letters.values()];
  }

  /** Adds a dead letter; the oldest are dropped if there is no room. */
  add(letter: Omit<DeadLetter, 'id' | 'at'>): void {
    const { satellite, message } = letter;
    this.#remove(keyOf(satellite, message.id));
    this.#letters.set(keyOf(satellite, message.id), { ...letter, id: message.id, at: this.clock.now() });
    this.#bytes += heldBytes(message);
    for (const key of this.#letters.keys()) {
      if (this.#letters.size <= MAX_LETTERS && this.#bytes <= MAX_BYTES) break;
      this.#remove(key);
    }
  }

  /**
   * Delivers one again. Throws a RelayError INVALID_PARAMS if there is none, UNAVAILABLE if its satellite takes none now; it stays then.
   */
  replay(satellite: string, id: string): void {
    const { message } = this.#find(satellite, id);
    if (!this.deliver(satellite, message)) throw new RelayError('UNAVAILABLE', `${clean(satellite)} takes no messages now; start it first`);
    this.#remove(keyOf(satellite, id));
  }

  /** Forgets one. Throws a RelayError INVALID_PARAMS if there is none. */
  drop(satellite: string, id: string): void {
    this.#find(satellite, id);
    this.#remove(keyOf(satellite, id));
  }

  #find(satellite: string, id: string): DeadLetter {
    const letter = this.#letters.get(keyOf(satellite, id));
    if (letter) return letter;
    throw new RelayError('INVALID_PARAMS', `no message '${clean(id, 130)}' of ${clean(satellite)} was set aside`);
  }

  #remove(key: string): void {
    const letter = this.#letters.get(key);
    if (!letter) return;
    this.#letters.delete(key);
    this.#bytes -= heldBytes(letter.message);
  }
}

function keyOf(satellite: string, id: string): string {
  return `${satellite} ${id}`;
}

/** Keeps the newest dead letters in memory: messages that repeatedly crashed their recipient or that it cannot read. */
import { RelayError, clean } from '../../core/core.ts';
import { heldBytes } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';

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

// As many as an operator can look through, in as much memory as a relay can spare.
const MAX_LETTERS = 1_000;
const MAX_BYTES = 16 * 1024 * 1024;

export class DeadLetters {
  readonly #letters = new Map<string, DeadLetter>();
  #bytes = 0;

  /** `deliver` puts a message back into a satellite's inbox; it returns false if the satellite is unknown or accepts no messages. */
  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly deliver: (satellite: string, message: Message) => boolean,
  ) {}

  /** Returns all dead letters, the oldest first. */
  list(): readonly DeadLetter[] {
    return [...this.#letters.values()];
  }

  /** Adds a dead letter. The oldest ones are dropped if a limit is exceeded. */
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
   * Redelivers a dead letter. Throws a RelayError INVALID_PARAMS if it does not exist, or UNAVAILABLE (and keeps it) if its satellite
   * accepts no messages.
   */
  replay(satellite: string, id: string): void {
    const { message } = this.#find(satellite, id);
    if (!this.deliver(satellite, message)) throw new RelayError('UNAVAILABLE', `${clean(satellite)} takes no messages now; start it first`);
    this.#remove(keyOf(satellite, id));
  }

  /** Deletes a dead letter. Throws a RelayError INVALID_PARAMS if it does not exist. */
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

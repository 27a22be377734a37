/** Keeps the newest dead letters: messages that repeatedly crashed their recipient or that it cannot read. */
import { RelayError, clean } from '../../core/core.ts';
import { heldBytes } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import type { DeadLetter, KeptLetters } from './kept-letters.ts';

export type { DeadLetter } from './kept-letters.ts';

// As many as an operator can look through, in as much memory as a relay can spare.
const MAX_LETTERS = 1_000;
const MAX_BYTES = 16 * 1024 * 1024;

export class DeadLetters {
  readonly #letters = new Map<string, DeadLetter>();
  #bytes = 0;

  /**
   * `deliver` puts a message back into a satellite's inbox; it returns false if the satellite is unknown or accepts no messages. `kept`
   * stores the letters durably. Default: they are only in memory.
   */
  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly deliver: (satellite: string, message: Message) => boolean,
    private readonly kept?: KeptLetters,
  ) {}

  /** Reads the letters of earlier runs; called once, before any is added. */
  async load(): Promise<void> {
    for (const letter of (await this.kept?.load()) ?? []) {
      this.#put(letter);
      for (const dropped of this.#dropOldest()) this.kept?.forget(dropped);
    }
  }

  /** Returns all dead letters, the oldest first. */
  list(): readonly DeadLetter[] {
    return [...this.#letters.values()];
  }

  /** Adds a dead letter. The oldest ones are dropped if a limit is exceeded. */
  add(letter: Omit<DeadLetter, 'id' | 'at'>): void {
    const added: DeadLetter = { ...letter, id: letter.message.id, at: this.clock.now() };
    this.#put(added);
    const dropped = this.#dropOldest();
    this.kept?.keep(added, dropped);
  }

  /**
   * Redelivers a dead letter. Throws a RelayError INVALID_PARAMS if it does not exist, or UNAVAILABLE (and keeps it) if its satellite
   * accepts no messages.
   */
  replay(satellite: string, id: string): void {
    const letter = this.#find(satellite, id);
    if (!this.deliver(satellite, letter.message))
      throw new RelayError('UNAVAILABLE', `${clean(satellite)} takes no messages now; start it first`);
    this.#remove(letter);
    this.kept?.forget(letter);
  }

  /** Deletes a dead letter. Throws a RelayError INVALID_PARAMS if it does not exist. */
  drop(satellite: string, id: string): void {
    const letter = this.#find(satellite, id);
    this.#remove(letter);
    this.kept?.forget(letter);
  }

  #find(satellite: string, id: string): DeadLetter {
    const letter = this.#letters.get(keyOf(satellite, id));
    if (letter) return letter;
    throw new RelayError('INVALID_PARAMS', `no message '${clean(id, 130)}' of ${clean(satellite)} was set aside`);
  }

  #put(letter: DeadLetter): void {
    const key = keyOf(letter.satellite, letter.id);
    const before = this.#letters.get(key);
    if (before) this.#remove(before);
    this.#letters.set(key, letter);
    this.#bytes += heldBytes(letter.message);
  }

  /** Drops the oldest letters while a limit is exceeded; returns them. */
  #dropOldest(): readonly DeadLetter[] {
    const dropped: DeadLetter[] = [];
    for (const letter of this.#letters.values()) {
      if (this.#letters.size <= MAX_LETTERS && this.#bytes <= MAX_BYTES) break;
      this.#remove(letter);
      dropped.push(letter);
    }
    return dropped;
  }

  #remove({ satellite, id, message }: DeadLetter): void {
    this.#letters.delete(keyOf(satellite, id));
    this.#bytes -= heldBytes(message);
  }
}

function keyOf(satellite: string, id: string): string {
  return `${satellite} ${id}`;
}

/** The tokens of the state directory as a running relay sees them: read again when the file changes. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { isCode } from '../state/state.ts';
import { readTokens } from './token-format.ts';
import type { StoredToken } from './token-format.ts';

export const TOKENS_FILE = 'tokens.json';
// A revoked token is good for no longer than this; and so often, at most, a request costs a look at the disk.
const LOOK_MS = 1_000;
// Five looks: what is being written is whole by then; longer, and a revocation that cannot be read would count for nothing.
const GRACE_MS = 4 * LOOK_MS;

export class TokenFile {
  readonly #file: string;
  #tokens: readonly StoredToken[];
  /** Undefined if the last look could not read it. */
  #seen: string | undefined;
  /** The first of the looks in a row that could not read it. */
  #unreadableSince: number | undefined;
  #lookedAt: number;

  /** Reads the file in `dataDir`. Throws a RelayError STATE_DIRECTORY if it is damaged, unreadable or open to others. */
  constructor(
    dataDir: string,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.#file = join(dataDir, TOKENS_FILE);
    // The look before the reading: what changes in between is read once more, not missed.
    this.#seen = signatureOf(this.#file);
    this.#tokens = readTokens(this.#file);
    this.#lookedAt = clock.now();
  }

  /**
   * The tokens, at most a second old; the same array as long as nothing changed. A file that went bad keeps the ones before for a few seconds; then there are none until it
   * can be read. The log says both.
   */
  all(): readonly StoredToken[] {
    const now = this.clock.now();
    if (now - this.#lookedAt < LOOK_MS) return this.#tokens;
    this.#lookedAt = now;
    const seen = signatureOf(this.#file);
    if (seen !== this.#seen) this.#readAgain(seen, now);
    return this.#tokens;
  }

  #readAgain(seen: string, now: number): void {
    try {
      this.#tokens = readTokens(this.#file);
      this.#seen = seen;
      this.#unreadableSince = undefined;
      this.log.info(`${this.#file} has changed: ${this.#tokens.length} tokens`);
    } catch (error) {
      // Whatever the next look sees, it reads.
      this.#seen = undefined;
      this.#keepOrDrop(now, reasonOf(error));
    }
  }

  #keepOrDrop(now: number, reason: string): void {
    if (this.#unreadableSince === undefined) {
      this.#unreadableSince = now;
      this.log.error(`the tokens stay as they were before, also revoked ones: ${reason}`);
    } else if (now - this.#unreadableSince >= GRACE_MS && this.#tokens.length > 0) {
      this.#tokens = [];
      this.log.error(`${this.#file}: no token in it is valid until it can be read: ${reason}`);
    }
  }
}

/** Changes whenever the file is replaced, written, or given other rights. */
function signatureOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    return isCode(error, 'ENOENT') ? 'none' : reasonOf(error);
  }
}

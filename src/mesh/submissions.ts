/** The messages that this relay submits to its node: gathered for one turn of the event loop, and answered by effects of the machine. */
import { RelayError } from '../core/core.ts';
import type { NodeEvent, RefusalReason } from '../mesh-core/mesh-core.ts';
import type { MeshMessage } from './port.ts';

interface Waiting {
  readonly resolve: (id: string) => void;
  readonly reject: (error: RelayError) => void;
}

const REFUSALS: Readonly<Record<RefusalReason, 'INVALID_PARAMS' | 'LIMIT' | 'UNAVAILABLE'>> = {
  invalid: 'INVALID_PARAMS',
  generation: 'LIMIT',
  quota: 'LIMIT',
  storage: 'UNAVAILABLE',
  'no-candidate': 'UNAVAILABLE',
  'too-far': 'UNAVAILABLE',
};

/** See the head of this file. */
export class Submissions {
  readonly #waiting = new Map<string, Waiting>();
  #gathered: NodeEvent[] = [];
  #lastToken = 0;

  constructor(
    /** ms since 1970. */
    private readonly date: () => number,
    /** Takes what was gathered: messages of one turn are signed together. */
    private readonly take: (events: readonly NodeEvent[]) => void,
  ) {}

  /** Submits a message of the server `hostId`, unless it names another one; resolves to its id. Rejects with a RelayError. */
  add({ target, contentType, payload, isDurable, ...message }: MeshMessage, ownHostId: string): Promise<string> {
    const token = String(++this.#lastToken);
    const { isOrdered = false, ttlMs, hostId = ownHostId, generation = 0, ref } = message;
    const submission = { token, target, payload, isDurable, isOrdered, ttlMs, hostId, generation, ref, contentType };
    return new Promise((resolve, reject) => {
      this.#waiting.set(token, { resolve, reject });
      if (this.#gathered.length === 0)
        setImmediate(() => {
          this.flush();
        });
      this.#gathered.push({ type: 'submit', submission, wallMs: this.date() });
    });
  }

  /** Passes on what was gathered so far. */
  flush(): void {
    if (this.#gathered.length > 0) this.take(this.#gathered.splice(0));
  }

  accepted(token: string, id: string): void {
    this.#waiting.get(token)?.resolve(id);
    this.#waiting.delete(token);
  }

  refused(token: string, reason: RefusalReason, text: string): void {
    this.#waiting.get(token)?.reject(new RelayError(REFUSALS[reason], text));
    this.#waiting.delete(token);
  }

  /** Rejects what still waits. */
  end(): void {
    for (const { reject } of this.#waiting.values())
      reject(new RelayError('UNAVAILABLE', 'the relay stopped before the message was stored'));
    this.#waiting.clear();
  }
}

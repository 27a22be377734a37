/** The messages that this relay submits to its node: gathered for one turn of the event loop, and answered by effects of the machine. */
import { RelayError } from '../core/core.ts';
import type { NodeEvent, RefusalReason, Submission } from '../mesh-core/mesh-core.ts';
import { Bundle, mayBePart } from './bundle.ts';
import type { MeshMessage } from './port.ts';

/** Who learns what becomes of a submission. */
interface Sender {
  readonly accepted: (id: string) => void;
  readonly refused: (error: RelayError) => void;
}

// Up to 30 ms of work, if each is a bundle. A program may send any number in one turn of the event loop, and other work must get its turn.
const MAX_PER_TURN = 512;

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
  readonly #waiting = new Map<string, Sender>();
  #gathered: NodeEvent[] = [];
  /** What is gathered for the next message, and what its senders are to know. */
  #open: { readonly bundle: Bundle; readonly hostId: string; readonly senders: Sender[] } | undefined;
  #lastToken = 0;

  constructor(
    /** ms since 1970. */
    private readonly date: () => number,
    /** Takes what was gathered: messages of one turn are signed together. */
    private readonly take: (events: readonly NodeEvent[]) => void,
  ) {}

  /** Submits a message of the server `hostId`, unless it names another one; resolves to its id. Rejects with a RelayError. */
  add(message: MeshMessage, hostId: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#gather(message, hostId, { accepted: resolve, refused: reject });
    });
  }

  /** Like {@link add}, for a sender that only wants to know if it is refused. */
  send(message: MeshMessage, hostId: string, refused: (error: RelayError) => void): void {
    this.#gather(message, hostId, { accepted: ignore, refused });
  }

  #gather(message: MeshMessage, hostId: string, sender: Sender): void {
    if (!mayBePart(message)) this.#add(message, hostId, sender);
    else if (this.#open?.bundle.add(message) === true) this.#open.senders.push(sender);
    else {
      this.#close();
      this.#schedule();
      this.#open = { bundle: new Bundle(message), hostId, senders: [sender] };
    }
  }

  /** Nothing more joins what was gathered for one message. */
  #close(): void {
    if (!this.#open) return;
    const { bundle, hostId, senders } = this.#open;
    this.#open = undefined;
    this.#add(bundle.message(), hostId, {
      accepted: (id) => {
        for (const { accepted } of senders) accepted(id);
      },
      refused: (error) => {
        for (const { refused } of senders) refused(error);
      },
    });
  }

  #add(message: MeshMessage, hostId: string, sender: Sender): void {
    const token = String(++this.#lastToken);
    this.#waiting.set(token, sender);
    // Written without spreads, which are slow: this runs for every message.
    const submission: Submission = {
      token,
      target: message.target,
      payload: message.payload,
      isDurable: message.isDurable,
      isOrdered: message.isOrdered ?? false,
      ttlMs: message.ttlMs,
      hostId: message.hostId ?? hostId,
      generation: message.generation ?? 0,
      ref: message.ref,
      contentType: message.contentType,
    };
    this.#schedule();
    this.#gathered.push({ type: 'submit', submission, wallMs: this.date() });
  }

  #schedule(): void {
    if (this.#gathered.length === 0 && !this.#open) setImmediate(this.#turn);
  }

  /** Passes on what was gathered so far. */
  flush(): void {
    this.#close();
    while (this.#gathered.length > 0) this.take(this.#gathered.splice(0, MAX_PER_TURN));
  }

  readonly #turn = (): void => {
    this.#close();
    if (this.#gathered.length === 0) return;
    const events = this.#gathered.splice(0, MAX_PER_TURN);
    if (this.#gathered.length > 0) setImmediate(this.#turn);
    this.take(events);
  };

  accepted(token: string, id: string): void {
    this.#waiting.get(token)?.accepted(id);
    this.#waiting.delete(token);
  }

  refused(token: string, reason: RefusalReason, text: string): void {
    this.#waiting.get(token)?.refused(new RelayError(REFUSALS[reason], text));
    this.#waiting.delete(token);
  }

  /** Refuses what still waits. */
  end(): void {
    for (const { refused } of this.#waiting.values())
      refused(new RelayError('UNAVAILABLE', 'the relay stopped before the message was stored'));
    this.#waiting.clear();
  }
}

function ignore(): void {
  // A message in memory is not acknowledged.
}

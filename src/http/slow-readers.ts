/** Readers that do not take their answers are cut, so that nobody makes the relay keep them for long; nor may anybody ask for ever more before it reads. */
import type { Clock, Log } from '../core/core.ts';

// What is smaller lies in the system's buffers, not in ours.
const LARGE_BYTES = 64 * 1024;
// Requests under way on one connection. XML-RPC clients send the next one after the answer; a browser or a proxy may send some at once.
const MAX_PIPELINED = 32;

/** A connection, as the doors see it. */
export interface Connection {
  destroy(): void;
  readonly remoteAddress?: string | undefined;
}

interface Unread {
  requests: number;
  bytes: number;
  cancel: (() => void) | undefined;
}

export class SlowReaders {
  readonly #unread = new WeakMap<Connection, Unread>();

  /** `limitMs`: how long a reader with large answers may take for the next of them. */
  constructor(
    private readonly limitMs: number,
    private readonly clock: Clock,
    private readonly log: Pick<Log, 'warn'>,
  ) {}

  /** A request came in over `connection`; false, and the connection is cut, if too many wait there already. */
  asking(connection: Connection): boolean {
    const unread = this.#unread.get(connection) ?? this.#add(connection);
    if (++unread.requests <= MAX_PIPELINED) return true;
    this.log.warn(`${nameOf(connection)} sent ${unread.requests} requests without reading an answer and is cut`);
    connection.destroy();
    return false;
  }

  /** An answer of `bytes` bytes is about to be sent. */
  sending(connection: Connection, bytes: number): void {
    const unread = this.#unread.get(connection);
    if (!unread) return;
    unread.bytes += bytes;
    if (unread.bytes >= LARGE_BYTES && !unread.cancel) this.#watch(connection, unread);
  }

  /** An answer of `bytes` bytes was taken, or its connection is gone. */
  done(connection: Connection, bytes: number): void {
    const unread = this.#unread.get(connection);
    if (!unread) return;
    unread.requests--;
    unread.bytes -= bytes;
    unread.cancel?.();
    unread.cancel = undefined;
    if (unread.bytes >= LARGE_BYTES) this.#watch(connection, unread);
  }

  #add(connection: Connection): Unread {
    const unread: Unread = { requests: 0, bytes: 0, cancel: undefined };
    this.#unread.set(connection, unread);
    return unread;
  }

  #watch(connection: Connection, unread: Unread): void {
    unread.cancel = this.clock.after(this.limitMs, () => {
      this.log.warn(`${nameOf(connection)} did not read answers of ${unread.bytes} bytes in ${this.limitMs} ms and is cut`);
      connection.destroy();
    });
  }
}

function nameOf({ remoteAddress }: Connection): string {
  return remoteAddress ?? 'a local reader';
}

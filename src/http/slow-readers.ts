/** Closes the connections of clients that do not read their responses, or send too many requests without reading, to protect memory. */
import type { Clock, Log } from '../core/core.ts';

// Less than this fits into the system's buffers.
const LARGE_BYTES = 64 * 1024;
// Requests in flight on one connection. XML-RPC clients wait for each response; a browser or a proxy may pipeline some.
const MAX_PIPELINED = 32;

/** The part of a socket that is needed here. */
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

  /** `limitMs` is how long a client may take to read the next large response. */
  constructor(
    private readonly limitMs: number,
    private readonly clock: Clock,
    private readonly log: Pick<Log, 'warn'>,
  ) {}

  /** Counts a request on `connection`. Returns false and closes the connection if too many wait there already. */
  requestBegan(connection: Connection): boolean {
    const unread = this.#unread.get(connection) ?? this.#add(connection);
    if (++unread.requests <= MAX_PIPELINED) return true;
    this.log.warn(`${nameOf(connection)} sent ${unread.requests} requests without reading a response; closing its connection`);
    connection.destroy();
    return false;
  }

  /** Counts a response of `bytes` bytes that is about to be sent. */
  responseBegan(connection: Connection, bytes: number): void {
    const unread = this.#unread.get(connection);
    if (!unread) return;
    unread.bytes += bytes;
    if (unread.bytes >= LARGE_BYTES && !unread.cancel) this.#watch(connection, unread);
  }

  /** Call when a response of `bytes` bytes was read, or its connection has closed. */
  responseEnded(connection: Connection, bytes: number): void {
    const unread = this.#unread.get(connection);
    if (!unread) return;
    unread.requests--;
    unread.bytes -= bytes;
    unread.cancel?.();
    unread.cancel = undefined;
    if (unread.bytes >= LARGE_BYTES) this.#watch(connection, unread);
  }

  /** Watches a piece of a streamed response, until the returned function is called: the piece was read. */
  pieceBegan(connection: Connection, bytes: number): () => void {
    return this.clock.after(this.limitMs, () => {
      this.#cut(connection, bytes);
    });
  }

  #add(connection: Connection): Unread {
    const unread: Unread = { requests: 0, bytes: 0, cancel: undefined };
    this.#unread.set(connection, unread);
    return unread;
  }

  #watch(connection: Connection, unread: Unread): void {
    unread.cancel = this.clock.after(this.limitMs, () => {
      this.#cut(connection, unread.bytes);
    });
  }

  #cut(connection: Connection, bytes: number): void {
    this.log.warn(`${nameOf(connection)} did not read ${bytes} bytes of responses in ${this.limitMs} ms; closing its connection`);
    connection.destroy();
  }
}

function nameOf({ remoteAddress }: Connection): string {
  return remoteAddress ?? 'a local client';
}

/** Warns at the start if the limit on open files is too low for maxConnections, and logs when it is reached. */
import { readFileSync, readdirSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Clock, Log } from '../core/core.ts';

/** What this process may open, and how many files it has open. */
export interface OpenFiles {
  /** Undefined if there is no limit, or the system does not report it. */
  readonly limit: () => number | undefined;
  /** Throws the system's error if no file can be opened. */
  readonly used: () => number;
}

/** The implementation for Linux. */
export const systemFiles: OpenFiles = {
  limit: () => {
    try {
      const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
      return soft === undefined ? undefined : Number(soft);
    } catch {
      return undefined;
    }
  },
  used: () => readdirSync('/proc/self/fd').length,
};

export interface FileHandlesParts {
  readonly files: OpenFiles;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly log: Log;
}

// Programs, peers, and files that are open for a moment.
const BESIDE_CONNECTIONS = 50;
// With so few left the limit counts as reached: the next connections use them up, and libuv then closes connections silently.
const LEFT = 8;
const CHECK_MS = 1_000;
const REMEDY = 'raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker) or lower maxConnections';

export class FileHandles {
  readonly #parts: FileHandlesParts;
  #limit = Infinity;
  #cancel: (() => void) | undefined;

  constructor(parts: FileHandlesParts) {
    this.#parts = parts;
  }

  /** Reads the limit, and warns if it is too low for maxConnections. */
  start(): void {
    const { files, maxConnections, log } = this.#parts;
    this.#limit = files.limit() ?? Infinity;
    if (maxConnections + BESIDE_CONNECTIONS <= this.#limit) return;
    log.warn(
      `maxConnections is ${maxConnections}, but this process may have only ${this.#limit} files open, connections included; further connections will be closed unanswered; ${REMEDY}`,
    );
  }

  /** Watches the connections and accept errors of a server. */
  watch(server: Pick<Server, 'on'>): void {
    server.on('connection', (socket: Socket) => {
      // The system assigns the lowest free number, so this tells how many are in use.
      const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
      if ((handle?.fd ?? 0) >= this.#limit - LEFT) this.#reached();
    });
    server.on('error', (error) => {
      this.failed(error);
    });
  }

  /** Handles the error of a listener, which must not end the relay. */
  failed(error: NodeJS.ErrnoException): void {
    // bind() reports an address that cannot be listened on.
    if (error.syscall === 'listen') return;
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#reached();
    else this.#parts.log.error('a listener failed:', error);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Logs once, until handles are free again. */
  #reached(): void {
    if (this.#cancel) return;
    const { log } = this.#parts;
    log.error(
      `out of file handles (EMFILE): this process may have ${this.#limit} files open, connections included; new connections are closed unanswered; ${REMEDY}`,
    );
    this.#checkLater();
  }

  #checkLater(): void {
    this.#cancel = this.#parts.clock.after(CHECK_MS, () => {
      if (!this.#hasRoom()) {
        this.#checkLater();
        return;
      }
      this.#cancel = undefined;
      this.#parts.log.info('file handles are available again');
    });
  }

  #hasRoom(): boolean {
    try {
      return this.#parts.files.used() < 0.9 * this.#limit;
    } catch {
      return false;
    }
  }
}

/** The limit of open files: says at the start that it is too low for what is configured, and while the relay runs that it is reached. */
import { readFileSync, readdirSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Clock, Log } from '../core/core.ts';

/** What this process may open, and how many files it has open. */
export interface OpenFiles {
  /** Undefined where the system does not say, or sets none. */
  readonly limit: () => number | undefined;
  /** Throws the system's error when not even this can be opened. */
  readonly used: () => number;
}

/** Linux's. */
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

// Programs, peers, files that are read for a moment.
const BESIDE_CONNECTIONS = 50;
// So few left count as none: with the next connections there is none, and nobody says so then, since libuv closes them itself.
const LEFT = 8;
const LOOK_MS = 1_000;
const REMEDY = 'raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker) or lower maxConnections';

export class FileHandles {
  readonly #parts: FileHandlesParts;
  #limit = Infinity;
  #cancel: (() => void) | undefined;

  constructor(parts: FileHandlesParts) {
    this.#parts = parts;
  }

  /** Reads the limit, and warns if there cannot be as many connections as are configured. */
  start(): void {
    const { files, maxConnections, log } = this.#parts;
    this.#limit = files.limit() ?? Infinity;
    if (maxConnections + BESIDE_CONNECTIONS <= this.#limit) return;
    log.warn(
      `maxConnections is ${maxConnections}, but this process may have only ${this.#limit} files open, connections included: further ones will be closed unanswered; ${REMEDY}`,
    );
  }

  /** Looks at each connection of the server, and takes the error of an accept that failed. */
  watch(server: Pick<Server, 'on'>): void {
    server.on('connection', (socket: Socket) => {
      // The lowest number that is free, so that it says how many are taken without asking the system.
      const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
      if ((handle?.fd ?? 0) >= this.#limit - LEFT) this.#reached();
    });
    server.on('error', (error) => {
      this.failed(error);
    });
  }

  /** Takes the error of a listener: none of them may end the relay. */
  failed(error: NodeJS.ErrnoException): void {
    // An address that cannot be listened on is the start's to report.
    if (error.syscall === 'listen') return;
    if (error.code === 'EMFILE' || error.code === 'ENFILE') this.#reached();
    else this.#parts.log.error('a listener failed:', error);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Says it once, until there is room again. */
  #reached(): void {
    if (this.#cancel) return;
    const { log } = this.#parts;
    log.error(
      `out of file handles (EMFILE): this process may have ${this.#limit} files open, connections included; new connections are closed unanswered; ${REMEDY}`,
    );
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancel = this.#parts.clock.after(LOOK_MS, () => {
      if (!this.#hasRoom()) {
        this.#lookLater();
        return;
      }
      this.#cancel = undefined;
      this.#parts.log.info('there are file handles again');
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

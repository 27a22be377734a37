/** Skips interim responses (1xx) that were not requested, as RFC 9110, 15.2 requires of clients. */
import type { Socket } from 'node:net';

// `HTTP/1.1 100` without the last byte; HTTP/1.0 has no interim responses.
const STATUS_LINE = Buffer.from('HTTP/1.1 10');
const LF = 10;
const CR = 13;
const ZERO = 48;
const THREE = 51;

type Part = 'status line' | 'interim head' | 'rest';

/**
 * Makes `socket` report `100 Continue` as `103 Early Hints`, because undici closes the connection on the former and skips all others. Only
 * the bytes from a request to the status line of its final response are examined.
 */
export function skipContinue<T extends Pick<Socket, 'read' | 'write'>>(socket: T): T {
  const read = socket.read.bind(socket);
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  const scan = new Scan();
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size) as Buffer | null;
    if (chunk !== null) scan.rewrite(chunk);
    return chunk;
  };
  // Requests are not pipelined, so a status line follows each write.
  socket.write = (...args: unknown[]): boolean => {
    scan.restart();
    return write(...args);
  };
  return socket;
}

/** Follows the heads of responses byte by byte. */
class Scan {
  #part: Part = 'status line';
  // Bytes of the status line that matched so far; consecutive LFs in the head.
  #matched = 0;
  #emptyLines = 0;

  restart(): void {
    if (this.#part !== 'interim head') this.#part = 'status line';
    this.#matched = 0;
  }

  rewrite(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#part !== 'rest'; at++) {
      if (this.#part === 'status line') this.#status(chunk, at);
      else this.#head(chunk[at] ?? 0);
    }
  }

  #status(chunk: Buffer, at: number): void {
    const byte = chunk[at];
    if (this.#matched < STATUS_LINE.length) {
      const isExpected = byte === STATUS_LINE[this.#matched];
      this.#matched = isExpected ? this.#matched + 1 : 0;
      if (!isExpected) this.#part = 'rest';
      return;
    }
    if (byte === ZERO) chunk[at] = THREE;
    this.#matched = 0;
    this.#emptyLines = 0;
    this.#part = 'interim head';
  }

  #head(byte: number): void {
    if (byte === LF) this.#emptyLines++;
    else if (byte !== CR) this.#emptyLines = 0;
    if (this.#emptyLines === 2) this.#part = 'status line';
  }
}

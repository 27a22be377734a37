/** Readers that do not take their answer are cut, so that nobody makes the relay keep large answers for long. */
import type { Clock, Log } from '../message/message.ts';

// What is smaller lies in the system's buffers, not in ours.
const LARGE_BYTES = 64 * 1024;

export class SlowReaders {
  readonly #calledOff = new WeakMap<object, () => void>();

  /** `limitMs`: how long a large answer may take to be read. */
  constructor(
    private readonly limitMs: number,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** An answer of `bytes` bytes is about to be sent over `socket`. */
  sending(socket: { destroy(): void; readonly remoteAddress?: string | undefined }, bytes: number): void {
    if (bytes < LARGE_BYTES) return;
    const callOff = this.clock.after(this.limitMs, () => {
      this.log.warn(
        `${socket.remoteAddress ?? 'a local reader'} did not read an answer of ${bytes} bytes in ${this.limitMs} ms and is cut`,
      );
      socket.destroy();
    });
    this.#calledOff.set(socket, callOff);
  }

  /** The answer over `socket` was taken, or the socket is gone. */
  done(socket: object): void {
    this.#calledOff.get(socket)?.();
    this.#calledOff.delete(socket);
  }
}

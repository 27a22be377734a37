/** Readers that do not take their answer are cut, so that nobody makes the relay keep large answers for long. */
import type { Clock, Log } from '../message/message.ts';

// What is smaller lies in the system's buffers, not in ours.
const LARGE_BYTES = 64 * 1024;

interface Answered {
  readonly socket: { destroy(): void; readonly remoteAddress?: string | undefined };
}

export class SlowReaders {
  // By request: a client may have sent the next one before it reads.
  readonly #calledOff = new WeakMap<Answered, () => void>();

  /** `limitMs`: how long a large answer may take to be read. */
  constructor(
    private readonly limitMs: number,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** An answer of `bytes` bytes to `request` is about to be sent. */
  sending(request: Answered, bytes: number): void {
    if (bytes < LARGE_BYTES) return;
    const { socket } = request;
    const callOff = this.clock.after(this.limitMs, () => {
      this.log.warn(
        `${socket.remoteAddress ?? 'a local reader'} did not read an answer of ${bytes} bytes in ${this.limitMs} ms and is cut`,
      );
      socket.destroy();
    });
    this.#calledOff.set(request, callOff);
  }

  /** The answer to `request` was taken, or its connection is gone. */
  done(request: Answered): void {
    this.#calledOff.get(request)?.();
    this.#calledOff.delete(request);
  }
}

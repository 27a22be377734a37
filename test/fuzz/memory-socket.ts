/** The server's side of a connection that exists only in memory, so that millions of requests take minutes. */
import { Duplex } from 'node:stream';

export class MemorySocket extends Duplex {
  readonly remotePort = 40_000;
  /** Everything that the server has written. */
  readonly written: Buffer[] = [];
  /** True once the server has ended its side. */
  hasEnded = false;
  readonly #isSlow: boolean;

  /** A client with `isSlow` takes a few turns to read what the server writes. */
  constructor(
    readonly remoteAddress: string,
    isSlow: boolean,
  ) {
    super({ allowHalfOpen: true });
    this.#isSlow = isSlow;
  }

  /** The bytes of the server, as text. */
  get text(): string {
    return Buffer.concat(this.written).toString('latin1');
  }

  /** As of a socket of the system: destroys it when everything is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Time-outs are not part of what is compared. */
  setTimeout(): this {
    return this;
  }

  override _read(): void {
    // The client pushes.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk);
    if (this.#isSlow) setImmediate(done);
    else done();
  }

  override _final(done: () => void): void {
    this.hasEnded = true;
    done();
  }
}

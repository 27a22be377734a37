/** Reads one HTTP response as its bytes come, in bounded memory. Pure: it knows no socket. */
import { CollectedBytes } from './collected.ts';
import { readHead } from './http-head.ts';

/** A response with status 200 that may be XML-RPC. */
export interface HttpResponse {
  readonly body: Buffer;
  /** Of its Content-Type. */
  readonly charset: string | undefined;
  /** True if the connection may be used again. */
  readonly isReusable: boolean;
}

// As Node's servers have it; protects the relay's memory from a program that sends headers for ever.
const MAX_HEAD_BYTES = 16 * 1024;
// A chunk's size and what may follow it.
const MAX_LINE_BYTES = 1024;
// Heads and the lines of chunks may be as long as the body, and so much longer; protects the relay's processor from one that says nothing at length.
const MAX_SURPLUS_BYTES = 1024 * 1024;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const END_OF_LINE = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

type Step = 'head' | 'length' | 'to-the-end' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'done';

export class ResponseReader {
  #step: Step = 'head';
  /** What came and is not understood yet. */
  #rest: Buffer = NOTHING;
  readonly #body = new CollectedBytes();
  /** Bytes of heads and of the lines of chunks. */
  #framing = 0;
  /** Bytes of the body or of the chunk that are to come. */
  #left = 0;
  #charset: string | undefined;
  #isReusable = false;

  constructor(private readonly maxBodyBytes: number) {}

  /** The response once it is whole. Throws an Error that says what is wrong with it. */
  push(chunk: Buffer): HttpResponse | undefined {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#advance());
    if (this.#step !== 'done') return undefined;
    if (this.#rest.length > 0) this.#isReusable = false;
    return this.#whole();
  }

  /** The connection has ended: the response, if that is how it ends. Throws an Error if it is not whole. */
  end(): HttpResponse {
    if (this.#step === 'to-the-end') return this.#whole();
    throw new Error(
      this.#step === 'head' && this.#rest.length === 0
        ? 'the connection ended without an answer'
        : 'the connection ended before the answer was whole',
    );
  }

  /** False if more bytes are needed. */
  #advance(): boolean {
    switch (this.#step) {
      case 'head':
        return this.#readHead();
      case 'length':
      case 'chunk':
        return this.#readBody();
      case 'to-the-end':
        this.#requireRoom(this.#rest.length);
        this.#body.add(this.#rest);
        this.#rest = NOTHING;
        return false;
      case 'chunk-size':
        return this.#readLine((line) => {
          this.#startChunk(line);
        });
      case 'chunk-end':
        return this.#readLine(() => {
          this.#step = 'chunk-size';
        });
      case 'trailer':
        return this.#readLine((line) => {
          if (line === '') this.#step = 'done';
        });
      case 'done':
        return false;
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf(END_OF_HEAD);
    if (end > MAX_HEAD_BYTES || (end < 0 && this.#rest.length > MAX_HEAD_BYTES)) throw new Error('the headers of the answer are too large');
    if (end < 0) return false;
    const head = readHead(this.#rest.toString('latin1', 0, end));
    this.#passFraming(end + END_OF_HEAD.length);
    if (head === 'continue') return true;
    this.#charset = head.charset;
    this.#isReusable = head.isReusable;
    if (head.body === 'chunked') this.#step = 'chunk-size';
    else if (head.body === 'to-the-end') this.#step = 'to-the-end';
    else this.#expectLength(head.body);
    return true;
  }

  #expectLength(bytes: number): void {
    this.#expect(bytes);
    this.#step = bytes === 0 ? 'done' : 'length';
  }

  #readBody(): boolean {
    const part = this.#rest.subarray(0, this.#left);
    this.#rest = this.#rest.subarray(part.length);
    this.#left -= part.length;
    this.#body.add(part, this.#step === 'length' ? this.#left : 0);
    if (this.#left > 0) return false;
    this.#step = this.#step === 'length' ? 'done' : 'chunk-end';
    return true;
  }

  #startChunk(line: string): void {
    const [, digits] = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;|$)/.exec(line) ?? [];
    if (digits === undefined) throw new Error('a chunk of its answer has no size');
    this.#expect(parseInt(digits, 16));
    this.#step = this.#left === 0 ? 'trailer' : 'chunk';
  }

  #readLine(take: (line: string) => void): boolean {
    const end = this.#rest.indexOf(END_OF_LINE);
    if (end > MAX_LINE_BYTES || (end < 0 && this.#rest.length > MAX_LINE_BYTES))
      throw new Error('a line between two chunks of its answer is too long');
    if (end < 0) return false;
    const line = this.#rest.toString('latin1', 0, end);
    this.#passFraming(end + END_OF_LINE.length);
    take(line);
    return true;
  }

  #expect(bytes: number): void {
    this.#left = bytes;
    this.#requireRoom(bytes);
  }

  #passFraming(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    this.#framing += bytes;
    if (this.#framing > this.#body.size + MAX_SURPLUS_BYTES)
      throw new Error('its answer has more headers and lines between chunks than content');
  }

  #requireRoom(bytes: number): void {
    if (this.#body.size + bytes > this.maxBodyBytes) throw new Error(`the answer is larger than ${this.maxBodyBytes} bytes`);
  }

  #whole(): HttpResponse {
    return { body: this.#body.whole, charset: this.#charset, isReusable: this.#isReusable };
  }
}

/** Reads one HTTP response as its bytes come, in bounded memory. Pure: it knows no socket. */
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
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const END_OF_LINE = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

type Step = 'head' | 'length' | 'to-the-end' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'done';

export class ResponseReader {
  #step: Step = 'head';
  /** What came and is not understood yet. */
  #rest: Buffer = NOTHING;
  readonly #parts: Buffer[] = [];
  #size = 0;
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
        this.#keep(this.#rest);
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
    this.#rest = this.#rest.subarray(end + END_OF_HEAD.length);
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
    this.#keep(part);
    this.#rest = this.#rest.subarray(part.length);
    this.#left -= part.length;
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
    this.#rest = this.#rest.subarray(end + END_OF_LINE.length);
    take(line);
    return true;
  }

  #expect(bytes: number): void {
    this.#left = bytes;
    this.#requireRoom(bytes);
  }

  #keep(part: Buffer): void {
    this.#requireRoom(part.length);
    if (part.length > 0) this.#parts.push(part);
    this.#size += part.length;
  }

  #requireRoom(bytes: number): void {
    if (this.#size + bytes > this.maxBodyBytes) throw new Error(`the answer is larger than ${this.maxBodyBytes} bytes`);
  }

  #whole(): HttpResponse {
    const [first = NOTHING] = this.#parts;
    const body = this.#parts.length > 1 ? Buffer.concat(this.#parts, this.#size) : first;
    return { body, charset: this.#charset, isReusable: this.#isReusable };
  }
}

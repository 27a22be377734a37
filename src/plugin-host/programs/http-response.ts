/** Reads one HTTP response as its bytes arrive, in bounded memory. Pure: it has no socket. */
import { RelayError, clean, memoize, parseMediaType } from '../../core/core.ts';

/** A response with status 200 that may be XML-RPC. */
export interface HttpResponse {
  readonly body: Buffer;
  /** The charset in its Content-Type. */
  readonly charset: string | undefined;
  /** True if the connection may be used again. */
  readonly isReusable: boolean;
}

// The default of Node's servers; it protects the relay's memory from a program that sends endless headers.
const MAX_HEAD_BYTES = 16 * 1024;
// A chunk-size line with its extensions.
const MAX_LINE_BYTES = 1024;
// Heads and the lines between chunks may exceed the size of the body by this much; it protects the relay's processor from a program that
// wraps little content in a lot of framing.
const MAX_SURPLUS_BYTES = 1024 * 1024;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const END_OF_LINE = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

type Step = 'head' | 'length' | 'to-the-end' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'done';

export class ResponseReader {
  #step: Step = 'head';
  /** Bytes that have arrived and are not parsed yet. */
  #rest: Buffer = NOTHING;
  readonly #body = new CollectedBytes();
  /** Bytes of heads and of the lines between chunks. */
  #framing = 0;
  /** Bytes of the body or of the chunk that have not arrived yet. */
  #left = 0;
  #charset: string | undefined;
  #isReusable = false;

  constructor(private readonly maxBodyBytes: number) {}

  /** Returns the response once it is complete. Throws a RelayError TRANSPORT that says what is wrong with it. */
  push(chunk: Buffer): HttpResponse | undefined {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#advance());
    if (this.#step !== 'done') return undefined;
    if (this.#rest.length > 0) this.#isReusable = false;
    return this.#whole();
  }

  /** Returns the response if the end of the connection completes it. Throws a RelayError TRANSPORT if it is truncated. */
  end(): HttpResponse {
    if (this.#step === 'to-the-end') return this.#whole();
    throw new RelayError(
      'TRANSPORT',
      this.#step === 'head' && this.#rest.length === 0
        ? 'the connection ended without an answer'
        : 'the connection ended before the response was complete',
    );
  }

  /** Returns false if more bytes are needed. */
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
    if (end > MAX_HEAD_BYTES || (end < 0 && this.#rest.length > MAX_HEAD_BYTES))
      throw new RelayError('TRANSPORT', 'the headers of the response are too large');
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
    if (digits === undefined) throw new RelayError('TRANSPORT', 'a chunk of its response has no size');
    this.#expect(parseInt(digits, 16));
    this.#step = this.#left === 0 ? 'trailer' : 'chunk';
  }

  #readLine(take: (line: string) => void): boolean {
    const end = this.#rest.indexOf(END_OF_LINE);
    if (end > MAX_LINE_BYTES || (end < 0 && this.#rest.length > MAX_LINE_BYTES))
      throw new RelayError('TRANSPORT', 'a line between two chunks of its response is too long');
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
      throw new RelayError('TRANSPORT', 'its response has more headers and lines between chunks than content');
  }

  #requireRoom(bytes: number): void {
    if (this.#body.size + bytes > this.maxBodyBytes)
      throw new RelayError('TRANSPORT', `its response is larger than ${this.maxBodyBytes} bytes`);
  }

  #whole(): HttpResponse {
    return { body: this.#body.whole, charset: this.#charset, isReusable: this.#isReusable };
  }
}

/** The parsed head of a response with status 200. */
export interface ResponseHead {
  /** The charset in its Content-Type. */
  readonly charset: string | undefined;
  /** True if the connection may be used again. */
  readonly isReusable: boolean;
  /** How its body ends: after this many bytes, after the last chunk, or with the connection. */
  readonly body: number | 'chunked' | 'to-the-end';
}

const XML: ReadonlySet<string> = new Set(['text/xml', 'application/xml']);
// Typical heads are shorter: a date, the headers of the connection.
const USUAL_LENGTH = 400;

/**
 * Parses a head without the empty line at its end; 'continue' for an interim response (1xx). Throws a RelayError TRANSPORT that says what
 * is wrong with it. Memoized, since a program sends the same few heads within a second.
 */
export const readHead = memoize<ResponseHead | 'continue'>((text) => {
  const [statusLine = '', ...fields] = text.split('\r\n');
  const [, minor, status = ''] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(statusLine) ?? [];
  if (minor === undefined) throw new RelayError('TRANSPORT', `it answered something that is not HTTP: '${clean(statusLine, 60)}'`);
  if (status.startsWith('1')) return 'continue';
  return frame(headersOf(fields), minor === '1', status);
}, USUAL_LENGTH);

function frame(headers: ReadonlyMap<string, string>, isModern: boolean, status: string): ResponseHead {
  if (status !== '200') throw new RelayError('TRANSPORT', `it answered HTTP ${status}`);
  const media = parseMediaType(headers.get('content-type') ?? '');
  if (!media || !XML.has(media.type)) throw new RelayError('TRANSPORT', 'it did not answer with XML');
  if ((headers.get('content-encoding') ?? 'identity').toLowerCase() !== 'identity')
    throw new RelayError('TRANSPORT', 'it answered with a Content-Encoding that was not requested');
  const charset = media.parameters.find(([name]) => name === 'charset')?.[1];
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const isReusable = isModern ? !connection.includes('close') : connection.includes('keep-alive');
  const [coding, length] = [headers.get('transfer-encoding'), headers.get('content-length')];
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked' || length !== undefined)
      throw new RelayError('TRANSPORT', 'its response has a Transfer-Encoding that was not requested, or two lengths');
    return { charset, isReusable, body: 'chunked' };
  }
  if (length === undefined) return { charset, isReusable: false, body: 'to-the-end' };
  if (!/^\d{1,15}$/.test(length)) throw new RelayError('TRANSPORT', 'the Content-Length of its response is not a number');
  return { charset, isReusable, body: Number(length) };
}

/** Returns the headers by their names in lower case. */
function headersOf(fields: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw new RelayError('TRANSPORT', 'the headers of its response are not HTTP');
    const isRepeated = headers.has(name) && (name === 'content-length' || name === 'transfer-encoding' || name === 'content-type');
    if (isRepeated) throw new RelayError('TRANSPORT', `its response has two headers ${name}`);
    headers.set(name, field.slice(colon + 1).trim());
  }
  return headers;
}

/** Collects the pieces of a body in one buffer, because many small buffers take many times their size in memory. */
export class CollectedBytes {
  /** Only the first `size` bytes are used. A single piece is kept without a copy. */
  #bytes: Buffer = NOTHING;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Returns all bytes. Nothing may be added afterwards. */
  get whole(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** Adds a piece. `toCome`: how many more bytes are known to follow. */
  add(piece: Buffer, toCome = 0): void {
    if (piece.length === 0) return;
    const size = this.#size + piece.length;
    if (this.#size === 0 && toCome === 0) this.#bytes = piece;
    else this.#copy(piece, size, size + toCome);
    this.#size = size;
  }

  #copy(piece: Buffer, size: number, wanted: number): void {
    // A piece kept without a copy has no free space at its end, so a foreign buffer is never written to.
    if (size > this.#bytes.length) {
      // Double the buffer, so that a body that arrives byte by byte is not copied for each byte.
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#size));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    piece.copy(this.#bytes, this.#size);
  }
}

/**
 * Carries the calls between the relay and a child, and their answers, over one socket. Everything that is sent within one turn of the event
 * loop goes out in one write, because waking the other process costs more than the rest of a small call.
 */
import type { Duplex } from 'node:stream';
import { RelayError, reasonOf } from '../../core/core.ts';

/** The file descriptor of the pipe in the child. */
export const PIPE_FD = 3;

/** Both sides call. The relay numbers its calls from 1 on, the child from here on; an answer has the number of its call. */
export const FIRST_CHILD_CALL = 0x8000_0000;

/** Makes numbers of calls from `first` to `last`, over and over; those for which `isUsed` is true are skipped. */
export function callNumbers(first: number, last: number, isUsed: (id: number) => boolean): () => number {
  let id = first - 1;
  return () => {
    do id = id >= last ? first : id + 1;
    while (isUsed(id));
    return id;
  };
}

/*
 * On the wire, each document is cut into parts:
 *
 *   1 byte   kind: LAST, PART or WITHDRAWN
 *   3 bytes  size of the content
 *   4 bytes  id of the call, big-endian like the size
 *   content  exactly PART_BYTES, unless the part is the last one
 */
const HEAD_BYTES = 8;
/** The last part of a document, and nearly always the only one. */
const LAST = 0;
/** A part that others follow. */
const PART = 1;
/** The rest of this document is not sent; without content. */
const WITHDRAWN = 2;

// A large document holds up others for the time of one part, less than 100 µs.
const PART_BYTES = 64 * 1024;
// As many large documents are on their way in one direction at the same time; more wait. It bounds the memory of the receiver.
const MAX_LARGE = 8;
const NOTHING = Buffer.alloc(0);

/** What the owner of a pipe does with the documents that arrive. */
export interface PipeEvents {
  /** Takes a document. */
  readonly onDocument: (id: number, document: Buffer) => void;
  /** Called when a document exceeds the limit; the rest of it is skipped. Default: documents have no limit. */
  readonly onTooLarge?: (id: number) => void;
  /** False if the document with this id is of no use any more, and is skipped. Default: every document is wanted. */
  readonly isWanted?: (id: number) => boolean;
  /** Called once when the pipe has ended, unless {@link Pipe.close} ended it. */
  readonly onEnd: (reason: RelayError) => void;
}

export interface PipeOptions extends PipeEvents {
  /** The largest document that may arrive, in bytes. Default: no limit. */
  readonly maxDocumentBytes?: number;
}

export class Pipe {
  readonly #socket: Duplex;
  readonly #onEnd: (reason: RelayError) => void;
  readonly #reader: PartReader;
  readonly #outgoing = new Outgoing();
  #isFlushing = false;
  /** True while the other side reads more slowly than this one writes. */
  #isBlocked = false;
  #isOpen = true;
  #onFinished: (() => void) | undefined;

  constructor(socket: Duplex, options: PipeOptions) {
    this.#socket = socket;
    this.#onEnd = options.onEnd;
    this.#reader = new PartReader(options);
    socket.on('data', (chunk: Buffer) => {
      this.#read(chunk);
    });
    socket.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
    for (const event of ['error', 'end', 'close'])
      socket.on(event, (error?: unknown) => {
        // A write fails if the other process has ended; any other reason than its end is unheard of.
        this.#end(new RelayError('TRANSPORT', 'the connection ended without an answer', { cause: error }));
      });
  }

  /** False once nothing can be sent any more. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The number of documents that are not sent yet. */
  get waiting(): number {
    return this.#outgoing.size;
  }

  /** Sends a document together with all others of this turn. It is dropped if the pipe has ended. */
  send(id: number, document: Buffer): void {
    if (!this.#isOpen) return;
    this.#outgoing.add(id, document);
    if (this.#isFlushing || this.#isBlocked) return;
    this.#isFlushing = true;
    setImmediate(this.#flushAll);
  }

  /** Stops sending the document with this id; does nothing if it was sent. */
  withdraw(id: number): void {
    this.#outgoing.withdraw(id);
  }

  /** Ends the connection when everything has been sent, and calls `then`, also if it broke before. */
  finish(then: () => void): void {
    this.#onFinished = then;
    this.#flush();
  }

  /** Closes the socket now, as if the connection had broken for this reason. */
  fail(reason: string): void {
    this.#end(new RelayError('TRANSPORT', reason));
  }

  /** Closes the socket now. */
  close(): void {
    this.#isOpen = false;
    this.#outgoing.clear();
    this.#socket.destroy();
  }

  readonly #flushAll = (): void => {
    this.#isFlushing = false;
    this.#flush();
  };

  #flush(): void {
    while (this.#isOpen && !this.#isBlocked) {
      const bytes = this.#outgoing.next();
      if (bytes === undefined) {
        this.#finishIfDue();
        return;
      }
      this.#isBlocked = !this.#socket.write(bytes);
    }
  }

  #finishIfDue(): void {
    if (!this.#onFinished) return;
    this.#isOpen = false;
    this.#socket.end(this.#onFinished);
  }

  #read(chunk: Buffer): void {
    if (!this.#isOpen) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#end(new RelayError('TRANSPORT', reasonOf(error), { cause: error }));
    }
  }

  #end(reason: RelayError): void {
    if (!this.#isOpen) return;
    this.close();
    this.#onEnd(reason);
  }
}

interface Large {
  readonly id: number;
  readonly document: Buffer;
  /** The number of bytes sent. */
  sent: number;
}

/** The documents that wait to be sent: small ones in their order, large ones in turns, part by part. */
class Outgoing {
  readonly #small = new Map<number, Buffer>();
  readonly #waiting = new Map<number, Large>();
  /** The large documents that are being sent; the first is next. */
  #large: Large[] = [];
  #withdrawn: number[] = [];

  get size(): number {
    return this.#small.size + this.#waiting.size + this.#large.length;
  }

  add(id: number, document: Buffer): void {
    if (document.length <= PART_BYTES) this.#small.set(id, document);
    else this.#waiting.set(id, { id, document, sent: 0 });
  }

  withdraw(id: number): void {
    if (this.#small.delete(id) || this.#waiting.delete(id)) return;
    const left = this.#large.filter((large) => large.id !== id);
    if (left.length < this.#large.length) this.#withdrawn.push(id);
    this.#large = left;
  }

  clear(): void {
    this.#small.clear();
    this.#waiting.clear();
    this.#large = [];
    this.#withdrawn = [];
  }

  /** The bytes of the next write: about PART_BYTES of small documents and one part of a large one. Undefined if there are none. */
  next(): Buffer | undefined {
    const parts: Part[] = this.#withdrawn.map((id) => ({ kind: WITHDRAWN, id, content: NOTHING }));
    this.#withdrawn = [];
    let bytes = 0;
    for (const [id, content] of this.#small) {
      if (bytes >= PART_BYTES) break;
      this.#small.delete(id);
      bytes += content.length;
      parts.push({ kind: LAST, id, content });
    }
    const part = this.#nextLarge();
    if (part) parts.push(part);
    return parts.length === 0 ? undefined : joined(parts);
  }

  #nextLarge(): Part | undefined {
    for (const [id, large] of this.#waiting) {
      if (this.#large.length >= MAX_LARGE) break;
      this.#waiting.delete(id);
      this.#large.push(large);
    }
    const large = this.#large.shift();
    if (!large) return undefined;
    const { id, document } = large;
    const content = document.subarray(large.sent, large.sent + PART_BYTES);
    large.sent += content.length;
    if (large.sent === document.length) return { kind: LAST, id, content };
    this.#large.push(large);
    return { kind: PART, id, content };
  }
}

interface Part {
  readonly kind: number;
  readonly id: number;
  readonly content: Buffer;
}

function joined(parts: readonly Part[]): Buffer {
  let size = 0;
  for (const { content } of parts) size += HEAD_BYTES + content.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { kind, id, content } of parts) {
    bytes.writeUInt32BE(kind * 0x1000000 + content.length, at);
    bytes.writeUInt32BE(id, at + 4);
    bytes.set(content, at + HEAD_BYTES);
    at += HEAD_BYTES + content.length;
  }
  return bytes;
}

/** Joins the parts that arrive to documents, in bounded memory: MAX_LARGE documents of the largest size. */
class PartReader {
  readonly #options: PipeOptions;
  readonly #maxBytes: number;
  /** The bytes of an incomplete part. */
  #rest: Buffer = NOTHING;
  /** A part of which the head has arrived, and how many of its bytes have. */
  #part: { readonly bytes: Buffer; filled: number } | undefined;
  /** The documents that have arrived in part. Undefined for one that is skipped. */
  readonly #begun = new Map<number, { readonly parts: Buffer[]; size: number } | undefined>();

  constructor(options: PipeOptions) {
    this.#options = options;
    this.#maxBytes = options.maxDocumentBytes ?? Infinity;
  }

  /** Throws an Error if the bytes are not those of a pipe. */
  push(chunk: Buffer): void {
    let rest = this.#part ? this.#fill(this.#part, chunk) : chunk;
    if (this.#rest.length > 0) rest = Buffer.concat([this.#rest, rest]);
    this.#rest = NOTHING;
    while (rest.length >= HEAD_BYTES) {
      const size = HEAD_BYTES + sizeOf(rest);
      if (rest.length < size) {
        this.#part = { bytes: Buffer.allocUnsafe(size), filled: 0 };
        rest = this.#fill(this.#part, rest);
        break;
      }
      this.#take(rest.subarray(0, size));
      rest = rest.subarray(size);
    }
    this.#rest = rest;
  }

  /** Returns the bytes that follow the part. */
  #fill(part: { readonly bytes: Buffer; filled: number }, chunk: Buffer): Buffer {
    const copied = chunk.copy(part.bytes, part.filled);
    part.filled += copied;
    if (part.filled === part.bytes.length) {
      this.#part = undefined;
      this.#take(part.bytes);
    }
    return chunk.subarray(copied);
  }

  #take(part: Buffer): void {
    const [kind, id] = [part[0], part.readUInt32BE(4)];
    const content = part.subarray(HEAD_BYTES);
    if (kind === WITHDRAWN) this.#begun.delete(id);
    else if (kind === LAST) this.#takeLast(id, content);
    else this.#takePart(id, content);
  }

  #takeLast(id: number, content: Buffer): void {
    if (!this.#begun.has(id)) {
      if (content.length > this.#maxBytes) this.#options.onTooLarge?.(id);
      else this.#options.onDocument(id, content);
      return;
    }
    this.#add(id, content);
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (begun) this.#options.onDocument(id, Buffer.concat(begun.parts, begun.size));
  }

  #takePart(id: number, content: Buffer): void {
    if (!this.#begun.has(id)) {
      if (this.#begun.size >= MAX_LARGE) throw new Error(`it sent parts of more than ${MAX_LARGE} large documents at the same time`);
      this.#begun.set(id, { parts: [], size: 0 });
    }
    this.#add(id, content);
  }

  #add(id: number, content: Buffer): void {
    const begun = this.#begun.get(id);
    if (!begun) return;
    const isWanted = this.#options.isWanted?.(id) ?? true;
    const isTooLarge = begun.size + content.length > this.#maxBytes;
    if (isWanted && !isTooLarge) {
      begun.parts.push(content);
      begun.size += content.length;
      return;
    }
    this.#begun.set(id, undefined);
    if (isWanted) this.#options.onTooLarge?.(id);
  }
}

/** The size of the content by the head of a part. Throws an Error if it is not the head of a part. */
function sizeOf(head: Buffer): number {
  const [kind, size] = [head[0], head.readUInt32BE(0) % 0x1000000];
  const isPart = kind === LAST ? size <= PART_BYTES : kind === PART ? size === PART_BYTES : kind === WITHDRAWN && size === 0;
  if (!isPart) throw new Error('it sent something that is not a part of a document');
  return size;
}

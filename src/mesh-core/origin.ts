/** The messages of this node: checked, numbered in their streams, and signed in groups. */
import { ByteWriter } from './bytes.ts';
import type { HeldMessages } from './held-messages.ts';
import type { HeldStream } from './held-table.ts';
import type { Journal } from './journal.ts';
import { BATCH_MESSAGES, DURABLE_TTL_MS, MAX_GENERATION, MAX_HOPS, MAX_PAYLOAD_BYTES, MAX_TTL_MS, VOLATILE_TTL_MS } from './limits.ts';
import { LowMark } from './low-mark.ts';
import { MAX_TEXT_BYTES, inOwnMemory, streamKey, writeHead } from './message.ts';
import type { Envelope, Head, StreamName } from './message.ts';
import type { RefusalReason, Submission } from './ports.ts';
import { sealGroup } from './seal.ts';
import type { Crypto, Signer } from './seal.ts';
import type { Topology } from './topology.ts';

export interface OriginParts {
  readonly id: string;
  readonly epoch: number;
  readonly signer: Signer;
  readonly crypto: Crypto;
  readonly topology: Topology;
  readonly journal: Journal;
  readonly held: HeldMessages;
}

/** What is kept of an own stream besides its messages. */
interface OwnStream {
  readonly held: HeldStream;
  /** The last number that was given, and the last one whose message was passed on to be kept. */
  last: number;
  kept: number;
  readonly low: LowMark;
  /** Its first number. */
  readonly first: number;
}

// Room for the heads of a group, without another buffer for most of them.
const USUAL_HEAD_BYTES = 256;

/** A submission that waits to be signed with others. */
interface Waiting {
  readonly submission: Submission;
  readonly target: string | undefined;
  readonly sentAt: number;
}

/** A message that is signed. */
export interface Signed {
  readonly token: string;
  readonly head: Head;
  readonly envelope: Envelope;
}

// Streams of this node that are kept at least: some per node of the mesh.
const MAX_OWN_STREAMS = 4096;

/** See the head of this file. */
export class Origin {
  readonly #parts: OriginParts;
  readonly #streams = new Map<string, OwnStream>();
  // The greatest number of the streams that are forgotten: one that comes back goes on behind it.
  #floor = 0;
  // Messages in memory are signed at once, durable ones when they can be written.
  readonly #waiting: Record<'durable' | 'volatile', Waiting[]> = { durable: [], volatile: [] };

  constructor(parts: OriginParts) {
    this.#parts = parts;
  }

  /** Takes a message of this node, or says why not. */
  submit(submission: Submission, wallMs: number): readonly [RefusalReason, string] | undefined {
    const problem = this.#problemOf(submission);
    if (problem) return problem;
    const { target } = submission;
    let node = target.type === 'node' ? target.id : undefined;
    if (target.type === 'any') {
      node = this.#parts.topology.nearest(target.capability, target.key);
      if (node === undefined) return ['no-candidate', `no node that can be reached offers ${target.capability}`];
    }
    this.#add({ submission, target: node, sentAt: wallMs });
    return undefined;
  }

  /** Takes a message of the mesh itself. It is dropped if too much waits for the node: it would not be stored anywhere else either. */
  submitSystem(id: string, contentType: string, payload: Buffer, isDurable: boolean, ref: string): void {
    const { held } = this.#parts;
    if (isDurable ? held.isOverQuota('node', id) : held.isMemoryFull(true)) return;
    const target = { type: 'node', id } as const;
    const submission = { token: '', target, payload, isDurable, isOrdered: false, hostId: '', generation: 0, contentType, ref };
    this.#add({ submission, target: id, sentAt: 0 });
  }

  #add(waiting: Waiting): void {
    this.#waiting[waiting.submission.isDurable ? 'durable' : 'volatile'].push(waiting);
  }

  /**
   * Signs what was submitted: durable messages only when nothing is being written, so that those which have to wait for that share a
   * signature.
   */
  *sign(now: number): Iterable<Signed> {
    yield* this.#sign(this.#waiting.volatile, now);
    if (!this.#parts.journal.isWriting) yield* this.#sign(this.#waiting.durable, now);
  }

  *#sign(waiting: Waiting[], now: number): Iterable<Signed> {
    while (waiting.length > 0) {
      const group = waiting.splice(0, BATCH_MESSAGES);
      const heads = group.map((one) => this.#headOf(one, now));
      const writer = new ByteWriter(group.length * USUAL_HEAD_BYTES);
      const ends = heads.map((head) => writeHead(head, writer).length);
      const bytes = ends.map((end, index) => writer.view(ends[index - 1] ?? 0, end));
      const seals = sealGroup(bytes, this.#parts.signer, this.#parts.crypto);
      for (const [index, { submission }] of group.entries()) {
        const [head, headBytes, seal] = [heads[index], bytes[index], seals[index]];
        if (!head || !headBytes || !seal) continue;
        this.#stream(head, now).kept = head.number;
        const own = inOwnMemory(headBytes, seal, submission.payload);
        const envelope = { head: own.head, seal: own.seal, payload: own.payload, hops: MAX_HOPS, ageMs: 0, via: [] };
        yield { token: submission.token, head, envelope };
      }
    }
  }

  #problemOf(submission: Submission): readonly [RefusalReason, string] | undefined {
    const { payload, isDurable, ttlMs = 1, generation, target, hostId, ref = '', contentType } = submission;
    const { journal, held, topology } = this.#parts;
    if (generation > MAX_GENERATION) return ['generation', `more than ${MAX_GENERATION} messages were sent in answer to one another`];
    const { length } = payload;
    if (length > MAX_PAYLOAD_BYTES) return ['invalid', `a message of ${length} bytes is too large (limit ${MAX_PAYLOAD_BYTES})`];
    if (!(ttlMs >= 1 && ttlMs <= MAX_TTL_MS)) return ['invalid', `a life of ${ttlMs} ms is not between 1 ms and a week`];
    const isLong = [hostId, ref, contentType].some((text) => Buffer.byteLength(text) > MAX_TEXT_BYTES);
    if (isLong) return ['invalid', `host_id, ref or content type is longer than ${MAX_TEXT_BYTES} bytes`];
    if (isDurable && journal.refusal !== undefined) return ['storage', `nothing can be stored: ${journal.refusal}`];
    if (target.type === 'node' && topology.isTooFar(target.id))
      return ['too-far', `node ${target.id} is more than ${MAX_HOPS} hops away, the limit; link it to a nearer node`];
    if (target.type === 'node' && held.isOverQuota('node', target.id)) return ['quota', `too much waits for node ${target.id}`];
    if (!isDurable && held.isMemoryFull(false))
      return ['quota', 'memory is full of messages that wait; send durable ones, or try again later'];
    return undefined;
  }

  #headOf({ submission, target, sentAt }: Waiting, now: number): Head {
    const { id: origin, epoch, crypto } = this.#parts;
    const { isDurable, payload } = submission;
    const ttlMs = Math.floor(submission.ttlMs ?? (isDurable ? DURABLE_TTL_MS : VOLATILE_TTL_MS));
    const stream = this.#stream({ origin, epoch, target, isDurable }, now);
    const number = ++stream.last;
    stream.low.note(number, now + ttlMs, now);
    // Written without spreads, which are slow: this runs for every message.
    return {
      origin,
      epoch,
      target,
      number,
      low: lowOf(stream, now),
      sentAt: Math.max(0, Math.floor(sentAt)),
      ttlMs,
      isDurable,
      isOrdered: submission.isOrdered,
      hostId: submission.hostId,
      generation: submission.generation,
      ref: submission.ref ?? '',
      contentType: submission.contentType,
      payloadHash: crypto.hash(payload),
    };
  }

  #stream(name: StreamName, now: number): OwnStream {
    const key = streamKey(name);
    let own = this.#streams.get(key);
    if (!own) {
      if (this.#streams.size >= MAX_OWN_STREAMS) this.#forgetIdle(now);
      const last = this.#floor;
      own = { held: this.#parts.held.ownStream(name), last, kept: last, low: new LowMark(), first: last + 1 };
      this.#streams.set(key, own);
    }
    return own;
  }

  /** Forgets streams of which no message is alive: nodes that come once, such as controllers, have one each. */
  #forgetIdle(now: number): void {
    for (const [key, { held, last, kept, low }] of this.#streams) {
      if (held.messages.size > 0 || kept < last) continue;
      if ((held.target === undefined || !held.isDurable) && low.at(now) <= last) continue;
      this.#streams.delete(key);
      this.#parts.held.forgetStream(held);
      this.#floor = Math.max(this.#floor, last);
    }
  }
}

/** Durable messages for one node are done with their receipt; others when they expire. Those of the present group are not kept yet. */
function lowOf({ held, kept, low, first }: OwnStream, now: number): number {
  if (held.target === undefined || !held.isDurable) return Math.max(first, low.at(now));
  return held.messages.first ?? kept + 1;
}

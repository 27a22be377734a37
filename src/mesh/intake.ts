/**
 * Gives what neighbours send to the machine in slices, a few milliseconds of work per turn of the event loop: each slice is acknowledged
 * before the next one, so that the neighbour refills the link meanwhile, and satellites, calls and other neighbours get their turns.
 */
import { RelayError } from '../core/core.ts';
import type { MaybePromise } from '../core/core.ts';
import { BATCH_MESSAGES } from '../mesh-core/mesh-core.ts';
import type { Envelope, Frame } from '../mesh-core/mesh-core.ts';
import { frameBytes } from './frames.ts';

/** A frame and the channel that it came over. */
export type Arrived = readonly [channel: number, frame: Frame];

/** Frames that came together. */
interface Delivery {
  readonly frames: readonly Frame[];
  next: number;
  readonly bytes: number;
  readonly done: () => void;
}

/** What waits of one channel. */
interface Waiting {
  readonly deliveries: Delivery[];
  bytes: number;
}

/** Messages of one turn: a group that was signed together is verified together. A KiB counts as one: a bundle may be many dicts. */
const SLICE = BATCH_MESSAGES;
const MESSAGE_BYTES = 1024;
/** What a neighbour may have here that keeps to its credit: a window, the same once more, and a message that is larger, all in base64. */
const MAX_WAITING_BYTES = 32 * 2 ** 20;
// What a message takes in memory besides its bytes, about.
const OBJECT_BYTES = 500;

/** See the head of this file. */
export class Intake {
  readonly #take: (slice: readonly Arrived[]) => void;
  // The channel whose turn it is comes first.
  readonly #channels = new Map<number, Waiting>();
  /** The weight of what was taken in the present turn of the event loop. */
  #taken = 0;
  #isScheduled = false;

  /** `take` gets the frames of one slice, those of each channel in order. */
  constructor(take: (slice: readonly Arrived[]) => void) {
    this.#take = take;
  }

  /**
   * Takes frames of a channel after those that came before; but acknowledgements and heartbeats need not wait for them. Resolves when all
   * are taken; most are at once. Throws a RelayError LIMIT if so much waits that the neighbour has not kept to its credit.
   */
  add(channel: number, frames: readonly Frame[]): MaybePromise<void> {
    const weight = weightIn(frames);
    const isFree = this.#channels.size === 0 && this.#taken + weight <= SLICE;
    if (isFree || (weight === 0 && !this.#channels.has(channel))) {
      this.#note(weight);
      this.#take(frames.map((frame) => [channel, frame]));
      return undefined;
    }
    return this.#enqueue(channel, this.#takeUrgent(channel, frames));
  }

  /** Takes the acknowledgements and heartbeats among frames that have to wait, and returns the others. */
  #takeUrgent(channel: number, frames: readonly Frame[]): readonly Frame[] {
    const urgent = frames.filter(isUrgent);
    if (urgent.length === 0) return frames;
    this.#take(urgent.map((frame) => [channel, frame]));
    return frames.filter((frame) => !isUrgent(frame));
  }

  #enqueue(channel: number, frames: readonly Frame[]): Promise<void> {
    const waiting = this.#channels.get(channel) ?? { deliveries: [], bytes: 0 };
    const bytes = bytesIn(frames);
    if (waiting.deliveries.length > 0 && waiting.bytes + bytes > MAX_WAITING_BYTES)
      throw new RelayError('LIMIT', 'the neighbour sends more than it has credit for');
    waiting.bytes += bytes;
    this.#channels.set(channel, waiting);
    this.#schedule();
    return new Promise((resolve) => {
      waiting.deliveries.push({ frames, next: 0, bytes, done: resolve });
    });
  }

  /** Drops what waits of a channel. */
  forget(channel: number): void {
    const waiting = this.#channels.get(channel);
    this.#channels.delete(channel);
    for (const { done } of waiting?.deliveries ?? []) done();
  }

  /** Drops everything that waits. */
  stop(): void {
    for (const channel of [...this.#channels.keys()]) this.forget(channel);
  }

  #note(weight: number): void {
    this.#taken += weight;
    if (weight > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#taken = 0;
      if (this.#channels.size > 0) this.#takeSlice();
    });
  }

  /** Takes a frame of each channel in turn, until that is a slice. */
  #takeSlice(): void {
    const slice: Arrived[] = [];
    const ended: Delivery[] = [];
    let weight = 0;
    for (const [channel, waiting] of this.#channels) {
      const [delivery] = waiting.deliveries;
      this.#channels.delete(channel);
      if (!delivery) continue;
      const frame = delivery.frames[delivery.next++];
      if (frame) {
        slice.push([channel, frame]);
        weight += weightOf(frame);
      }
      if (delivery.next >= delivery.frames.length) {
        waiting.deliveries.shift();
        waiting.bytes -= delivery.bytes;
        ended.push(delivery);
      }
      // At the end, where this loop comes to it again.
      if (waiting.deliveries.length > 0) this.#channels.set(channel, waiting);
      if (weight >= SLICE) break;
    }
    this.#note(weight);
    if (this.#channels.size > 0) this.#schedule();
    this.#take(slice);
    for (const { done } of ended) done();
  }
}

function isUrgent({ type }: Frame): boolean {
  return type === 'ack' || type === 'beat';
}

function itemsOf(frame: Frame): readonly Envelope[] {
  return frame.type === 'push' ? frame.items : NO_ITEMS;
}

const NO_ITEMS: readonly Envelope[] = [];

/** What a frame counts in a slice. */
function weightOf(frame: Frame): number {
  const items = itemsOf(frame);
  let bytes = 0;
  for (const { payload } of items) bytes += payload.length;
  return Math.max(items.length, bytes / MESSAGE_BYTES);
}

function weightIn(frames: readonly Frame[]): number {
  let weight = 0;
  for (const frame of frames) weight += weightOf(frame);
  return weight;
}

function bytesIn(frames: readonly Frame[]): number {
  let bytes = 0;
  for (const frame of frames) bytes += frameBytes(frame) + OBJECT_BYTES * itemsOf(frame).length;
  return bytes;
}

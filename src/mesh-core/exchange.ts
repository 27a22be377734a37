/** Exchanges link states with the neighbours: all at the beginning of a link, new ones at once, and what was lost later on. */
import type { Held } from './held-table.ts';
import { BATCH_BYTES, COMPARE_MS, MAX_NODES, SPREAD_MS } from './limits.ts';
import type { Link } from './link.ts';
import type { Effect, Frame } from './ports.ts';
import type { Topology } from './topology.ts';

export interface ExchangeParts {
  readonly effects: Effect[];
  readonly random: () => number;
  readonly topology: Topology;
  /** The link of each neighbour, and the links by their channels. */
  readonly links: ReadonlyMap<string, Link<Held>>;
  readonly channels: ReadonlyMap<number, Link<Held>>;
}

/** See the head of this file. */
export class Exchange {
  readonly #parts: ExchangeParts;
  // Link states that go to all neighbours but the one that they came from.
  #toSpread: { readonly bytes: Buffer; readonly from: Link<Held> | undefined }[] = [];
  #spreadAt = Infinity;
  #lastSpreadAt = -Infinity;
  #compareAt: number;

  constructor(parts: ExchangeParts, now: number) {
    this.#parts = parts;
    this.#compareAt = now + COMPARE_MS * parts.random();
  }

  /** When {@link tick} has something to do. */
  get wakeAt(): number {
    return Math.min(this.#compareAt, this.#spreadAt);
  }

  /** Begins the exchange over a link. */
  begin(link: Link<Held>): void {
    this.#send(link, { type: 'sync', versions: this.#parts.topology.versions() });
  }

  /** Takes a frame, as far as it is about link states. */
  frame(link: Link<Held>, frame: Frame, now: number): void {
    const { topology } = this.#parts;
    switch (frame.type) {
      case 'sync':
      case 'versions': {
        const { send, want } = topology.compare(frame.versions);
        // The answer to `sync`, also an empty one, says that this node knows the other.
        if (frame.type === 'sync' || send.length > 0) this.#sendStates(link, send, frame.type === 'sync');
        if (want.length > 0) this.#send(link, { type: 'want', ids: want });
        return;
      }
      case 'states':
        for (const bytes of frame.states.slice(0, MAX_NODES)) this.accept(bytes, link, now);
        this.#want(link, topology.lists.takeUnasked());
        if (frame.isAnswer) link.synced(now);
        return;
      case 'want':
        this.#sendStates(link, topology.wanted([...new Set(frame.ids.slice(0, MAX_NODES))]), false);
        return;
      case 'summary':
        if (frame.summary !== topology.summary()) this.#send(link, { type: 'versions', versions: topology.versions() });
        return;
      case 'want-capabilities':
        this.#sendCapabilities(link, frame.hashes.slice(0, MAX_NODES));
        return;
      case 'capabilities':
        for (const bytes of frame.lists) this.#acceptCapabilities(bytes);

        break;

      default:
    }
  }

  /** Takes the link state of another node. */
  accept(bytes: Buffer, link: Link<Held>, now: number): void {
    const result = this.#parts.topology.accept(bytes, now);
    if (result === 'new') this.spread(bytes, link, now);
    if (result === 'alarm') {
      const text = 'another instance of this node was started later: its state directory was copied or restored';
      this.#parts.effects.push({ type: 'alarm', text });
    }
  }

  /** Sends a link state to all neighbours but the one that it came from, together with others that come soon after one another. */
  spread(bytes: Buffer, from: Link<Held> | undefined, now: number): void {
    this.#toSpread.push({ bytes, from });
    if (this.#spreadAt === Infinity) this.#spreadAt = Math.max(now, this.#lastSpreadAt + SPREAD_MS);
  }

  /** Does what is due. */
  tick(now: number): void {
    if (now >= this.#spreadAt) this.flush(now);
    if (now < this.#compareAt) return;
    this.#compareAt = now + COMPARE_MS;
    // One random neighbour is asked whether it knows the same: repairs every loss.
    const up = [...this.#parts.links.values()].filter(({ state }) => state.type === 'up');
    const link = up[Math.floor(this.#parts.random() * up.length)];
    if (!link) return;
    this.#send(link, { type: 'summary', summary: this.#parts.topology.summary() });
    this.#want(link, this.#parts.topology.lists.missing);
  }

  /** Sends at once what {@link spread} was called with. */
  flush(now: number): void {
    this.#spreadAt = Infinity;
    if (this.#toSpread.length === 0) return;
    this.#lastSpreadAt = now;
    for (const link of this.#parts.links.values()) {
      const states = this.#toSpread.filter(({ from }) => from !== link).map(({ bytes }) => bytes);
      if (states.length > 0) this.#sendStates(link, states, false);
    }
    this.#toSpread = [];
  }

  #send({ channel }: Link<Held>, frame: Frame): void {
    this.#parts.effects.push({ type: 'send', channel, frame });
  }

  /** Sends link states in frames of a limited size; the last one is the answer to `sync`, if they are one. */
  #sendStates(link: Link<Held>, states: readonly Buffer[], isAnswer: boolean): void {
    const batches = states.length === 0 ? [[]] : [...inBatches(states)];
    for (const [index, batch] of batches.entries()) {
      this.#send(link, { type: 'states', states: batch, isAnswer: isAnswer && index === batches.length - 1 });
    }
  }

  /** Asks the neighbour from which link states came for the lists that they name. */
  #want(link: Link<Held>, hashes: readonly Buffer[]): void {
    if (hashes.length > 0) this.#send(link, { type: 'want-capabilities', hashes: hashes.slice(0, MAX_NODES) });
  }

  #sendCapabilities(link: Link<Held>, hashes: readonly Buffer[]): void {
    const { lists } = this.#parts.topology;
    const known: Buffer[] = [];
    for (const hash of hashes) {
      const bytes = lists.bytesOf(hash);
      // What is asked for twice is sent once.
      if (bytes) known.push(...(known.includes(bytes) ? [] : [bytes]));
      else lists.remember(hash, link.channel);
    }
    for (const part of inBatches(known)) this.#send(link, { type: 'capabilities', lists: part });
  }

  #acceptCapabilities(bytes: Buffer): void {
    for (const channel of this.#parts.topology.acceptCapabilities(bytes) ?? []) {
      const link = this.#parts.channels.get(channel);
      if (link) this.#send(link, { type: 'capabilities', lists: [bytes] });
    }
  }
}

/** Divides buffers into groups of at most a batch, but at least one each, and at most as many as a frame may have. */
function* inBatches(all: readonly Buffer[]): Iterable<readonly Buffer[]> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const one of all) {
    if (batch.length > 0 && (bytes + one.length > BATCH_BYTES || batch.length >= MAX_NODES)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(one);
    bytes += one.length;
  }
  if (batch.length > 0) yield batch;
}

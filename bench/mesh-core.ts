/** The core of the mesh alone: processor time of a message at its origin, in transit and at its target, and memory of waiting ones. */
import { generateKeyPairSync } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MeshNode, ed25519Crypto, ed25519Signer, idOfKey } from '../src/mesh-core/mesh-core.ts';
import type { Effect, NodeEvent } from '../src/mesh-core/mesh-core.ts';
import { median } from './statistics.ts';
import type { Figure, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const PAYLOAD = Buffer.alloc(256, 'x');
const GROUP = 64;
const ROUNDS = 10;
// The channels of a node to the next one of the row and to the one before.
const NEXT = 1;
const PREVIOUS = 2;

/** Measures all of it. */
export async function meshCore({ isQuick, say }: Settings): Promise<Report> {
  say('waiting messages');
  // First, since what the others leave behind would be used again.
  const memory = waiting(isQuick ? 100_000 : 1_000_000);
  const figures: Figure[] = [];
  for (const isDurable of [false, true]) {
    say(isDurable ? 'durable messages' : 'messages in memory');
    figures.push(...hop(isDurable, isQuick ? 50_000 : 1_000_000));
  }
  figures.push(memory);
  return Promise.resolve({ figures, skipped: [] });
}

/** Three nodes in a row whose network and disks take no time. */
function hop(isDurable: boolean, messages: number): Figure[] {
  const row = new Row(3, false);
  const target = row.seats[2]?.node.id ?? '';
  const samples: number[][] = row.seats.map(() => []);
  const perRound = Math.floor(messages / ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const seat of row.seats) seat.microseconds = 0;
    for (let sent = 0; sent < perRound; sent += GROUP) {
      row.submit(GROUP, target, isDurable);
      row.run();
    }
    for (const [index, { microseconds }] of row.seats.entries()) samples[index]?.push(microseconds / perRound);
  }
  if (row.delivered < messages) throw new Error(`${row.delivered} of ${messages} messages arrived`);
  const group = `${isDurable ? 'durable messages' : 'messages in memory'} of ${PAYLOAD.length} bytes over two hops, processor time`;
  const what = ['at the origin', 'in transit', 'at the target'];
  return samples.map((values, index) => ({ group, what: what[index] ?? '', value: median(values), unit: 'us per message' }));
}

/** Messages that wait on the disk for a node that is away. */
function waiting(messages: number): Figure {
  const row = new Row(1, true);
  const before = resident();
  for (let sent = 0; sent < messages; sent += GROUP) {
    row.submit(GROUP, 'a'.repeat(32), true);
    row.run();
  }
  const durable = row.seats[0]?.node.status().durable ?? 0;
  if (durable < messages) throw new Error(`${durable} messages wait`);
  const value = (resident() - before) / 2 ** 20;
  return { group: 'memory', what: `${messages} messages that wait`, value, unit: 'MiB', aim: { most: 300 } };
}

/** The resident memory in bytes, after garbage has been collected: how much of it is there depends on what else the machine does. */
function resident(): number {
  // What the first one frees, V8 returns to the system with the second.
  collect();
  collect();
  return process.memoryUsage().rss;
}

/** A node with its disk, which takes no time. */
interface Seat {
  readonly node: MeshNode;
  readonly records: Map<number, Buffer>;
  lastRecord: number;
  microseconds: number;
  pending: NodeEvent[];
}

/** Nodes in a row. What they send and write is done at once, in turns, and the processor time of each is counted. */
class Row {
  readonly seats: readonly Seat[];
  delivered = 0;
  #submitted = 0;
  #now = 1000;

  /** `isForgetful`: records are not kept, since what is never sent is never read. */
  constructor(
    count: number,
    private readonly isForgetful: boolean,
  ) {
    this.seats = Array.from({ length: count }, () => {
      const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
      const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
      const id = idOfKey(ed25519Crypto, signer.publicKey);
      const parts = { id, epoch: 1, signer, crypto: ed25519Crypto, random: Math.random, description };
      return { node: new MeshNode(parts, this.#now), records: new Map(), lastRecord: 0, microseconds: 0, pending: [] };
    });
    for (const [index, seat] of this.seats.entries()) {
      for (const [channel, other] of [
        [NEXT, this.seats[index + 1]],
        [PREVIOUS, this.seats[index - 1]],
      ] as const) {
        if (other) seat.pending.push({ type: 'proven', channel, peer: { id: other.node.id, epoch: 1, instance: other.node.id } });
      }
    }
    for (let step = 0; step < 30; step++) {
      this.#now += 100;
      for (const { pending } of this.seats) pending.push({ type: 'tick' });
      this.run();
    }
  }

  /** The first node sends messages. */
  submit(count: number, target: string, isDurable: boolean): void {
    for (let left = count; left > 0; left--) {
      // As long as the relay gives it to a dict of one of its satellites, for the report.
      const ref = `dict ${String(++this.#submitted).padStart(36, '0')} weather`;
      const submission = {
        ...{ token: 't', target: { type: 'node', id: target } as const, payload: PAYLOAD, isDurable, isOrdered: true, generation: 0 },
        ...{ hostId: '192.168.1.5:2004', contentType: 'dict', ref },
      };
      this.seats[0]?.pending.push({ type: 'submit', submission, wallMs: 0 });
    }
  }

  /** Until nothing happens any more. */
  run(): void {
    this.#now++;
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const [index, seat] of this.seats.entries()) {
        const events = seat.pending;
        if (events.length === 0) continue;
        isBusy = true;
        seat.pending = [];
        const start = process.cpuUsage();
        const effects = seat.node.handleAll(events, this.#now);
        const { user, system } = process.cpuUsage(start);
        seat.microseconds += user + system;
        for (const effect of effects) this.#perform(index, seat, effect);
      }
    }
  }

  #perform(index: number, seat: Seat, effect: Effect): void {
    switch (effect.type) {
      case 'send': {
        const [other, channel] = effect.channel === NEXT ? [this.seats[index + 1], PREVIOUS] : [this.seats[index - 1], NEXT];
        other?.pending.push({ type: 'frame', channel, frame: effect.frame });
        return;
      }
      case 'deliver':
        this.delivered++;
        seat.pending.push({ type: 'processed', delivery: effect.delivery, outcome: { type: 'done' } });
        return;
      case 'read':
        seat.pending.push({ type: 'read', request: effect.request, values: effect.numbers.map((number) => seat.records.get(number)) });
        return;
      case 'write':
        seat.pending.push({ type: 'written', batch: effect.batch, numbers: this.#write(seat, effect) });

        break;

      default:
    }
  }

  #write(seat: Seat, { operations }: Effect & { readonly type: 'write' }): readonly number[] {
    const numbers: number[] = [];
    for (const operation of operations) {
      if (operation.type === 'append') {
        numbers.push(++seat.lastRecord);
        if (!this.isForgetful) seat.records.set(seat.lastRecord, operation.value);
      } else if (operation.type === 'trim') {
        for (const number of seat.records.keys()) {
          if (number > operation.through) break;
          seat.records.delete(number);
        }
      }
    }
    return numbers;
  }
}

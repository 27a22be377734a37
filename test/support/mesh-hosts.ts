/** Nodes of a mesh in this process, with the real host, channels and codec; only HTTP and the proof of identity are replaced by calls. */
import { generateKeyPairSync } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { SILENT, systemClock } from '../../src/core/core.ts';
import { EventStream } from '../../src/events/events.ts';
import { ed25519Crypto, ed25519Signer, idOfKey } from '../../src/mesh-core/mesh-core.ts';
import type { Signer } from '../../src/mesh-core/mesh-core.ts';
import { MeshHost } from '../../src/mesh/mesh-host.ts';
import type { Greeted } from '../../src/mesh/channels.ts';
import type { MeshArrival, PeerEvent } from '../../src/mesh/mesh.ts';
import { MemoryDisk, openStore } from '../../src/store/store.ts';
import type { StoreEvent } from '../../src/store/store.ts';
import { parseCall, parseResponse, serialiseCall, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { EventRecord } from './event-record.ts';
import { Gate } from './gate.ts';

/** A node, with what outlives its starts. */
export class TestNode {
  readonly signer: Signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  readonly id = idOfKey(ed25519Crypto, this.signer.publicKey);
  readonly disk = new MemoryDisk();
  /** What it received of the kind `test`. */
  readonly received = new Gate<MeshArrival>();
  epoch = 0;
  #host: MeshHost | undefined;
  readonly #storeEvents = new Gate<StoreEvent>();
  #stop = (): Promise<void> => Promise.resolve();
  seen!: EventRecord<PeerEvent>;

  constructor(readonly nick: string) {}

  get host(): MeshHost {
    if (!this.#host) throw new Error(`${this.nick} does not run`);
    return this.#host;
  }

  get isRunning(): boolean {
    return this.#host !== undefined;
  }

  async start(): Promise<MeshHost> {
    const store = await openStore({
      disk: this.disk,
      options: { minFreeBytes: 1024, minFreePercent: 0 },
      clock: systemClock,
      report: (event) => {
        this.#storeEvents.push(event);
      },
    });
    const events = new EventStream<PeerEvent>({ clock: systemClock, date: Date.now, transient: [] });
    this.seen = new EventRecord(events, []);
    const { id, signer, nick } = this;
    const host = new MeshHost({
      id,
      signer,
      store,
      clock: systemClock,
      date: Date.now,
      random: Math.random,
      events,
      log: SILENT,
      whenSent: () => Promise.resolve(),
    });
    host.receive('test', (arrival) => {
      this.received.push(arrival);
      return { type: 'done' };
    });
    this.#host = host;
    this.#stop = async () => {
      await host.stop(1000);
      await store.close();
      events.close();
    };
    await host.start({ epoch: ++this.epoch, nick, addresses: [], hostId: `${nick}@127.0.0.1:1` });
    return host;
  }

  /** Stops it as a relay does. */
  async stop(): Promise<void> {
    this.#host = undefined;
    await this.#stop();
  }

  /** Answers nobody any more, without a goodbye. */
  vanish(): void {
    this.#host = undefined;
  }

  /** Leaves no room on its disk, and waits until its store has noticed. */
  async fillDisk(): Promise<void> {
    this.disk.space = { freeBytes: 0, totalBytes: 2 ** 40 };
    await this.#storeEvents.until((event) => event.type === 'store.state' && event.state.type === 'disk-low');
  }

  /** Keeps a link to the other node whenever that runs. Each of its requests `relay.push` waits for `beforePush`. */
  dial(other: TestNode, beforePush?: () => Promise<void>): void {
    const greet = (): Promise<Greeted> => Promise.resolve(this.#greet(other, beforePush));
    this.host.addAddress(`http://${other.nick}`, { greet, close: () => Promise.resolve() });
  }

  #greet(other: TestNode, beforePush: (() => Promise<void>) | undefined): Greeted {
    const [host, self] = [other.host, this];
    const instance = `${other.id}.${other.epoch}`;
    return {
      peer: { id: other.id, epoch: other.epoch, instance },
      call: async (method, params, signal) => {
        if (!other.isRunning || other.host !== host) throw new Error('connection refused');
        const peer = { id: self.id, epoch: self.epoch, instance: `${self.id}.${self.epoch}` };
        if (method === 'relay.push') await beforePush?.();
        const sent = parseCall(serialiseCall(method, params)).params;
        const caller = { peer, gone: signal };
        const answer = await (method === 'relay.push' ? host.push(sent, caller) : host.pull(sent, caller));
        signal.throwIfAborted();
        const response = parseResponse(serialiseResponse(answer, { nil: true, i8: true }));
        if (response.kind !== 'value') throw new Error('it is a fault');
        return response.value;
      },
    };
  }
}

/** Starts nodes with these names and links of each pair of positions, and waits until all links are up. */
export async function startNodes(
  t: ExecutionContext,
  nicks: readonly string[],
  links: readonly (readonly [number, number])[],
): Promise<readonly TestNode[]> {
  const nodes = nicks.map((nick) => new TestNode(nick));
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())));
  for (const node of nodes) await node.start();
  for (const [from, to] of links) nodes[from]?.dial(nodes[to]!);
  await Promise.all(
    links.map(async ([from, to]) => {
      await nodes[from]?.seen.event('mesh.link', { node: nodes[to]?.id ?? '', state: 'up' });
      await nodes[to]?.seen.event('mesh.link', { node: nodes[from]?.id ?? '', state: 'up' });
    }),
  );
  return nodes;
}

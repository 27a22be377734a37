/** A mesh in memory: the real machines on a virtual network and clock, and for each node a dispatcher with the real calls between nodes. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, RelayError } from '../../src/core/core.ts';
import type { MeshArrival, MeshMessage, MeshOutcome, MeshPort, MeshReceiver } from '../../src/mesh/mesh.ts';
import type { Effect, Head } from '../../src/mesh-core/mesh-core.ts';
import { Nodes } from '../../src/nodes/nodes.ts';
import { relayDefaults } from '../../src/relay/options.ts';
import type { RelayOptions } from '../../src/relay/relay.ts';
import { Dispatcher } from '../../src/rpc/rpc.ts';
import type { HostedMethod } from '../../src/rpc/rpc.ts';
import { World } from '../simulate/world.ts';
import { Random } from '../fuzz/random.ts';
import { LogRecord } from '../support/log-record.ts';

export interface MemoryMeshOptions {
  /** Methods of the plugin `ham.spam` of a node. */
  readonly methods?: (index: number) => readonly Partial<HostedMethod>[];
  readonly access?: Partial<RelayOptions['access']>;
}

/** A node of the mesh. */
export interface MemoryNode {
  readonly id: string;
  readonly dispatcher: Dispatcher;
  readonly nodes: Nodes;
  readonly port: WorldPort;
  readonly log: LogRecord;
}

export class MemoryMesh {
  readonly world: World;
  readonly nodes: readonly MemoryNode[];
  /** The messages that were delivered, with the index of their node. */
  readonly delivered: { readonly to: number; readonly head: Head; readonly via: readonly string[] }[] = [];
  readonly clock: Clock;

  constructor(count: number, edges: readonly (readonly [number, number])[], options: MemoryMeshOptions = {}) {
    const world: World = new World({
      ...{ random: new Random(1), nodes: count, edges },
      onEffect: (index, effect) => {
        if (effect.type === 'deliver') this.delivered.push({ to: index, head: effect.head, via: effect.via });
        this.nodes[index]?.port.take(effect);
      },
    });
    this.world = world;
    this.clock = {
      now: () => world.now,
      after: (ms, due) => {
        let isDue = true;
        world.after(ms, () => {
          if (isDue) due();
        });
        return () => {
          isDue = false;
        };
      },
    };
    this.nodes = world.places.map(({ id }, index) => this.#node(index, id, options));
    for (let index = 0; index < count; index++) world.start(index);
    world.runUntil(world.now + 6000);
    for (const { nodes } of this.nodes) nodes.offer.start();
    world.runUntil(world.now + 2000);
  }

  /** Lets the time pass until the promise settles. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const settled = promise.finally(() => {
      state.isSettled = true;
    });
    settled.catch(() => undefined);
    while (!state.isSettled) await this.#step(1);
    return settled;
  }

  /** Lets this much time pass, in small steps. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) await this.#step(Math.min(10, ms - passed));
  }

  async #step(ms: number): Promise<void> {
    await nextTurn();
    this.world.runUntil(this.world.now + ms);
    await nextTurn();
  }

  #node(index: number, id: string, { methods, access }: MemoryMeshOptions): MemoryNode {
    const log = new LogRecord();
    const port = new WorldPort(this.world, index);
    const dispatcher: Dispatcher = new Dispatcher({
      options: { ...relayDefaults, access: { ...relayDefaults.access, ...access } },
      ...{ log: log.source('relay'), clock: this.clock, reportFailure: () => 'reported' },
      self: () => ({ hostId: `h${index}@192.0.2.1:2004`, address: '192.0.2.1', port: 2004 }),
      peers: { isPeerAddress: () => false, mayHaveMoved: () => false, recheck: () => Promise.resolve(false) },
      callNode: (call) => nodes.calls.callFor(call),
    });
    const hosted = (methods?.(index) ?? []).map((method) => ({
      ...{ name: 'ham.spam.run', help: '', signature: undefined, access: 'call' as const, invoke: () => true },
      ...method,
    }));
    dispatcher.expose('ham.spam', hosted);
    const nodes: Nodes = new Nodes({
      ...{ port, dispatcher, clock: this.clock, logs: log.source, version: `1.0.${index}`, work: () => [], running: () => index },
    });
    return { id, dispatcher, nodes, port, log };
  }
}

/** The port of a node of the virtual network. */
class WorldPort implements MeshPort {
  readonly #receivers = new Map<string, MeshReceiver>();
  readonly #waiting = new Map<string, (id: string | Error) => void>();
  readonly #listeners = new Set<(outcome: MeshOutcome) => void>();
  #sent = 0;

  constructor(
    private readonly world: World,
    private readonly index: number,
  ) {}

  get id(): string {
    return this.world.places[this.index]!.id;
  }

  get #machine() {
    return this.world.places[this.index]!.node;
  }

  get hasNeighbours(): boolean {
    return this.nodes().length > 1;
  }

  submit(message: MeshMessage): Promise<string> {
    const token = `${this.index}/${++this.#sent}`;
    const { isOrdered = false, generation = 0, hostId = 'h', ...rest } = message;
    return new Promise((resolve, reject) => {
      this.#waiting.set(token, (id) => {
        if (typeof id === 'string') resolve(id);
        else reject(id);
      });
      this.world.event(this.index, { type: 'submit', submission: { ...rest, token, isOrdered, generation, hostId }, wallMs: 0 });
    });
  }

  send(message: MeshMessage, refused: (error: RelayError) => void): void {
    this.submit(message).catch(refused);
  }

  drop(id: string, reason: string): Promise<boolean> {
    this.world.event(this.index, { type: 'outbox', request: 0, command: { type: 'drop', id, reason } });
    return Promise.resolve(true);
  }

  receive(contentType: string, receiver: MeshReceiver): void {
    this.#receivers.set(contentType, receiver);
  }

  onOutcome(listener: (outcome: MeshOutcome) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onNodes(): () => void {
    return () => undefined;
  }

  nodes(): ReturnType<MeshPort['nodes']> {
    return this.#machine?.nodes() ?? [];
  }

  path(id: string): ReturnType<MeshPort['path']> {
    return this.#machine?.path(id);
  }

  isTooFar(id: string): boolean {
    return this.#machine?.isTooFar(id) === true;
  }

  links(): ReturnType<MeshPort['links']> {
    return this.#machine?.links() ?? new Map();
  }

  describe(offer: Parameters<MeshPort['describe']>[0]): void {
    this.world.event(this.index, {
      type: 'describe',
      description: { nick: `n${this.index}`, addresses: [`http://n${this.index}`], hostIds: [], ...offer },
    });
  }

  /** Takes an effect of the machine. */
  take(effect: Effect): void {
    if (effect.type === 'accepted') this.#settle(effect.token, effect.id);
    if (effect.type === 'refused') this.#settle(effect.token, new Error(effect.text));
    if (effect.type === 'outcome') for (const listener of this.#listeners) listener(effect);
    if (effect.type !== 'deliver') return;
    const { delivery } = effect;
    this.deliver(effect);
    // Later: the machine is inside of a step.
    this.world.after(0, () => {
      this.world.event(this.index, { type: 'processed', delivery, outcome: { type: 'done' } });
    });
  }

  /** Gives a message to its receiver. */
  deliver(arrival: MeshArrival): void {
    void this.#receivers.get(arrival.head.contentType)?.(arrival);
  }

  #settle(token: string, id: string | Error): void {
    this.#waiting.get(token)?.(id);
    this.#waiting.delete(token);
  }
}

/** Relays that do work for each other over a mesh in memory, whose nodes can be cut off and end at any time, with a virtual clock. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { SessionCall } from '../../src/access/access.ts';
import { RelayError } from '../../src/core/core.ts';
import { EventStream } from '../../src/events/events.ts';
import type { MeshMessage, MeshOutcome, MeshReceiver } from '../../src/mesh/mesh.ts';
import type { WorkEvent } from '../../src/relay/relay.ts';
import { MethodRegistry, callerOf } from '../../src/rpc/rpc.ts';
import type { Caller } from '../../src/rpc/rpc.ts';
import { MemoryDisk, openStore, storeDefaults } from '../../src/store/store.ts';
import { isDict } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { ReceivedUnits, Work, addWorkMethods, workDefaults } from '../../src/work/work.ts';
import type { Executor, WorkLimits, WorkNetwork } from '../../src/work/work.ts';
import { parseCall, parseResponse, serialiseCall, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from './gate.ts';
import { VirtualClock } from './virtual-clock.ts';

interface Message extends MeshMessage {
  readonly id: string;
  readonly origin: string;
  readonly sentAt: number;
}

const ABOUT = { help: '', payload: 'bytes', maxConcurrent: undefined, timeoutMs: undefined, isReady: true } as const;
const EXTENSIONS = { nil: true, i8: true };

/** The id of the node with this nick. */
export function nodeId(nick: string): string {
  return createHash('sha256')
    .update(nick)
    .digest('hex')
    .replace(/[0189]/g, 'z')
    .slice(0, 32);
}

/** The mesh. */
export class WorkMesh {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<string, WorkNode>();
  /** Pairs of nicks, `ab`, that do not reach each other. */
  readonly cuts = new Set<string>();
  /** Messages that wait, as they would on disks. */
  waiting: Message[] = [];
  /** Every message that was ever sent. */
  readonly sent: Message[] = [];
  /** Called before each call to another node. */
  onCall: (node: string, method: string) => void = () => undefined;
  /** Why every message is refused, sooner than anything is stored. Default: none is. */
  refusesAtOnce: string | undefined;

  constructor(private readonly t: ExecutionContext) {}

  async node(nick: string, limits: Partial<WorkLimits> = {}): Promise<WorkNode> {
    const directory = await mkdtemp(join(tmpdir(), 'co2-nodes-'));
    const node = new WorkNode(this, { nick, directory, limits, log: this.t.log });
    this.nodes.set(node.id, node);
    this.t.teardown(async () => {
      await node.crash();
      await rm(directory, { recursive: true, force: true });
    });
    await node.start();
    return node;
  }

  isReachable(one: WorkNode, other: WorkNode | undefined): other is WorkNode {
    return other?.isUp === true && one.isUp && !this.cuts.has([one.nick, other.nick].sort().join(''));
  }

  /** Delivers what can be delivered, and lets messages expire. */
  flush(): void {
    const now = this.clock.now();
    this.waiting = this.waiting.filter((message) => {
      const [origin, target] = [this.nodes.get(message.origin), this.nodes.get(message.target.type === 'node' ? message.target.id : '')];
      const ageMs = now - message.sentAt;
      if (ageMs >= (message.ttlMs ?? 0)) {
        origin?.tell({ id: message.id, status: 'expired', reason: '', node: undefined, ref: '' });
        return false;
      }
      if (!origin || !this.isReachable(origin, target)) return true;
      void this.deliver(message, target, ageMs);
      return false;
    });
  }

  /** Hands a message to its node, as if for the first time. */
  async deliver(message: Message, target: WorkNode, ageMs = 0): Promise<void> {
    const { id, origin, isDurable, contentType, payload, ttlMs = 0 } = message;
    const sender = this.nodes.get(origin);
    await nextTurn();
    sender?.tell({ id, status: 'delivered', reason: '', node: target.id, ref: '' });
    const head = {
      ...{
        origin,
        epoch: 1,
        // Signed by its origin, so that it stays what it was wherever the message goes.
        target: message.target.type === 'node' ? message.target.id : '',
        number: 1,
        low: 1,
        sentAt: 0,
        ttlMs,
        isDurable,
        isOrdered: true,
        hostId: '',
        generation: 0,
      },
      ...{ ref: '', contentType, payloadHash: Buffer.alloc(0) },
    };
    try {
      await target.receiver?.({ head, payload, ageMs, via: [origin], isRedelivered: false });
    } catch (error) {
      sender?.tell({ id, status: 'rejected', reason: error instanceof Error ? error.message : '', node: target.id, ref: '' });
    }
  }

  /** Advances the clock second by second, so that timers and what they cause take turns. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) {
      this.clock.advance(1000);
      this.flush();
      for (let turn = 0; turn < 10; turn++) await nextTurn();
    }
  }
}

/** One relay, as far as work goes. */
export class WorkNode {
  readonly id: string;
  readonly nick: string;
  readonly executors = new Map<string, Executor>();
  readonly states = new Gate<string>();
  readonly disk = new MemoryDisk();
  readonly directory: string;
  registry = new MethodRegistry();
  isUp = false;
  /** What it answers to nodes that submit work. */
  refuses: string | undefined;
  receiver: MeshReceiver | undefined;
  #listener: (outcome: MeshOutcome) => void = () => undefined;
  #reports: MeshOutcome[] = [];
  #work: Work | undefined;
  #received: ReceivedUnits | undefined;
  #onDown = new AbortController();

  constructor(
    private readonly mesh: WorkMesh,
    private readonly own: {
      readonly nick: string;
      readonly directory: string;
      readonly limits: Partial<WorkLimits>;
      readonly log: (text: string) => void;
    },
  ) {
    this.nick = own.nick;
    this.directory = own.directory;
    this.id = nodeId(own.nick);
  }

  get work(): Work {
    if (!this.#work) throw new Error(`${this.nick} is down`);
    return this.#work;
  }

  /** Reports wait for a node that is down, as they would on disks. */
  tell(outcome: MeshOutcome): void {
    if (this.isUp) this.#listener(outcome);
    else this.#reports.push(outcome);
  }

  /** Starts on what its disk holds. */
  async start(): Promise<void> {
    const { clock } = this.mesh;
    const { limits, log } = this.own;
    const events = new EventStream<WorkEvent>({ clock });
    events.subscribe((event) => {
      this.states.push(event.type === 'work.state' ? `${event.unit} ${event.state}` : `${event.unit} released`);
    });
    const store = await openStore({ disk: this.disk, options: storeDefaults.store, clock, report: () => undefined });
    const date = (): number => 1_700_000_000_000 + clock.now();
    const quiet = { debug: () => undefined, info: () => undefined, isDebugEnabled: () => false, isInfoEnabled: () => false };
    const network = this.#network();
    const work = new Work({
      ...{ store, directory: this.directory, clock, events, secret: 'a secret', date, network, random: () => 0.5 },
      ...{ limits: { ...workDefaults.workLimits, ...limits }, offered: () => this.executors, programs: {}, env: {} },
      log: { ...quiet, warn: log, error: (text: string) => this.isUp && log(text) },
    });
    const received = new ReceivedUnits({ work, network, clock, random: () => 0.5 });
    this.registry = new MethodRegistry();
    const isAdmin = (caller: Caller): boolean => caller.role.kind === 'token';
    addWorkMethods(this.registry, { work, network, isAdmin, date, self: () => [this.nick], plugins: () => [] });
    this.#work = work;
    this.#received = received;
    this.#onDown = new AbortController();
    this.isUp = true;
    // The mesh starts before work does.
    for (const outcome of this.#reports.splice(0)) this.tell(outcome);
    await work.start();
    received.start();
    this.mesh.flush();
  }

  /** Ends it without a word. */
  async crash(): Promise<void> {
    if (!this.isUp) return;
    this.isUp = false;
    this.receiver = undefined;
    this.#onDown.abort(new RelayError('TRANSPORT', 'the connection broke'));
    this.disk.crash();
    this.#received?.stop();
    // What runs ends with the process; nothing of that is stored, since the disk is gone.
    await this.#work?.stop().catch(() => undefined);
    this.#work = undefined;
  }

  async restart(): Promise<void> {
    await this.crash();
    await this.start();
  }

  /** Work that ends as `run` settles. */
  offer(type: string, run: Executor['run'], more: Partial<Executor> = {}): void {
    this.executors.set(type, { ...ABOUT, type, params: 'any', outputs: ['results'], run, ...more });
    if (this.isUp) this.work.refresh();
  }

  /** Calls a method as a client with the admin token, or as another caller. */
  async call(method: string, params: Sendable = {}, caller: Caller = ADMIN): Promise<Dict> {
    const { params: read } = parseCall(serialiseCall('x', [params], EXTENSIONS));
    const answer = await this.registry.find(method).invoke(read, caller);
    return wired(answer as Sendable) as Dict;
  }

  #network(): WorkNetwork {
    const { mesh } = this;
    const reach = (id: string): WorkNode => {
      const node = mesh.nodes.get(id);
      if (mesh.isReachable(this, node)) return node;
      throw new RelayError('TRANSPORT', `node ${id} cannot be reached`);
    };
    return {
      requireSubmitter: () => {
        if (this.refuses !== undefined) throw new RelayError('FORBIDDEN', this.refuses);
      },
      port: {
        submit: (message) => {
          const sent = { ...message, id: `m${mesh.sent.length}`, origin: this.id, sentAt: mesh.clock.now() };
          mesh.sent.push(sent);
          if (mesh.refusesAtOnce !== undefined) {
            const outcome = { id: sent.id, status: 'rejected', reason: mesh.refusesAtOnce, node: undefined, ref: '' } as const;
            process.nextTick(() => {
              this.tell(outcome);
            });
            return Promise.resolve(sent.id);
          }
          mesh.waiting.push(sent);
          setImmediate(() => {
            mesh.flush();
          });
          return Promise.resolve(sent.id);
        },
        drop: (id) => {
          const before = mesh.waiting.length;
          mesh.waiting = mesh.waiting.filter((message) => message.id !== id);
          return Promise.resolve(mesh.waiting.length < before);
        },
        receive: (_type, receiver) => {
          this.receiver = receiver;
        },
        onOutcome: (listener) => {
          this.#listener = listener;
          return () => undefined;
        },
        nodes: () =>
          [...mesh.nodes.values()].map(({ id, nick, executors }) => ({
            ...{ id, nick, epoch: 1, sequence: 1, addresses: [], isLeaving: false, neighbours: [], load: 0, hostIds: [] },
            capabilities: [...executors.keys()].map((type) => `work:${type}`),
          })),
        path: (id) => (mesh.isReachable(this, mesh.nodes.get(id)) ? { hop: id, cost: 1, links: 1 } : undefined),
      },
      calls: {
        self: this.id,
        resolve: (name) => {
          const node = [...mesh.nodes.values()].find(({ id, nick }) => name === id || name === nick);
          if (node) return node.id;
          throw new RelayError('NOT_FOUND', `no node has the name ${name}`);
        },
        call: async (id, method, params, { signal } = {}) => {
          if (id === this.id) return this.#answer(this.id, method, params, signal);
          mesh.onCall(id, method);
          const node = reach(id);
          const ends = AbortSignal.any([this.#onDown.signal, node.#onDown.signal, ...(signal ? [signal] : [])]);
          const broken = new Promise<never>((_resolve, reject) => {
            ends.addEventListener('abort', () => {
              reject(ends.reason as Error);
            });
          });
          broken.catch(() => undefined);
          const value = await Promise.race([node.#answer(this.id, method, params, ends), broken]);
          // An answer is lost as well.
          reach(id);
          return value;
        },
      },
    };
  }

  async #answer(from: string, method: string, params: readonly Sendable[], gone: AbortSignal | undefined): Promise<Value> {
    const read = parseCall(serialiseCall('x', params, EXTENSIONS)).params;
    const session = sessionOf(from);
    const principal = { role: { kind: 'peer' }, address: '192.0.2.1', port: 1, isDirect: true, isPeer: true, session, gone } as const;
    const answer = await this.registry.find(method).invoke(
      read,
      callerOf(
        principal,
        () => undefined,
        () => undefined,
      ),
    );
    return wired(answer as Sendable);
  }
}

/** A proven session of a node. */
export function sessionOf(node: string): SessionCall {
  return { node, epoch: 1, instance: '1', isPeer: true, hostIds: [], accept: () => undefined, seal: () => undefined };
}

/** A result as its caller reads it. */
function wired(answer: Sendable): Value {
  const response = parseResponse(serialiseResponse(answer, EXTENSIONS));
  if (response.kind === 'fault') throw new Error('it cannot be written');
  return response.value;
}

/** A client with a token, who may do everything. */
export const ADMIN = callerOf(
  {
    role: {
      kind: 'token',
      name: 'me',
      id: 'me',
      may: { classes: new Set(['read', 'message', 'call', 'admin']), methods: ['*'], covers: () => true },
    },
    ...{ address: '127.0.0.1', port: 1, isDirect: true, isPeer: false },
  },
  () => undefined,
  () => undefined,
);

/** A client without one. */
export const LOCAL = callerOf(
  { role: { kind: 'local' }, address: '127.0.0.1', port: 1, isDirect: true, isPeer: false },
  () => undefined,
  () => undefined,
);

/** The structs in a list of an answer. */
export function structsIn(value: Value | undefined): readonly Dict[] {
  return Array.isArray(value) ? (value as readonly Value[]).filter(isDict) : [];
}

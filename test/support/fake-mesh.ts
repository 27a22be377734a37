/** A mesh in memory for tests of what uses one: every node reaches every other at once, unless it is down. */
import { RelayError } from '../../src/core/core.ts';
import type { Head, LinkState, NodeChange } from '../../src/mesh-core/mesh-core.ts';
import type { MeshMessage, MeshOutcome, MeshPort, MeshReceiver } from '../../src/mesh/mesh.ts';

/** What a test may change of a message on its way. */
export type Change = (head: Head, payload: Buffer) => { readonly head?: Partial<Head>; readonly payload?: Buffer } | undefined;

export class FakeMesh {
  readonly ports: FakePort[] = [];
  /** Changes messages on their way. */
  change: Change = () => undefined;

  /** Adds a node with an id of this letter. */
  add(letter: string, nick: string, hostIds: readonly string[]): FakePort {
    const port = new FakePort(this, letter.repeat(32), nick, hostIds);
    this.ports.push(port);
    return port;
  }
}

export class FakePort implements MeshPort {
  readonly submitted: MeshMessage[] = [];
  readonly capabilities: string[] = [];
  /** Set to refuse what is submitted. */
  refusal: RelayError | undefined;
  /** What submissions wait for: the disk, for instance. */
  disk: Promise<void> = Promise.resolve();
  isDown = false;
  /** The nodes that messages for this one cross, between its origin and itself. */
  between: readonly FakePort[] = [];
  readonly #receivers = new Map<string, MeshReceiver>();
  readonly #listeners: ((outcome: MeshOutcome) => void)[] = [];
  readonly #nodeListeners: ((change: NodeChange) => void)[] = [];
  #number = 0;

  constructor(
    private readonly mesh: FakeMesh,
    readonly id: string,
    readonly nick: string,
    public hostIds: readonly string[],
  ) {}

  get hasNeighbours(): boolean {
    return this.mesh.ports.length > 1;
  }

  async submit(message: MeshMessage): Promise<string> {
    if (this.refusal) throw this.refusal;
    const target = this.#targetOf(message);
    this.submitted.push(message);
    await this.disk;
    const number = ++this.#number;
    const id = `${this.id}.1.${target === undefined ? 'b' : `u:${target}`}.${number}`;
    const { payload, isDurable, isOrdered = false, ttlMs = 86_400_000, hostId = '', generation = 0, ref = '', contentType } = message;
    const head: Head = {
      ...{
        origin: this.id,
        epoch: 1,
        target,
        number,
        low: 1,
        sentAt: 0,
        ttlMs,
        isDurable,
        isOrdered,
        hostId,
        generation,
        ref,
        contentType,
      },
      payloadHash: Buffer.alloc(32),
    };
    for (const port of this.mesh.ports)
      if (!port.isDown && (target === undefined ? port !== this : port.id === target)) void port.#arrived(this, id, head, payload);
    return id;
  }

  send(message: MeshMessage, refused: (error: RelayError) => void): void {
    this.submit(message).catch(refused);
  }

  drop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  onNodes(listener: (change: NodeChange) => void): () => void {
    this.#nodeListeners.push(listener);
    return () => undefined;
  }

  /** Reports that a node can be reached from now on, or not any more. */
  nodeChanged(change: NodeChange): void {
    for (const listener of this.#nodeListeners) listener(change);
  }

  receive(contentType: string, receiver: MeshReceiver): void {
    this.#receivers.set(contentType, receiver);
  }

  onOutcome(listener: (outcome: MeshOutcome) => void): () => void {
    this.#listeners.push(listener);
    return () => undefined;
  }

  /** Reports what became of a message. */
  report(outcome: MeshOutcome): void {
    for (const listener of this.#listeners) listener(outcome);
  }

  nodes(): readonly LinkState[] {
    const common = { addresses: [], load: 0, epoch: 1, sequence: 1, isLeaving: false, neighbours: [] };
    return this.mesh.ports.map(({ id, nick, hostIds, capabilities }) => ({ ...common, id, nick, hostIds, capabilities }));
  }

  isTooFar(): boolean {
    return false;
  }

  path(): undefined {
    return undefined;
  }

  links(): ReadonlyMap<string, number> {
    return new Map();
  }

  describe(): void {
    // Tests set the capabilities.
  }

  #targetOf({ target }: MeshMessage): string | undefined {
    if (target.type === 'all') return undefined;
    if (target.type === 'node') return target.id;
    const offering = this.mesh.ports.find(({ capabilities }) => capabilities.includes(target.capability));
    if (!offering) throw new RelayError('NOT_FOUND', `no node that can be reached offers ${target.capability}`);
    return offering.id;
  }

  async #arrived(from: FakePort, id: string, head: Head, payload: Buffer): Promise<void> {
    const changed = this.mesh.change(head, payload);
    const { ref } = head;
    const via = from === this ? [] : [from.id, ...this.between.map((port) => port.id)];
    if (head.target !== undefined && head.isDurable) from.report({ id, status: 'delivered', reason: '', node: this.id, ref });
    const arrival = { head: { ...head, ...changed?.head }, payload: changed?.payload ?? payload, ageMs: 7, via, isRedelivered: false };
    const outcome = (await this.#receivers.get(head.contentType)?.(arrival)) ?? { type: 'rejected', reason: 'nothing receives it' };
    if (head.target !== undefined && outcome.type !== 'done')
      from.report({ id, status: outcome.type, reason: outcome.reason, node: this.id, ref });
  }
}

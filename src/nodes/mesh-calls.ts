/** Calls between the nodes of the mesh, in both directions. */
import { ACCESS_CLASSES, RelayError, reasonOf } from '../core/core.ts';
import type { AccessClass, Clock, Log } from '../core/core.ts';
import type { MeshArrival, MeshPort } from '../mesh/mesh.ts';
import type { CallForCaller } from '../rpc/rpc.ts';
import type { Sendable, Value } from '../values/values.ts';
import { ANSWER, CANCEL, CREDIT, MAX_TIMEOUT_MS, REQUEST } from './call-messages.ts';
import { IncomingCalls } from './incoming-calls.ts';
import type { NodeCallRunner } from './incoming-calls.ts';
import type { NodeCallOptions, NodeCalls } from './node-calls.ts';
import type { NodeTable } from './node-table.ts';
import { OutgoingCalls } from './outgoing-calls.ts';
import type { OutgoingCall } from './outgoing-calls.ts';

export interface MeshCallsParts {
  readonly port: MeshPort;
  readonly table: NodeTable;
  readonly runner: NodeCallRunner;
  readonly clock: Clock;
  readonly log: Log;
}

/** How a call is made for somebody else. */
export interface NodeCallFor extends NodeCallOptions {
  /** The rights of whom this node calls for. Default all: the other node decides. */
  readonly rights?: readonly AccessClass[] | undefined;
  /** The numbers have no types, so the signature of the method decides. Default false. */
  readonly plainNumbers?: boolean | undefined;
}

/** The calls with one node since the start of this one. */
export interface NodeCallCounts {
  readonly node: string;
  readonly nick: string;
  /** Calls that it answered, and calls that it did not, or answered by a fault. */
  readonly answered: number;
  readonly failed: number;
  /** Calls of it that this node answered, and those that it answered by a fault. */
  readonly ran: number;
  readonly refused: number;
}

type Counts = { -readonly [Key in 'answered' | 'failed' | 'ran' | 'refused']: NodeCallCounts[Key] };

const DEFAULT_TIMEOUT_MS = 30_000;
// As many as nodes of a mesh; protects memory from nodes that come and go.
const MAX_COUNTED = 1024;

/** See the head of this file. Made before the mesh starts. */
export class MeshCalls implements NodeCalls {
  readonly self: string;
  readonly #table: NodeTable;
  readonly #incoming: IncomingCalls;
  readonly #outgoing: OutgoingCalls;
  readonly #counts = new Map<string, Counts>();
  readonly #ignoreOutcomes: () => void;

  constructor({ port, table, runner, clock, log }: MeshCallsParts) {
    this.self = port.id;
    this.#table = table;
    const count = (node: string, isFault: boolean): void => {
      this.#countsOf(node)[isFault ? 'refused' : 'ran']++;
    };
    this.#incoming = new IncomingCalls({ port, table, runner, clock, log, count });
    this.#outgoing = new OutgoingCalls({ port, table, clock, log });
    const receive = (contentType: string, take: (arrival: MeshArrival) => Promise<void> | void): void => {
      port.receive(contentType, (arrival) => {
        // The mesh does not wait for it: a call may take minutes.
        void (async () => take(arrival))().catch((error: unknown) => {
          log.warn(`ignored a ${contentType} of ${table.describe(arrival.head.origin)}: ${reasonOf(error)}`);
        });
        return { type: 'done' };
      });
    };
    receive(REQUEST, (arrival) => this.#incoming.take(arrival));
    receive(ANSWER, (arrival) => this.#outgoing.take(arrival));
    receive(CREDIT, (arrival) => this.#incoming.credit(arrival));
    receive(CANCEL, (arrival) => {
      this.#incoming.cancel(arrival);
    });
    this.#ignoreOutcomes = port.onOutcome((outcome) => {
      this.#outgoing.outcome(outcome);
    });
  }

  resolve(name: string): string {
    return this.#table.resolve(name);
  }

  async call(node: string, method: string, params: readonly Sendable[], options: NodeCallOptions = {}): Promise<Value> {
    const { value = true } = await this.#call(node, method, params, options);
    return value;
  }

  /** Like {@link call}, but the result has the types of its numbers. */
  async callExact(node: string, method: string, params: readonly Sendable[], options: NodeCallFor = {}): Promise<Sendable> {
    const { value = true, exact = value } = await this.#call(node, method, params, options);
    return exact;
  }

  /** Makes a call for a caller of this node, with the rights of that caller. */
  async callFor({ node, method, params, ...options }: CallForCaller): Promise<Sendable> {
    return this.callExact(node, method, params, options);
  }

  async *stream(node: string, method: string, params: readonly Sendable[], options: NodeCallOptions = {}): AsyncGenerator<Value, void> {
    const call = this.#outgoingCall(node, method, params, options);
    let isAnswered = false;
    try {
      for await (const { value } of this.#outgoing.stream(call)) if (value !== undefined) yield value;
      isAnswered = true;
    } finally {
      this.#countsOf(call.node)[isAnswered ? 'answered' : 'failed']++;
    }
  }

  /** Calls that other nodes have not answered, and calls of others that run here. */
  get open(): { readonly outgoing: number; readonly incoming: number } {
    return { outgoing: this.#outgoing.open, incoming: this.#incoming.running };
  }

  /** The nodes with which there were calls. */
  counts(): readonly NodeCallCounts[] {
    return [...this.#counts].map(([node, counts]) => ({ node, nick: this.#table.nickOf(node), ...counts }));
  }

  /** Ends all calls. */
  stop(): void {
    this.#ignoreOutcomes();
    this.#outgoing.stop();
    this.#incoming.stop();
  }

  async #call(node: string, method: string, params: readonly Sendable[], options: NodeCallFor): ReturnType<OutgoingCalls['call']> {
    const call = this.#outgoingCall(node, method, params, options);
    try {
      const answer = await this.#outgoing.call(call);
      this.#countsOf(call.node).answered++;
      return answer;
    } catch (error) {
      this.#countsOf(call.node).failed++;
      throw error;
    }
  }

  #outgoingCall(node: string, method: string, params: readonly Sendable[], options: NodeCallFor): OutgoingCall {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, as = '', rights = ACCESS_CLASSES, plainNumbers = false } = options;
    if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS)
      throw new RelayError('INVALID_PARAMS', `the time limit of a call must be an integer from 1 to ${MAX_TIMEOUT_MS} ms`);
    return { node: this.resolve(node), method, params, timeoutMs, signal, as, rights, hasPlainNumbers: plainNumbers };
  }

  #countsOf(node: string): Counts {
    let counts = this.#counts.get(node);
    if (!counts) {
      const [oldest] = this.#counts.keys();
      if (oldest !== undefined && this.#counts.size >= MAX_COUNTED) this.#counts.delete(oldest);
      this.#counts.set(node, (counts = { answered: 0, failed: 0, ran: 0, refused: 0 }));
    }
    return counts;
  }
}

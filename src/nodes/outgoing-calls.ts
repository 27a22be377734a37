/** The calls of this node that other nodes have not answered yet: their time limits, their answers, and nodes that go away meanwhile. */
import { randomBytes } from 'node:crypto';
import { RelayError, reasonOf } from '../core/core.ts';
import type { AccessClass, Clock, Log } from '../core/core.ts';
import type { MeshArrival, MeshOutcome, MeshPort } from '../mesh/mesh.ts';
import type { Sendable } from '../values/values.ts';
import { CANCEL, CREDIT, MAX_CREDIT, REQUEST, errorOfFault, readAnswer, writeCredit, writeRequest } from './call-messages.ts';
import type { ReceivedAnswer } from './call-messages.ts';
import type { NodeTable } from './node-table.ts';

export interface OutgoingParts {
  readonly port: Pick<MeshPort, 'submit' | 'send' | 'drop' | 'path'>;
  readonly table: NodeTable;
  readonly clock: Clock;
  readonly log: Log;
}

/** A call to make. */
export interface OutgoingCall {
  /** Id of the node. */
  readonly node: string;
  readonly method: string;
  readonly params: readonly Sendable[];
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly as: string;
  readonly rights: readonly AccessClass[];
  readonly hasPlainNumbers: boolean;
}

interface Open extends OutgoingCall {
  readonly ref: string;
  readonly isStream: boolean;
  /** What arrived and was not read, by number. */
  readonly answers: Map<number, ReceivedAnswer>;
  /** Which start of the node it was made for. */
  readonly epoch: number | undefined;
  /** The number of the answer that is read next. */
  next: number;
  /** Since when there is no path to the node; undefined while there is one. */
  cutOffAt: number | undefined;
  failure: Error | undefined;
  /** True once the last answer was read. */
  isOver: boolean;
  /** Id of the message with the request, once it is sent. */
  message: string | undefined;
  /** Continues what waits for an answer. */
  wake: () => void;
  cancelTimer: () => void;
  /** Stops listening to the signal of the caller. */
  ignoreSignal: () => void;
}

// Both bound memory: each call may keep 4 MiB of parameters in the mesh, and a node that does not answer must not use up what others need.
const MAX_OPEN = 1024;
const MAX_OPEN_PER_NODE = 256;
/** A node to which there is no path for this long counts as gone: the time in which the mesh finds another path after a silent loss. */
const GONE_MS = 5000;
const LOOK_MS = 500;
// The other side takes a stream whose reader was silent for longer for abandoned.
const CREDIT_EVERY_MS = 15_000;

export class OutgoingCalls {
  readonly #parts: OutgoingParts;
  readonly #open = new Map<string, Open>();
  // By the ids of the messages with the requests.
  readonly #sent = new Map<string, Open>();
  readonly #perNode = new Map<string, number>();
  // Answers to an earlier start of this node are for nobody.
  readonly #prefix = randomBytes(8).toString('hex');
  #last = 0;
  #cancelLook: (() => void) | undefined;

  constructor(parts: OutgoingParts) {
    this.#parts = parts;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Makes a call with one answer. Rejects as `NodeCalls.call` does. */
  async call(call: OutgoingCall): Promise<ReceivedAnswer> {
    const open = this.#begin(call, false);
    try {
      await this.#send(open);
      return await this.#answer(open);
    } finally {
      this.#end(open);
    }
  }

  /** Makes a call with a stream of answers. Leaving the loop cancels it. */
  async *stream(call: OutgoingCall): AsyncGenerator<ReceivedAnswer, void> {
    const open = this.#begin(call, true);
    let cancelCredits = (): void => undefined;
    const repeatCredit = (): void => {
      cancelCredits = this.#parts.clock.after(CREDIT_EVERY_MS, () => {
        this.#sendCredit(open);
        repeatCredit();
      });
    };
    try {
      await this.#send(open);
      repeatCredit();
      for (;;) {
        const answer = await this.#answer(open);
        if (answer.value !== undefined) yield answer;
        if (answer.isLast) return;
        // In time before the other side has to wait.
        if (open.next % (MAX_CREDIT / 2) === 0) this.#sendCredit(open);
        this.#restartTimer(open);
      }
    } finally {
      cancelCredits();
      this.#end(open);
    }
  }

  /** Takes an answer of a node. */
  async take({ head: { origin, ref }, payload }: MeshArrival): Promise<void> {
    const open = this.#open.get(ref);
    // The caller may have given up; or somebody guesses.
    if (open?.node !== origin) return;
    const answer = await readAnswer(payload);
    if (answer.number < open.next || answer.number >= open.next + 2 * MAX_CREDIT || open.failure) return;
    open.answers.set(answer.number, answer);
    open.wake();
  }

  /** Learns what became of a message. */
  outcome({ id, status, reason }: MeshOutcome): void {
    const open = this.#sent.get(id);
    if (!open || status === 'delivered') return;
    this.#fail(
      open,
      this.#gone(open, status === 'rejected' ? `it does not take calls (${reason})` : `the request was not delivered (${reason})`),
    );
  }

  /** Ends all calls, as the relay stops. */
  stop(): void {
    for (const open of this.#open.values())
      this.#fail(
        open,
        new RelayError('UNAVAILABLE', `${open.method} of ${this.#name(open)}: this relay is stopping`, { data: { reason: 'stopped' } }),
      );
  }

  #name({ node }: Pick<Open, 'node'>): string {
    return this.#parts.table.describe(node);
  }

  /** Throws a RelayError LIMIT if too many calls are open, UNAVAILABLE if the node is too far, and the reason of an aborted signal. */
  #begin(call: OutgoingCall, isStream: boolean): Open {
    const { node, signal } = call;
    signal?.throwIfAborted();
    const { table } = this.#parts;
    if (table.isTooFar(node)) {
      const text = `${call.method} of ${this.#name(call)} cannot be called: ${table.whyNoPath(node)}`;
      throw new RelayError('UNAVAILABLE', text, { isForCaller: true });
    }
    const toNode = this.#perNode.get(node) ?? 0;
    if (this.#open.size >= MAX_OPEN || toNode >= MAX_OPEN_PER_NODE) {
      const [count, who] = toNode >= MAX_OPEN_PER_NODE ? [toNode, `${this.#name(call)} has`] : [this.#open.size, 'other nodes have'];
      const text = `${who} not answered ${count} calls of this relay yet; call again when some have been answered`;
      throw new RelayError('LIMIT', text, { isForCaller: true });
    }
    const abort = (): void => {
      const reason: unknown = signal?.reason;
      this.#fail(
        open,
        reason instanceof Error ? reason : new RelayError('UNAVAILABLE', `${open.method} was canceled: ${reasonOf(reason)}`),
      );
    };
    const open: Open = {
      ...{ ...call, ref: `${this.#prefix}.${++this.#last}`, isStream, answers: new Map<number, ReceivedAnswer>(), next: 0, isOver: false },
      ...{ epoch: this.#parts.table.epochOf(node), cutOffAt: undefined, failure: undefined, message: undefined },
      ...{ wake: () => undefined, cancelTimer: () => undefined, ignoreSignal: () => signal?.removeEventListener('abort', abort) },
    };
    this.#open.set(open.ref, open);
    this.#perNode.set(node, toNode + 1);
    signal?.addEventListener('abort', abort, { once: true });
    this.#restartTimer(open);
    this.#look();
    return open;
  }

  async #send(open: Open): Promise<void> {
    const { method, params, timeoutMs, as, rights, hasPlainNumbers, ref, node, epoch: start = 0 } = open;
    const payload = writeRequest({
      ...{ method, params, start, timeoutMs, as, rights, hasPlainNumbers },
      credit: open.isStream ? MAX_CREDIT : undefined,
    });
    open.message = await this.#parts.port.submit({
      ...{ target: { type: 'node', id: node }, contentType: REQUEST, payload, isDurable: false, ttlMs: timeoutMs, ref },
    });
    this.#sent.set(open.message, open);
  }

  /** The next answer. */
  async #answer(open: Open): Promise<ReceivedAnswer> {
    for (;;) {
      const answer = open.answers.get(open.next);
      if (answer) {
        open.answers.delete(open.next++);
        open.isOver = answer.isLast;
        if (answer.fault) throw errorOfFault(answer.fault, this.#name(open));
        return answer;
      }
      if (open.failure) throw open.failure;
      await new Promise<void>((resolve) => {
        open.wake = resolve;
      });
    }
  }

  #restartTimer(open: Open): void {
    open.cancelTimer();
    const { timeoutMs, method } = open;
    open.cancelTimer = this.#parts.clock.after(timeoutMs, () => {
      this.#fail(open, new RelayError('TIMEOUT', `${this.#name(open)} did not answer ${method} in ${timeoutMs} ms`));
    });
  }

  #fail(open: Open, failure: Error): void {
    open.failure ??= failure;
    open.wake();
  }

  #end(open: Open): void {
    const { ref, node, message, isOver } = open;
    open.cancelTimer();
    open.ignoreSignal();
    this.#open.delete(ref);
    if (message !== undefined) this.#sent.delete(message);
    const toNode = (this.#perNode.get(node) ?? 1) - 1;
    if (toNode > 0) this.#perNode.set(node, toNode);
    else this.#perNode.delete(node);
    if (this.#open.size === 0) {
      this.#cancelLook?.();
      this.#cancelLook = undefined;
    }
    if (!isOver && message !== undefined) this.#giveUp(open, message);
  }

  /** Nobody waits for what the other side may still do. A node that comes back must not run a request that has failed here. */
  #giveUp(open: Open, message: string): void {
    const { log, port } = this.#parts;
    port.drop(message, 'its caller gave up').catch((error: unknown) => {
      log.debug(`the call of ${open.method} at ${this.#name(open)} was not taken back: ${reasonOf(error)}`);
    });
    this.#sendAbout(open, CANCEL, Buffer.alloc(0));
  }

  #sendCredit(open: Open): void {
    this.#sendAbout(open, CREDIT, writeCredit(open.next + MAX_CREDIT));
  }

  #sendAbout({ node, ref, method }: Open, contentType: string, payload: Buffer): void {
    const { log, port } = this.#parts;
    port.send({ target: { type: 'node', id: node }, contentType, payload, isDurable: false, ref }, (error) => {
      log.debug(`the ${contentType} of a call of ${method} at ${this.#name({ node })} was not sent: ${reasonOf(error)}`);
    });
  }

  /** Looks at the nodes that have to answer, while there are any: a caller should not wait for one that is gone. */
  #look(): void {
    this.#cancelLook ??= this.#parts.clock.after(LOOK_MS, () => {
      this.#cancelLook = undefined;
      const now = this.#parts.clock.now();
      for (const open of this.#open.values()) this.#lookAt(open, now);
      if (this.#open.size > 0) this.#look();
    });
  }

  #lookAt(open: Open, now: number): void {
    const { port, table } = this.#parts;
    if (open.node === table.self) return;
    const epoch = table.epochOf(open.node);
    if (epoch !== undefined && open.epoch !== undefined && epoch !== open.epoch)
      this.#fail(open, this.#gone(open, 'it was restarted; whether it ran the call is not known'));
    else if (table.hasLeft(open.node)) this.#fail(open, this.#gone(open, 'it has left the mesh'));
    else if (port.path(open.node)) open.cutOffAt = undefined;
    else {
      open.cutOffAt ??= now;
      if (now - open.cutOffAt >= GONE_MS) this.#fail(open, this.#gone(open, table.whyNoPath(open.node)));
    }
  }

  #gone(open: Open, reason: string): RelayError {
    return new RelayError('TRANSPORT', `${open.method} of ${this.#name(open)} was not answered: ${reason}`, {
      data: { reason: 'connection' },
    });
  }
}

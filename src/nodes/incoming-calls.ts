/** The calls of other nodes that this node runs: through the dispatcher, as callers with the role `peer`, each once. */
import { RateLimitedLog, RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock, FaultAnswer, Log } from '../core/core.ts';
import type { MeshArrival, MeshPort } from '../mesh/mesh.ts';
import { callerOf } from '../rpc/rpc.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { Sendable, Value } from '../values/values.ts';
import { ANSWER, faultOfError, readCredit, readRequest, writeAnswer } from './call-messages.ts';
import type { NodeAnswer, NodeRequest } from './call-messages.ts';
import type { NodeTable } from './node-table.ts';

/** Runs calls; the dispatcher of the relay. */
export interface NodeCallRunner {
  callFromNode(name: string, params: readonly Value[], caller: Caller, plainNumbers: boolean): Promise<Sendable>;
  streamForNode(name: string, params: readonly Value[], caller: Caller): AsyncIterable<Sendable>;
  faultFor(error: unknown, method: string): FaultAnswer;
}

export interface IncomingParts {
  readonly port: Pick<MeshPort, 'submit'>;
  readonly table: NodeTable;
  readonly runner: NodeCallRunner;
  readonly clock: Clock;
  readonly log: Log;
  /** Counts an answer to a node. */
  readonly count: (node: string, isFault: boolean) => void;
}

/** Which call it is. */
interface Call {
  readonly origin: string;
  readonly ref: string;
  readonly method: string;
}

interface Running extends Omit<Call, 'method'> {
  readonly bytes: number;
  readonly gone: AbortController;
  /** When the node last sent something about this call. */
  heardAt: number;
  /** The number of the first item that must not be sent yet. */
  credit: number;
  /** Continues a stream that waits for credit. */
  wake: () => void;
}

// All bound memory, and let no node use up what others need. A call takes about four times its bytes.
const MAX_RUNNING = 1024;
const MAX_RUNNING_PER_NODE = 256;
const MAX_RUNNING_BYTES = 64 * 1024 * 1024;
// About 1 MB. A mesh delivers no message twice; this is for one that does, and for requests that their own cancellation overtakes.
const MAX_REMEMBERED = 10_000;
/** The reader of a stream says that it is there every 15 seconds. */
const STREAM_SILENCE_MS = 60_000;

export class IncomingCalls {
  readonly #parts: IncomingParts;
  readonly #running = new Map<string, Running>();
  readonly #perNode = new Map<string, number>();
  /** Calls that were here or were canceled, the oldest first. */
  readonly #known = new Set<string>();
  readonly #refused: RateLimitedLog;
  #bytes = 0;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    this.#refused = new RateLimitedLog(parts.log, parts.clock);
  }

  get running(): number {
    return this.#running.size;
  }

  /** Runs a call, and sends the answer. Never rejects. */
  async take({ head: { origin, ref }, payload, ageMs }: MeshArrival): Promise<void> {
    const key = `${origin} ${ref}`;
    if (this.#known.has(key)) return;
    this.#remember(key);
    const refusal = this.#refusal(origin, payload.length);
    if (refusal) {
      this.#refused.warn(`refused a call of ${this.#parts.table.describe(origin)}: ${refusal.message}`);
      this.#parts.count(origin, true);
      const fault = faultOfError(refusal, { code: refusal.fault, text: refusal.message });
      this.#send({ origin, ref, method: 'a call' }, { number: 0, isLast: true, fault });
      return;
    }
    const running: Running = {
      ...{ origin, ref, bytes: payload.length, gone: new AbortController(), heardAt: this.#parts.clock.now() },
      ...{ credit: 0, wake: () => undefined },
    };
    this.#add(key, running);
    try {
      await this.#run(running, payload, ageMs);
    } finally {
      this.#remove(key, running);
    }
  }

  /** Ends a call for which nobody waits any more. One that it has overtaken is not run. */
  cancel({ head: { origin, ref } }: MeshArrival): void {
    const key = `${origin} ${ref}`;
    const running = this.#running.get(key);
    if (running) abandon(running);
    else this.#remember(key);
  }

  /** Lets a stream go on. */
  async credit({ head: { origin, ref }, payload }: MeshArrival): Promise<void> {
    const running = this.#running.get(`${origin} ${ref}`);
    if (!running) return;
    const credit = await readCredit(payload);
    running.heardAt = this.#parts.clock.now();
    // They may overtake each other.
    running.credit = Math.max(running.credit, credit);
    running.wake();
  }

  /** Ends all calls, as the relay stops. */
  stop(): void {
    for (const running of this.#running.values()) abandon(running);
  }

  #refusal(origin: string, bytes: number): RelayError | undefined {
    const ofNode = this.#perNode.get(origin) ?? 0;
    if (ofNode >= MAX_RUNNING_PER_NODE || this.#running.size >= MAX_RUNNING)
      return new RelayError(
        'LIMIT',
        `too many calls of other nodes run here (${this.#running.size}, ${ofNode} of this node); call again later`,
        {
          isForCaller: true,
        },
      );
    if (this.#bytes + bytes > MAX_RUNNING_BYTES)
      return new RelayError('LIMIT', `the calls of other nodes that run here take ${this.#bytes} bytes; call again later`, {
        isForCaller: true,
      });
    return undefined;
  }

  async #run(running: Running, payload: Buffer, ageMs: number): Promise<void> {
    const { origin, gone } = running;
    const { table, log, runner, count } = this.#parts;
    let [method, number] = ['a request', 0];
    let cancelTimer = (): void => undefined;
    try {
      const request = await readRequest(payload);
      ({ method } = request);
      this.#requireStart(request);
      const caller = this.#callerOf(running, request);
      log.debug(`${table.describe(origin)} calls ${clean(method, 100)}${request.as === '' ? '' : ` for ${request.as}`}`);
      cancelTimer = this.#limitTime(running, request, ageMs);
      if (request.credit === undefined) {
        const value = await runner.callFromNode(method, request.params, caller, request.hasPlainNumbers);
        await this.#answer(running, { number, isLast: true, value }, method);
      } else {
        running.credit = request.credit;
        for await (const value of runner.streamForNode(method, request.params, caller)) {
          await this.#mayAnswer(running, number);
          if (gone.signal.aborted) return;
          await this.#answer(running, { number, isLast: false, value }, method);
          number++;
        }
        await this.#answer(running, { number, isLast: true }, method);
      }
      count(origin, false);
    } catch (error) {
      const fault = faultOfError(error, runner.faultFor(error, method));
      count(origin, true);
      if (!gone.signal.aborted) this.#send({ ...running, method }, { number, isLast: true, fault });
    } finally {
      cancelTimer();
    }
  }

  /** Messages in memory are recognized as repeated by one start of this node only. Throws a RelayError UNAVAILABLE. */
  #requireStart({ start }: NodeRequest): void {
    const { table } = this.#parts;
    if (start === (table.epochOf(table.self) ?? 0)) return;
    throw new RelayError('UNAVAILABLE', 'the relay was restarted since the call was made, and has not run it', { isForCaller: true });
  }

  #callerOf({ origin, gone }: Running, { as, rights, exactOf }: NodeRequest): Caller {
    const node = { id: origin, nick: this.#parts.table.nickOf(origin), as, classes: rights };
    // The id takes the place of an address: rate limits count by it, and it is nobody's host_id.
    const principal = {
      role: { kind: 'peer', node },
      address: origin,
      port: 0,
      isDirect: false,
      isPeer: false,
      gone: gone.signal,
    } as const;
    return callerOf(principal, () => undefined, exactOf);
  }

  /** Ends the call when nobody can wait for its answer any more; returns the function that stops counting. */
  #limitTime(running: Running, { timeoutMs, credit }: NodeRequest, ageMs: number): () => void {
    const { clock } = this.#parts;
    if (credit === undefined)
      return clock.after(Math.max(0, timeoutMs - ageMs), () => {
        abandon(running);
      });
    let cancel = (): void => undefined;
    const look = (): void => {
      const silentMs = clock.now() - running.heardAt;
      if (silentMs >= STREAM_SILENCE_MS) abandon(running);
      else cancel = clock.after(STREAM_SILENCE_MS - silentMs, look);
    };
    look();
    return () => {
      cancel();
    };
  }

  /** Resolves when an item may be sent, or the reader is gone. */
  async #mayAnswer(running: Running, number: number): Promise<void> {
    const { signal } = running.gone;
    while (number >= running.credit && !signal.aborted) {
      await new Promise<void>((resolve) => {
        running.wake = resolve;
      });
    }
  }

  async #answer(running: Running, answer: NodeAnswer, method: string): Promise<void> {
    // Written first: what cannot be written is answered as a fault.
    const payload = await writeAnswer(answer, method);
    if (!running.gone.signal.aborted) await this.#submit(running, payload);
  }

  #send(call: Call, answer: NodeAnswer): void {
    const { log, table } = this.#parts;
    void (async () => {
      await this.#submit(call, await writeAnswer(answer, call.method));
    })().catch((error: unknown) => {
      log.warn(`the answer to ${clean(call.method, 100)} of ${table.describe(call.origin)} was not sent: ${reasonOf(error)}`);
    });
  }

  async #submit({ origin, ref }: Omit<Call, 'method'>, payload: Buffer): Promise<void> {
    await this.#parts.port.submit({ target: { type: 'node', id: origin }, contentType: ANSWER, payload, isDurable: false, ref });
  }

  #remember(key: string): void {
    this.#known.add(key);
    if (this.#known.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      return;
    }
  }

  #add(key: string, running: Running): void {
    this.#running.set(key, running);
    this.#bytes += running.bytes;
    this.#perNode.set(running.origin, (this.#perNode.get(running.origin) ?? 0) + 1);
  }

  #remove(key: string, { bytes, origin }: Running): void {
    this.#running.delete(key);
    this.#bytes -= bytes;
    const ofNode = (this.#perNode.get(origin) ?? 1) - 1;
    if (ofNode > 0) this.#perNode.set(origin, ofNode);
    else this.#perNode.delete(origin);
  }
}

/** Nobody waits for the rest. */
function abandon({ gone, wake }: Running): void {
  gone.abort();
  wake();
}

/** A fake relay for the checked program: the real endpoint and methods for programs, which only record the calls that arrive. */
import { randomBytes } from 'node:crypto';
import { ProgramServer } from '../http/http.ts';
import { RelayError, SILENT, clean, faultFor, resultOf } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { ItemStream } from '../plugin-host/programs/internal.ts';
import type { ItemBatch, PollTransport } from '../plugin-host/programs/internal.ts';
import { MethodRegistry, addIntrospection, callerOf } from '../rpc/rpc.ts';
import { addProgramMethods } from '../relay/relay.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { ProgramPort } from '../relay/relay.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** A process of the program that may call. */
export interface KnownProcess {
  /** Distinguishes the processes of one program. */
  readonly id: string;
  /** SHA-256 of its token, hex. */
  readonly sha256: string;
  /** How values are written for it. Undefined: as they came. */
  readonly send?: WriteOptions | undefined;
  /** Returns undefined for a process that has a server. */
  readonly poll: () => PollTransport | undefined;
}

/** A call that a program made, and its outcome. */
export interface SeenCall {
  readonly method: string;
  /** The call abbreviated, `relay.relay({"data":"pong"})`, safe for a terminal. */
  readonly text: string;
  readonly fault?: { readonly code: number; readonly text: string } | undefined;
}

/** A stream to which the program pushes. */
export interface PushedStream {
  push(batch: ItemBatch): Promise<boolean>;
}

/** The calls of one process. */
export interface SeenCalls {
  /** The first 50 calls, except those of `plugin.next` and `plugin.answer` that succeeded. */
  readonly calls: SeenCall[];
  /** The number of such calls, including those that are not kept. */
  count: number;
  /** How often it asked for a call. */
  fetches: number;
  /** How often it was answered that there is none. */
  empties: number;
}

const MAX_KEPT = 50;
const MAX_BODY_BYTES = 32 * 1024 * 1024;
// The default of a relay.
const REQUEST_TIMEOUT_MS = 30_000;
/** A relay answers after `waitMs` that there is no call; this one does so after a second at most, so that the check takes less time. */
export const MAX_WAIT_MS = 1_000;
const POLLING: ReadonlySet<string> = new Set(['plugin.next', 'plugin.answer', 'plugin.answer_fault']);

/** The fake relay. */
export class FakeRelay {
  readonly #known = new Map<string, KnownProcess>();
  readonly #seen = new Map<string, SeenCalls>();
  #tokens: readonly { readonly name: string; readonly sha256: string; readonly send?: WriteOptions | undefined }[] = [];
  readonly #registry = new MethodRegistry();
  readonly #server: ProgramServer;
  readonly #streams = new Map<string, PushedStream>();
  readonly #closed = new Set<string>();
  /** Pushes to streams that were closed, which were answered with false. */
  refusedPushes = 0;
  /** The id of a stream to which it pushed, although it is none of its own; undefined if it never did. */
  strayPushes: string | undefined;
  readonly #onCall: (call: SeenCall) => void;

  /** `onCall` is called for every call of a program. */
  constructor(onCall: (call: SeenCall) => void) {
    this.#onCall = onCall;
    this.#register();
    this.#server = new ProgramServer({
      dispatcher: {
        count: () => undefined,
        faultFor: (error, method) => faultFor(error, method, SILENT),
        callAtOnce: (name, params, caller) => this.#call(name, params, caller),
      },
      tokens: () => this.#tokens,
      maxBodyBytes: MAX_BODY_BYTES,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
  }

  /** The URL that programs call, without a credential. */
  get url(): string {
    return this.#server.url ?? '';
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** A stream to which a program may push, until it is closed. */
  openStream(): ItemStream {
    const stream = new ItemStream();
    this.#streams.set(stream.id, stream);
    return stream;
  }

  closeStream(stream: ItemStream): void {
    this.#streams.delete(stream.id);
    this.#closed.add(stream.id);
    stream.close();
  }

  /** Accepts calls of this process from now on. */
  add(known: KnownProcess): void {
    this.#known.set(known.id, known);
    this.#seen.set(known.id, { calls: [], count: 0, fetches: 0, empties: 0 });
    this.#updateTokens();
  }

  /** Rejects calls of this process from now on; its past calls are kept. */
  remove(id: string): void {
    this.#known.delete(id);
    this.#updateTokens();
  }

  /** The calls of this process. */
  seen(id: string): SeenCalls {
    const seen = this.#seen.get(id);
    if (seen) return seen;
    throw new Error(`there is no process ${id}`);
  }

  /** Opens a stream; returns its id. */
  open(stream: PushedStream): string {
    const id = randomBytes(12).toString('hex');
    this.#streams.set(id, stream);
    return id;
  }

  /** The id of a stream; `''` if it is not open. */
  idOf(stream: PushedStream): string {
    return [...this.#streams].find(([, one]) => one === stream)?.[0] ?? '';
  }

  #updateTokens(): void {
    this.#tokens = [...this.#known.values()].map(({ id: name, sha256, send }) => ({ name, sha256, send }));
  }

  #register(): void {
    addIntrospection(this.#registry);
    addProgramMethods(this.#registry, this.#port, {
      callAs: (id, name, params) => this.#call(name, params, callerAt(id)),
      callNode: ({ node }) => Promise.reject(new RelayError('NOT_FOUND', `no node is named '${clean(node, 100)}'; this is a test`)),
    });
    this.#registry.add({
      name: 'relay.relay',
      access: 'message',
      help: 'Accepts a dict with the member data.',
      signatures: [
        ['boolean', 'struct'],
        ['string', 'struct', 'struct'],
      ],
      invoke: ([dict, options, ...more]) => {
        if (!isDict(dict) || dict.data === undefined || (options !== undefined && !isDict(options)) || more.length > 0)
          throw new RelayError('INVALID_PARAMS', 'relay.relay takes a dict with the member data, and a struct of options');
        return options === undefined ? true : 'check.1';
      },
    });
  }

  readonly #port: ProgramPort = {
    nextCall: async (id, waitMs, gone) => {
      const seen = this.seen(id);
      seen.fetches++;
      const call = await this.#pollOf(id).next(Math.min(waitMs, MAX_WAIT_MS), gone);
      if (!call) seen.empties++;
      return call;
    },
    answerCall: (id, call, answer) => {
      this.#pollOf(id).answer(call, answer);
    },
    programLog: () => undefined,
    pushItems: async (_program, id, batch) => {
      const stream = this.#streams.get(id);
      if (stream) return stream.push(batch);
      if (this.#closed.has(id)) this.refusedPushes++;
      else this.strayPushes ??= id;
      return false;
    },
  };

  #pollOf(id: string): PollTransport {
    const poll = this.#known.get(id)?.poll();
    if (poll) return poll;
    throw new RelayError('INVALID_PARAMS', 'its first line says that it has a server, so it is called there');
  }

  async #call(method: string, params: readonly Value[], caller: Caller): Promise<Sendable> {
    try {
      const answer = await resultOf(await this.#registry.find(method).invoke(params, caller));
      this.#write(caller, { method, text: textOf(method, params) });
      return answer ?? true;
    } catch (error) {
      this.#write(caller, { method, text: textOf(method, params), fault: faultFor(error, method, SILENT) });
      throw error;
    }
  }

  #write({ role }: Caller, call: SeenCall): void {
    this.#onCall(call);
    const seen = role.kind === 'plugin' ? this.#seen.get(role.name) : undefined;
    if (!seen || (POLLING.has(call.method) && !call.fault)) return;
    seen.count++;
    if (seen.calls.length < MAX_KEPT) seen.calls.push(call);
  }
}

function callerAt(id: string): Caller {
  return callerOf(
    { role: { kind: 'plugin', name: id }, address: '127.0.0.1', port: 0, isDirect: true, isPeer: false },
    () => undefined,
    () => undefined,
  );
}

function textOf(method: string, params: readonly Value[]): string {
  const text = JSON.stringify(params, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  return clean(`${method}(${text.slice(1, -1)})`, 120);
}

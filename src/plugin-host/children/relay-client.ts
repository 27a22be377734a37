/** The client by which a child calls the relay and sends its log lines, over the pipe by which the relay calls it. */
import { format } from 'node:util';
import { errorFromFault } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { parseResponse, serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import { FIRST_CHILD_CALL, callNumbers } from '../pipe/pipe.ts';

// Few enough calls at a time not to burden the relay. Further ones wait here.
const MAX_CALLS = 64;
// The answer to a push is the permission for the next one of its stream, for which a slow reader lets it wait. Other calls must not wait
// for that. Both together are fewer than what the relay accepts of one child.
const PUSH = 'relay.push_items';
const MAX_PUSHES = 1_500;
const LAST_NUMBER = 0xffff_ffff;

/** Calls of one kind: how many are on their way, and those that wait. */
interface Lane {
  readonly max: number;
  running: number;
  readonly waiting: (() => void)[];
}

interface Call {
  readonly lane: Lane;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

export class RelayClient {
  readonly #send: (id: number, document: Buffer) => void;
  readonly #calls = new Map<number, Call>();
  readonly #nextId = callNumbers(FIRST_CHILD_CALL, LAST_NUMBER, (id) => this.#calls.has(id));
  readonly #plain: Lane = { max: MAX_CALLS, running: 0, waiting: [] };
  readonly #pushes: Lane = { max: MAX_PUSHES, running: 0, waiting: [] };

  /** `send` sends a document to the relay. */
  constructor(send: (id: number, document: Buffer) => void) {
    this.#send = send;
  }

  /**
   * Calls a method. Rejects with the RelayError or Fault that the relay returns ({@link errorFromFault}). A child that has lost its relay
   * ends, so no call outlives it.
   */
  call(method: string, params: readonly Sendable[]): Promise<Value> {
    return new Promise((resolve, reject) => {
      const document = serialiseCall(method, params, { nil: true, i8: true });
      const lane = method === PUSH ? this.#pushes : this.#plain;
      const begin = (): void => {
        lane.running++;
        const id = this.#nextId();
        this.#calls.set(id, { lane, resolve, reject });
        this.#send(id, document);
      };
      if (lane.running < lane.max) begin();
      else lane.waiting.push(begin);
    });
  }

  /** Takes the answer to a call. */
  answered(id: number, document: Buffer): void {
    const call = this.#calls.get(id);
    if (call && this.#calls.delete(id)) {
      call.lane.running--;
      call.lane.waiting.shift()?.();
    }
    try {
      const answer = parseResponse(document, { limits: { maxBodyBytes: Infinity } });
      if (answer.kind === 'fault') throw errorFromFault(answer.code, answer.text);
      call?.resolve(answer.value);
    } catch (error) {
      call?.reject(error);
    }
  }
}

type Level = 'debug' | 'info' | 'warn' | 'error';

// The maximum number of queued log lines. It protects the memory of a child that logs too fast.
const MAX_WAITING = 1_000;
// In characters. Stack traces are shorter.
const MAX_LINE = 8_000;

export class RelayLog implements Log {
  readonly #waiting: (readonly [Level, string])[] = [];
  #dropped = 0;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly client: Pick<RelayClient, 'call'>,
    private readonly isDebug: boolean,
  ) {}

  debug(text: string, ...more: unknown[]): void {
    if (this.isDebug) this.#queue('debug', text, more);
  }

  info(text: string, ...more: unknown[]): void {
    this.#queue('info', text, more);
  }

  warn(text: string, ...more: unknown[]): void {
    this.#queue('warn', text, more);
  }

  error(text: string, ...more: unknown[]): void {
    this.#queue('error', text, more);
  }

  isDebugEnabled(): boolean {
    return this.isDebug;
  }

  isInfoEnabled(): boolean {
    return true;
  }

  /** Resolves when the lines written so far have been delivered or have failed. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  #queue(level: Level, text: string, more: readonly unknown[]): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push([level, (more.length === 0 ? text : format(text, ...more)).slice(0, MAX_LINE)]);
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      // An unreachable relay cannot receive a report of the failure either.
      await this.client.call('relay.log', line).catch(() => undefined);
      if (this.#waiting.length === 0 && this.#dropped > 0) {
        this.#waiting.push(['warn', `dropped ${this.#dropped} lines that came faster than the relay took them`]);
        this.#dropped = 0;
      }
    }
    this.#sending = undefined;
  }
}

/** Calls a child over the pipe that it inherited from the relay, and answers the calls that the child makes over it. */
import type { Duplex } from 'node:stream';
import { RelayError, isPromise } from '../../core/core.ts';
import type { Clock, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { serialiseFault } from '../../xmlrpc/xmlrpc.ts';
import { FIRST_CHILD_CALL, Pipe, callNumbers } from '../pipe/pipe.ts';
import { MAX_CALLS, ResponseParser, namedError, notAnswered, notRunning, pingOver, tooManyCalls } from './transport.ts';
import type { ProgramRequest, ProgramTransport, ResponseValue, TransportOptions } from './transport.ts';

export interface PipeTransportOptions extends TransportOptions {
  /** Called once if the pipe breaks before it is closed: the child can never be called again. */
  readonly onBroken: (reason: string) => void;
  /** Answers a call of the child, a document, by another one; never rejects. Default: the child makes no calls. */
  readonly answer?: AnswerChild | undefined;
}

/** Answers a call of a child, a document, by another one. `gone` is aborted when the child has ended. Never throws or rejects. */
export type AnswerChild = (document: Buffer, gone: AbortSignal) => MaybePromise<Buffer>;

interface Call {
  readonly resolve: (response: MaybePromise<ResponseValue>) => void;
  readonly reject: (error: Error) => void;
}

// A child has fewer calls on their way. Protects the memory of the relay from one that does not read the answers.
const MAX_CHILD_CALLS = 2 * MAX_CALLS;

export class PipeTransport implements ProgramTransport {
  readonly #plugin: string;
  readonly #clock: Clock;
  readonly #writing: WriteOptions | undefined;
  readonly #parser: ResponseParser;
  readonly #pipe: Pipe;
  readonly #calls = new Map<number, Call>();
  readonly #answer: AnswerChild | undefined;
  readonly #nextId = callNumbers(1, FIRST_CHILD_CALL - 1, (id) => this.#calls.has(id));
  /** Calls of the child that are not answered yet. */
  #answering = 0;
  readonly #gone = new AbortController();
  #ended: RelayError | undefined;

  /** `socket` is the relay's end of the pipe. */
  constructor(plugin: string, socket: Duplex, { clock, writing, onBroken, answer, ...reading }: PipeTransportOptions) {
    this.#plugin = plugin;
    this.#clock = clock;
    this.#writing = writing;
    this.#answer = answer;
    this.#parser = new ResponseParser(plugin, reading);
    this.#pipe = new Pipe(socket, {
      maxDocumentBytes: this.#parser.maxBodyBytes,
      isWanted: (id) => id >= FIRST_CHILD_CALL || this.#calls.has(id),
      onDocument: (id, document) => {
        if (id >= FIRST_CHILD_CALL) this.#called(id, document);
        else this.#answered(id, document);
      },
      onTooLarge: (id) => {
        this.#tooLarge(id);
      },
      onEnd: (reason) => {
        this.#end(namedError(plugin, reason));
        onBroken(reason.message);
      },
    });
  }

  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return (await this.#call(request, timeoutMs)).value;
  }

  async sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    return (await this.#call(request, timeoutMs)).exact();
  }

  ping(timeoutMs: number): Promise<void> {
    return pingOver(this, timeoutMs);
  }

  close(): Promise<void> {
    this.#pipe.close();
    this.#end(notRunning(this.#plugin));
    return Promise.resolve();
  }

  #call({ method, body }: ProgramRequest, timeoutMs: number): Promise<ResponseValue> {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      if (this.#calls.size >= MAX_CALLS) throw tooManyCalls(this.#plugin);
      const document = body(this.#writing);
      const id = this.#nextId();
      const finish = (): void => {
        cancelTimer();
        this.#calls.delete(id);
      };
      const cancelTimer = this.#clock.after(timeoutMs, () => {
        this.#pipe.withdraw(id);
        this.#calls.get(id)?.reject(notAnswered(method, timeoutMs));
      });
      this.#calls.set(id, {
        resolve: (response) => {
          finish();
          resolve(response);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      });
      this.#pipe.send(id, document);
    });
  }

  #called(id: number, document: Buffer): void {
    if (!this.#answer) return;
    if (this.#answering + this.#pipe.waiting >= MAX_CHILD_CALLS) {
      this.#pipe.fail(`it makes more than ${MAX_CHILD_CALLS} calls at a time`);
      return;
    }
    const answer = this.#answer(document, this.#gone.signal);
    if (!isPromise(answer)) {
      this.#pipe.send(id, answer);
      return;
    }
    this.#answering++;
    void answer.then((bytes) => {
      this.#answering--;
      this.#pipe.send(id, bytes);
    });
  }

  #tooLarge(id: number): void {
    const { maxBodyBytes } = this.#parser;
    if (id >= FIRST_CHILD_CALL) {
      const { fault, message } = new RelayError('LIMIT', `the call is larger than ${maxBodyBytes} bytes (maxBodyBytes)`);
      this.#pipe.send(id, serialiseFault(fault, message));
    } else this.#calls.get(id)?.reject(new RelayError('TRANSPORT', `${this.#plugin}: its response is larger than ${maxBodyBytes} bytes`));
  }

  /** Ignores the answer to a call that has timed out. */
  #answered(id: number, document: Buffer): void {
    const call = this.#calls.get(id);
    if (!call) return;
    try {
      call.resolve(this.#parser.parse(document));
    } catch (error) {
      call.reject(error as Error);
    }
  }

  #end(reason: RelayError): void {
    this.#ended ??= reason;
    this.#gone.abort();
    for (const call of [...this.#calls.values()]) call.reject(reason);
  }
}

/** Calls a child over the pipe that it inherited from the relay. */
import type { Duplex } from 'node:stream';
import { RelayError } from '../../core/core.ts';
import type { Clock, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { Pipe } from '../pipe/pipe.ts';
import { MAX_CALLS, ResponseParser, namedError, notAnswered, notRunning, pingOver, tooManyCalls } from './transport.ts';
import type { ProgramRequest, ProgramTransport, ResponseValue, TransportOptions } from './transport.ts';

export interface PipeTransportOptions extends TransportOptions {
  /** Called once if the pipe breaks before it is closed: the child can never be called again. */
  readonly onBroken: (reason: string) => void;
}

interface Call {
  readonly resolve: (response: MaybePromise<ResponseValue>) => void;
  readonly reject: (error: Error) => void;
}

const MAX_ID = 0xffff_ffff;

export class PipeTransport implements ProgramTransport {
  readonly #plugin: string;
  readonly #clock: Clock;
  readonly #writing: WriteOptions | undefined;
  readonly #parser: ResponseParser;
  readonly #pipe: Pipe;
  readonly #calls = new Map<number, Call>();
  #lastId = 0;
  #ended: RelayError | undefined;

  /** `socket` is the relay's end of the pipe. */
  constructor(plugin: string, socket: Duplex, { clock, writing, onBroken, ...reading }: PipeTransportOptions) {
    this.#plugin = plugin;
    this.#clock = clock;
    this.#writing = writing;
    this.#parser = new ResponseParser(plugin, reading);
    this.#pipe = new Pipe(socket, {
      maxDocumentBytes: this.#parser.maxBodyBytes,
      isWanted: (id) => this.#calls.has(id),
      onDocument: (id, document) => {
        this.#answered(id, document);
      },
      onTooLarge: (id) => {
        const reason = `${plugin}: its response is larger than ${this.#parser.maxBodyBytes} bytes`;
        this.#calls.get(id)?.reject(new RelayError('TRANSPORT', reason));
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
    for (const call of [...this.#calls.values()]) call.reject(reason);
  }

  /** The answer to a call that has timed out may arrive later, so its id is not used again soon. */
  #nextId(): number {
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1;
    while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }
}

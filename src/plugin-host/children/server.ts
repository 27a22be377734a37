/** A child's end of the pipe: answers the calls of the relay, and calls the relay. The answer to a synchronous method is sent at once. */
import { Socket } from 'node:net';
import { Fault, RelayError, THROWN } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { answerCall } from '../../rpc/exchange.ts';
import type { RpcEndpoint } from '../../rpc/exchange.ts';
import { parseCall } from '../../xmlrpc/xmlrpc.ts';
import { FIRST_CHILD_CALL, PIPE_FD, Pipe } from '../pipe/pipe.ts';
import { RelayClient } from './relay-client.ts';

/** A method that the relay calls. A result of `undefined` is sent as true. */
export type ChildMethod = (params: readonly Value[]) => MaybePromise<Sendable | undefined>;

export interface ChildServerParts {
  /** The method of this name. */
  readonly find: (name: string) => ChildMethod | undefined;
  /** The reason why a method threw. */
  readonly explain: (thrown: unknown) => string;
  /** Called once when the relay has gone, or the pipe broke. */
  readonly onEnd: (reason: string) => void;
}

export class ChildServer {
  readonly #pipe: Pipe;
  readonly #endpoint: RpcEndpoint<undefined>;
  /** Calls the relay. */
  readonly relay = new RelayClient((id, document) => {
    this.#pipe.send(id, document);
  });
  #afterNext: (() => void) | undefined;

  /** Serves from now on. */
  constructor(parts: ChildServerParts) {
    this.#endpoint = endpointOf(parts);
    this.#pipe = new Pipe(new Socket({ fd: PIPE_FD }), {
      onDocument: (id, document) => {
        if (id >= FIRST_CHILD_CALL) this.relay.answered(id, document);
        else
          void answerCall(this.#endpoint, document, undefined).then((answer) => {
            this.#send(id, answer);
          });
      },
      onEnd: ({ message }) => {
        parts.onEnd(message);
      },
    });
  }

  /** Calls `then` when the next response, and all before it, have been sent. No later call is answered. */
  onceSent(then: () => void): void {
    this.#afterNext = then;
  }

  #send(id: number, answer: Buffer): void {
    this.#pipe.send(id, answer);
    if (this.#afterNext) this.#pipe.finish(this.#afterNext);
    this.#afterNext = undefined;
  }
}

function endpointOf({ find, explain }: ChildServerParts): RpcEndpoint<undefined> {
  return {
    // The relay wrote the call and has already applied its own limits.
    parse: (body) => parseCall(body as Buffer, { limits: { maxBodyBytes: (body as Buffer).length } }),
    invoke: ({ methodName, params }) => {
      const method = find(methodName);
      if (!method) throw new RelayError('NO_SUCH_METHOD', `no method is named '${methodName}' here`);
      return method(params);
    },
    writing: ({ extensions }) => ({ nil: true, i8: true, wideInts: extensions.i8 }),
    // Only the relay reads this fault; it logs the fault and decides what the caller sees.
    faultFor: (error) => {
      if (Fault.is(error)) return { code: error.code, text: error.message };
      return RelayError.is(error) ? { code: error.fault, text: error.message } : { code: THROWN, text: explain(error) };
    },
  };
}

/** The endpoint for custom transports of relay plugins: documents of a peer, handled like its `notify` over HTTP. */
import type { Principal } from '../access/access.ts';
import { RelayError, SerialQueue, clean } from '../core/core.ts';
import type { Receive } from '../plugin/plugin.ts';
import { answerCall, callerOf } from '../rpc/rpc.ts';
import type { Dispatcher, RpcEndpoint } from '../rpc/rpc.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { parseCallInSlices, serialiseFault } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../xmlrpc/xmlrpc.ts';

/** A peer that is not reached over HTTP. */
export interface CustomPeer {
  /** The address and port in its host_id; canonical. */
  readonly address: string;
  readonly port: number;
  /** True if it may send doubles that are not finite. */
  readonly nonFinite: boolean;
}

/** What is known about one document. */
interface Received {
  readonly principal: Principal;
  readonly nonFinite: boolean;
}

// A relay sends one document at a time; a transport that had to wait may pass several.
const MAX_WAITING = 16;
// So many bytes of documents may wait even if `maxBodyBytes` is smaller.
const MIN_WAITING_BYTES = 64 * 1024;

/** The endpoint of all custom transports. */
export class CustomEndpoint {
  readonly #endpoint: RpcEndpoint<Received>;
  readonly #maxWaitingBytes: number;
  /** One per peer. */
  readonly #queues: SerialQueue[] = [];
  #isOpen = false;

  /** `maxBodyBytes` is the limit for one document. */
  constructor(dispatcher: Dispatcher, maxBodyBytes: number) {
    this.#endpoint = endpointOf(dispatcher, maxBodyBytes);
    this.#maxWaitingBytes = Math.max(MIN_WAITING_BYTES, maxBodyBytes);
  }

  /** Accepts documents from now on; until then they are answered with fault 503. */
  open(): void {
    this.#isOpen = true;
  }

  /** Accepts no more documents, and waits for those that are being processed. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    await Promise.all(this.#queues.map((queue) => queue.idle()));
  }

  /** The function to which a transport passes the documents of this peer. They are answered one after another, in order. */
  receiver({ address, port, nonFinite }: CustomPeer): Receive {
    const received: Received = { principal: { role: { kind: 'peer' }, address, port, isDirect: true, isPeer: true }, nonFinite };
    const queue = new SerialQueue();
    this.#queues.push(queue);
    let waitingBytes = 0;
    return async (document) => {
      if (!this.#isOpen) return this.#unavailable('the relay is starting or stopping; call again in a moment');
      // A transport is a plugin: it may pass anything.
      const bytes = ArrayBuffer.isView(document) ? document.byteLength : 0;
      const waiting = queue.length - 1;
      if (waiting > 0 && waitingBytes + bytes > this.#maxWaitingBytes)
        return this.#unavailable(`documents of ${waitingBytes} bytes are already waiting; send it again later`);
      if (waiting >= MAX_WAITING) return this.#unavailable(`${MAX_WAITING} documents are already waiting; send one at a time`);
      waitingBytes += bytes;
      return queue.run(() => {
        waitingBytes -= bytes;
        return answerCall(this.#endpoint, document, received);
      });
    };
  }

  #unavailable(text: string): Uint8Array {
    return serialiseFault(new RelayError('UNAVAILABLE', text).fault, text);
  }
}

function endpointOf(dispatcher: Dispatcher, maxBodyBytes: number): RpcEndpoint<Received> {
  return {
    admit: ({ principal }) => {
      dispatcher.requireAllowance(principal);
    },
    parse: (document, { nonFinite }) => {
      if (!(document instanceof Uint8Array)) throw new RelayError('INVALID_REQUEST', 'a transport passes documents as bytes');
      return parseCallInSlices(document, { limits: { maxBodyBytes }, allowNonFinite: nonFinite });
    },
    chargeUnreadable: ({ principal }) => {
      dispatcher.count(principal);
    },
    invoke: (call, { principal }) => {
      const { methodName, params } = call;
      if (methodName === 'notify' || isBatch(call))
        return dispatcher.call(
          methodName,
          params,
          callerOf(principal, (dict) => call.sourceOf(dict), call.exactOf),
        );
      dispatcher.count(principal);
      throw new RelayError('NO_SUCH_METHOD', `a transport carries notify, or system.multicall of notify, not '${clean(methodName, 100)}'`);
    },
    writing: ({ extensions }) => extensions,
    faultFor: (error, method) => dispatcher.faultFor(error, method),
  };
}

/** True for `system.multicall` with calls of notify alone, or with none, by which a relay asks whether the method exists. */
function isBatch({ methodName, params }: Pick<ParsedCall, 'methodName' | 'params'>): boolean {
  const [list] = params;
  if (methodName !== 'system.multicall' || params.length !== 1 || !Array.isArray(list)) return false;
  return list.every((call: Value) => isDict(call) && call.methodName === 'notify');
}

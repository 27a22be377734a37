/**
 * One XML-RPC exchange: the bytes of a request become the bytes of its answer. Every XML-RPC endpoint of the relay and of its children goes
 * through here.
 */
import { andThen, isPromise } from '../core/core.ts';
import type { FaultAnswer, MaybePromise } from '../core/core.ts';
import type { Sendable } from '../values/values.ts';
import { serialiseFault, serialiseResponse, serialiseResponseInTurns } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall, WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** What is particular to an endpoint; made once. `Request` is whatever the endpoint knows of one request. */
export interface RpcEndpoint<Request> {
  /** Refuses a request before it is read, by throwing. Default: none is refused. */
  readonly admit?: (request: Request) => void;
  /** Reads the call. Throws RelayErrors. */
  readonly parse: (body: unknown, request: Request) => MaybePromise<ParsedCall>;
  /** Charges a request that could not be read. It may throw the RelayError that is answered instead. Default: it costs nothing. */
  readonly chargeUnreadable?: (request: Request) => void;
  /** Runs the call; `undefined` is answered as `true`. Throws whatever {@link faultFor} understands. */
  readonly invoke: (call: ParsedCall, request: Request) => MaybePromise<Sendable | undefined>;
  /** The extensions of XML-RPC that the answer may use. */
  readonly writing: (call: ParsedCall, request: Request) => WriteOptions;
  /** The fault for what was thrown. `method` is 'a request' if the call could not be read. */
  readonly faultFor: (error: unknown, method: string, request: Request) => FaultAnswer;
  /** The result that is answered in place of a fault; undefined, and without it, the fault is. */
  readonly resultForFault?: (call: ParsedCall, fault: FaultAnswer) => Sendable | undefined;
}

/** The answer of `endpoint` to `body`: a response or a fault. Never rejects. */
export async function answerCall<Request>(endpoint: RpcEndpoint<Request>, body: unknown, request: Request): Promise<Buffer> {
  return answerAtOnce(endpoint, body, request);
}

/** Like {@link answerCall}, but without a promise if nothing has to be awaited: a promise costs as much as a small call. */
export function answerAtOnce<Request>(endpoint: RpcEndpoint<Request>, body: unknown, request: Request): MaybePromise<Buffer> {
  let call: ParsedCall | undefined;
  const fault = (error: unknown): Buffer => faultAnswer(endpoint, call, error, request);
  try {
    endpoint.admit?.(request);
    const answer = andThen(parse(endpoint, body, request), (parsed) => {
      call = parsed;
      return andThen(endpoint.invoke(parsed, request), (result) =>
        serialiseResponseInTurns(result === undefined ? true : result, endpoint.writing(parsed, request)),
      );
    });
    return isPromise(answer) ? answer.then(undefined, fault) : answer;
  } catch (error) {
    return fault(error);
  }
}

function faultAnswer<Request>(endpoint: RpcEndpoint<Request>, call: ParsedCall | undefined, error: unknown, request: Request): Buffer {
  const fault = endpoint.faultFor(error, call?.methodName ?? 'a request', request);
  const result = call && endpoint.resultForFault?.(call, fault);
  return result === undefined || call === undefined
    ? serialiseFault(fault.code, fault.text)
    : serialiseResponse(result, endpoint.writing(call, request));
}

function parse<Request>(endpoint: RpcEndpoint<Request>, body: unknown, request: Request): MaybePromise<ParsedCall> {
  const fail = (error: unknown): never => {
    endpoint.chargeUnreadable?.(request);
    throw error;
  };
  try {
    const call = endpoint.parse(body, request);
    return isPromise(call) ? call.then(undefined, fail) : call;
  } catch (error) {
    return fail(error);
  }
}

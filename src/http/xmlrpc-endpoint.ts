/** XML-RPC on `POST /RPC2` and `POST /`: parses the call, calls the method, and writes the response or fault. */
import type { FastifyReply } from 'fastify';
import { RelayError } from '../core/core.ts';
import type { Sendable } from '../values/values.ts';
import { callerOf } from '../relay/relay.ts';
import type { Caller, Relay } from '../relay/relay.ts';
import type { FaultAnswer } from '../core/core.ts';
import { serialiseFault, serialiseResponse, serialiseResponseInTurns } from '../xmlrpc/xmlrpc.ts';
import type { Extensions, ParsedCall } from '../xmlrpc/xmlrpc.ts';
import type { Exchange, CallOutcome, XmlCalls } from './endpoint.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { XmlType } from './media-type.ts';
import { writingFor } from './reads.ts';

export interface XmlRpcEndpointParts {
  readonly relay: Pick<Relay, 'acceptsNonFinite' | 'call' | 'count' | 'faultFor'>;
  readonly maxBodyBytes: number;
  readonly bodies: LargeBodies;
}

/** The media type of every response. */
export const XML = 'text/xml; charset=utf-8';

/** How an XML-RPC endpoint answers a parsed call. */
export interface XmlService {
  /** Answers it; it has to count it, too. Throws what {@link Relay.call} throws. */
  readonly call: (call: ParsedCall, caller: Caller, exchange: Exchange) => Promise<Sendable>;
  /** The extensions that every caller reads. Default: those that its call used, and those that it says it reads. */
  readonly reads?: Extensions;
  /** The answer that stands for a failure of this call; undefined, and without it, a fault is answered. */
  readonly answerFor?: (call: ParsedCall, fault: FaultAnswer) => Sendable | undefined;
}

/** Calls of methods of the registry. */
export function rpcCalls(parts: XmlRpcEndpointParts): XmlCalls {
  return xmlCalls(parts, { call: ({ methodName, params }, caller) => parts.relay.call(methodName, params, caller) });
}

/** Calls that `service` answers. */
export function xmlCalls(parts: XmlRpcEndpointParts, service: XmlService): XmlCalls {
  return {
    answer: (exchange, type) => respond(parts, exchange, type, service),
    fail: (outcome, error) => {
      const { code, text } = faultFor(parts, outcome, error);
      return serialiseFault(code, text);
    },
  };
}

/** A fault is HTTP 200 too: most clients lose a fault that comes with any other status. */
export function sendXml(reply: FastifyReply, answer: Buffer): FastifyReply {
  return reply.header('content-type', XML).send(answer);
}

async function respond(parts: XmlRpcEndpointParts, exchange: Exchange, { charset }: XmlType, service: XmlService): Promise<Buffer> {
  const { relay, bodies, maxBodyBytes } = parts;
  const { principal } = exchange;
  let call: ParsedCall | undefined;
  try {
    let read: ParsedCall;
    try {
      const allowNonFinite = principal.isPeer && relay.acceptsNonFinite(principal.address);
      const parsed = bodies.parse(bodyOf(exchange), { charset, limits: { maxBodyBytes }, allowNonFinite });
      // Small ones are read at once; waiting for what is there would cost as much as the reading.
      read = parsed instanceof Promise ? await parsed : parsed;
    } catch (error) {
      // A call counts itself; what is none costs as much to read.
      relay.count(principal);
      throw error;
    }
    call = read;
    exchange.outcome.rpcMethod = read.methodName;
    const caller = callerOf(principal, (dict) => read.sourceOf(dict), read.extensions.i8);
    const result = await service.call(read, caller, exchange);
    const answer = serialiseResponseInTurns(result, writingFor(read.extensions, principal.reads, service.reads));
    return answer instanceof Promise ? await answer : answer;
  } catch (error) {
    const fault = faultFor(parts, exchange.outcome, error);
    const answer = call && service.answerFor?.(call, fault);
    return answer === undefined ? serialiseFault(fault.code, fault.text) : serialiseResponse(answer, service.reads);
  }
}

function faultFor({ relay }: XmlRpcEndpointParts, outcome: CallOutcome, error: unknown): FaultAnswer {
  const fault = relay.faultFor(error, outcome.rpcMethod ?? 'a request');
  outcome.rpcFault = fault.code;
  return fault;
}

function bodyOf({ body }: Exchange): Uint8Array {
  if (Buffer.isBuffer(body)) return body;
  throw new RelayError('INVALID_REQUEST', 'the request has no body; a call is a <methodCall> document');
}

/** `POST /RPC2` and `POST /`: the XML-RPC endpoint. */
import type { FastifyReply } from 'fastify';
import type { Principal, SessionCall } from '../access/access.ts';
import { SESSION_HEADER } from '../identity/identity.ts';
import { RelayError } from '../core/core.ts';
import type { FaultAnswer, MaybePromise } from '../core/core.ts';
import { answerAtOnce, callerOf } from '../rpc/rpc.ts';
import type { Caller, Dispatcher, RpcEndpoint } from '../rpc/rpc.ts';
import type { Sendable } from '../values/values.ts';
import { serialiseFault } from '../xmlrpc/xmlrpc.ts';
import type { Extensions, ParsedCall, WriteOptions } from '../xmlrpc/xmlrpc.ts';
import type { CallOutcome, Exchange, XmlCalls } from './endpoint.ts';
import type { LargeBodies } from './large-bodies.ts';
import { writingFor } from './reads.ts';

export interface XmlRpcEndpointParts {
  readonly dispatcher: Pick<Dispatcher, 'callAtOnce' | 'count' | 'faultFor'>;
  /** True if a peer at `address` (canonical) may send doubles that are not finite. Default: nobody may. */
  readonly acceptsNonFinite?: (address: string) => boolean;
  readonly maxBodyBytes: number;
  readonly bodies: LargeBodies;
}

/** The media type of every answer. */
export const XML = 'text/xml; charset=utf-8';

const NO_BODY = Buffer.alloc(0);

/** How an endpoint for XML-RPC runs a call. */
export interface XmlService {
  /** Runs the call and charges the rate limit for it. Throws what {@link Dispatcher.call} throws. */
  readonly call: (call: ParsedCall, caller: Caller, exchange: Exchange) => MaybePromise<Sendable>;
  /** The extensions that every caller reads. Default: those that its call uses, and those that it says it reads. */
  readonly reads?: Extensions;
  /** How answers to this caller are written, over what it reads. Default: nothing more. */
  readonly writing?: (principal: Principal) => WriteOptions | undefined;
  /** The result that is answered in place of a fault of this call; undefined, and without it, the fault is. */
  readonly answerFor?: (call: ParsedCall, fault: FaultAnswer) => Sendable | undefined;
  /** True if other relays call it in their sessions. Default: such calls are refused, without a proof. */
  readonly isForRelays?: boolean;
}

/** The calls of methods in the registry. */
export function rpcCalls(parts: XmlRpcEndpointParts): XmlCalls {
  return xmlCalls(parts, {
    call: ({ methodName, params }, caller) => parts.dispatcher.callAtOnce(methodName, params, caller),
    isForRelays: true,
  });
}

/** The calls that `service` answers. */
export function xmlCalls(parts: XmlRpcEndpointParts, { call, reads, writing, answerFor, isForRelays = false }: XmlService): XmlCalls {
  const { dispatcher, bodies, maxBodyBytes, acceptsNonFinite } = parts;
  const endpoint: RpcEndpoint<Exchange> = {
    admit: ({ principal: { session }, body }) => {
      if (!session) return;
      // The path is not proved: somebody on the way may have changed it.
      if (!isForRelays) throw new RelayError('NOT_AUTHENTICATED', 'relays call each other at /RPC2');
      session.accept(Buffer.isBuffer(body) ? body : NO_BODY);
    },
    parse: (body, { principal, charset: named }) => {
      if (!Buffer.isBuffer(body)) throw new RelayError('INVALID_REQUEST', 'the request has no body; a call is a <methodCall> document');
      // Relays write UTF-8. The body is proved, and its Content-Type is not.
      const charset = principal.session ? 'utf-8' : named;
      const allowNonFinite = principal.isPeer && acceptsNonFinite?.(principal.address) === true;
      return bodies.parse(body, { charset, limits: { maxBodyBytes }, allowNonFinite });
    },
    chargeUnreadable: ({ principal }) => {
      dispatcher.count(principal);
    },
    invoke: (parsed, exchange) => {
      exchange.outcome.rpcMethod = parsed.methodName;
      const { exactOf } = parsed;
      const caller = callerOf(exchange.principal, (dict) => parsed.sourceOf(dict), exactOf);
      return call(parsed, caller, exchange);
    },
    writing: ({ extensions }, { principal }) => {
      const usual = writingFor(extensions, principal.reads, reads);
      const own = writing?.(principal);
      return own ? { ...usual, ...own } : usual;
    },
    faultFor: (error, _method, { outcome }) => faultFor(dispatcher, outcome, error),
    ...(answerFor && { resultForFault: answerFor }),
  };
  return {
    answer: (exchange) => answerAtOnce(endpoint, exchange.body, exchange),
    fail: (outcome, error) => {
      const { code, text } = faultFor(dispatcher, outcome, error);
      return serialiseFault(code, text);
    },
  };
}

/**
 * A fault is HTTP 200 too: most clients lose a fault that arrives with another status. `session`: the one by which the call came, which
 * proves the answer.
 */
export function sendXml(reply: FastifyReply, answer: Buffer, session?: SessionCall): FastifyReply {
  const seal = session?.seal(answer);
  if (seal !== undefined) reply.header(SESSION_HEADER, seal);
  return reply.header('content-type', XML).send(answer);
}

function faultFor(dispatcher: XmlRpcEndpointParts['dispatcher'], outcome: CallOutcome, error: unknown): FaultAnswer {
  const fault = dispatcher.faultFor(error, outcome.rpcMethod ?? 'a request');
  outcome.rpcFault = fault.code;
  return fault;
}

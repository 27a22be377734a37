/** `POST /RPC2` and `POST /`: a body comes in, a method is called, its answer or a fault goes out. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError } from '../message/message.ts';
import type { Sendable } from '../message/message.ts';
import type { Caller, FaultAnswer, Relay } from '../relay/relay.ts';
import { serialiseFault, serialiseResponse, serialiseResponseInTurns } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall, WriteOptions } from '../xmlrpc/xmlrpc.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { BodyType } from './media-type.ts';

export interface RpcDoorParts {
  readonly relay: Pick<Relay, 'acceptsNonFinite' | 'call' | 'count' | 'faultFor'>;
  readonly maxBodyBytes: number;
  readonly bodies: LargeBodies;
}

const XML = 'text/xml; charset=utf-8';

/** What a door for XML-RPC does with a call that was read. */
export interface XmlService {
  /** Answers it; it has to count it, too. Throws what {@link Relay.call} throws. */
  readonly call: (call: ParsedCall, caller: Caller) => Promise<Sendable>;
  /** How answers are written. Default: with the extensions that the call itself used. */
  readonly writing?: WriteOptions;
  /** The answer that stands for a failure of this call; undefined, and without it, a fault is answered. */
  readonly answerFor?: (call: ParsedCall, fault: FaultAnswer) => Sendable | undefined;
}

/** Answers one call of a method of the registry. */
export async function answerRpc(parts: RpcDoorParts, request: FastifyRequest, reply: FastifyReply, type: BodyType): Promise<FastifyReply> {
  const call: XmlService['call'] = ({ methodName, params }, caller) => parts.relay.call(methodName, params, caller);
  return answerXml(parts, request, reply, type, { call });
}

/** Answers one call by `service`. A fault is HTTP 200 too: most clients lose a fault that comes with any other status. */
export async function answerXml(
  parts: RpcDoorParts,
  request: FastifyRequest,
  reply: FastifyReply,
  type: BodyType,
  service: XmlService,
): Promise<FastifyReply> {
  return reply.header('content-type', XML).send(await respond(parts, request, type, service));
}

async function respond(parts: RpcDoorParts, request: FastifyRequest, type: BodyType, service: XmlService): Promise<Buffer> {
  const { relay, bodies, maxBodyBytes } = parts;
  let call: ParsedCall | undefined;
  try {
    const caller: Caller = { ...request.standing, sourceOf: (dict) => call?.sourceOf(dict) };
    try {
      call = await bodies.parse(bodyOf(request), {
        charset: type.kind === 'xml' ? type.charset : undefined,
        limits: { maxBodyBytes },
        allowNonFinite: caller.isPeer && relay.acceptsNonFinite(caller.address),
      });
    } catch (error) {
      // A call counts itself; what is none costs as much to read.
      relay.count(caller);
      throw error;
    }
    request.rpcMethod = call.methodName;
    const result = await service.call(call, caller);
    return await serialiseResponseInTurns(result, service.writing ?? call.extensions);
  } catch (error) {
    const fault = faultFor(parts, request, error);
    const answer = call && service.answerFor?.(call, fault);
    return answer === undefined ? serialiseFault(fault.code, fault.text) : serialiseResponse(answer, service.writing);
  }
}

/** Answers `error` as a fault. */
export function failRpc(parts: RpcDoorParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const { code, text } = faultFor(parts, request, error);
  return reply.header('content-type', XML).send(serialiseFault(code, text));
}

function faultFor({ relay }: RpcDoorParts, request: FastifyRequest, error: unknown): FaultAnswer {
  const fault = relay.faultFor(error, request.rpcMethod ?? 'a request');
  request.rpcFault = fault.code;
  return fault;
}

function bodyOf(request: FastifyRequest): Uint8Array {
  if (Buffer.isBuffer(request.body)) return request.body;
  throw new RelayError('INVALID_REQUEST', 'the request has no body; a call is a <methodCall> document');
}

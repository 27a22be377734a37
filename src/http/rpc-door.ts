/** `POST /RPC2` and `POST /`: a body comes in, a method is called, its answer or a fault goes out. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError } from '../message/message.ts';
import type { Caller, Relay } from '../relay/relay.ts';
import { serialiseFault, serialiseResponse, serialiseResponseInTurns } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../xmlrpc/xmlrpc.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { XmlType } from './media-type.ts';

export interface RpcDoorParts {
  readonly relay: Pick<Relay, 'call' | 'count' | 'faultFor'>;
  readonly maxBodyBytes: number;
  readonly bodies: LargeBodies;
}

const XML = 'text/xml; charset=utf-8';

/** Answers one call. A fault is HTTP 200 too: most clients lose a fault that comes with any other status. */
export async function answerRpc(parts: RpcDoorParts, request: FastifyRequest, reply: FastifyReply, type: XmlType): Promise<FastifyReply> {
  return reply.header('content-type', XML).send(await respond(parts, request, type));
}

async function respond(parts: RpcDoorParts, request: FastifyRequest, { charset }: XmlType): Promise<Buffer> {
  const { relay, bodies, maxBodyBytes } = parts;
  let call: ParsedCall | undefined;
  try {
    const caller: Caller = {
      ...request.standing,
      sourceOf: (dict) => call?.sourceOf(dict),
      requireWritable: (answer) => serialiseResponse(answer, call?.extensions),
    };
    try {
      call = await bodies.parse(bodyOf(request), { charset, limits: { maxBodyBytes } });
    } catch (error) {
      // A call counts itself; what is none costs as much to read.
      relay.count(caller);
      throw error;
    }
    request.rpcMethod = call.methodName;
    const result = await relay.call(call.methodName, call.params, caller);
    return await serialiseResponseInTurns(result, call.extensions);
  } catch (error) {
    return faultOf(parts, request, error, call?.methodName ?? 'a request');
  }
}

/** Answers `error` as a fault. */
export function failRpc(parts: RpcDoorParts, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  return reply.header('content-type', XML).send(faultOf(parts, request, error, 'a request'));
}

function faultOf({ relay }: RpcDoorParts, request: FastifyRequest, error: unknown, method: string): Buffer {
  const fault = relay.faultFor(error, method);
  request.rpcFault = fault.code;
  return serialiseFault(fault.code, fault.text);
}

function bodyOf(request: FastifyRequest): Uint8Array {
  if (Buffer.isBuffer(request.body)) return request.body;
  throw new RelayError('INVALID_REQUEST', 'the request has no body; a call is a <methodCall> document');
}

/** What an endpoint is. To add one, write a file beside xmlrpc-endpoint.ts and an entry in the table of endpoints.ts. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../access/access.ts';
import type { MaybePromise } from '../core/core.ts';
import type { BodyKind, BodyType } from './media-type.ts';
import type { RejectionStyle } from './rejection.ts';

/** An accepted request, whether it came by the fast path or by the router. */
export interface Exchange {
  readonly principal: Principal;
  /** A Buffer; anything else if there is no body. */
  readonly body?: unknown;
  /** The charset of its Content-Type; undefined: the document says it. */
  readonly charset: string | undefined;
  readonly outcome: CallOutcome;
}

/** What the access log says about a call; filled in while the call is answered. */
export interface CallOutcome {
  rpcMethod: string | undefined;
  rpcFault: number | undefined;
}

/** The XML-RPC handler of an endpoint. It answers bytes, so that the fast path and the router can both use it. */
export interface XmlCalls {
  /** The response or fault; a promise only if something has to be awaited, which never rejects. */
  readonly answer: (exchange: Exchange) => MaybePromise<Buffer>;
  /** The fault for a caller that was rejected before its body was read. */
  readonly fail: (outcome: CallOutcome, error: unknown) => Buffer;
}

/** How an endpoint takes a body as it arrives. */
export interface StreamedUpload {
  /** Answers a request that is not wanted, before its body is sent. Undefined: it is wanted. */
  readonly refuse: (request: FastifyRequest, reply: FastifyReply) => FastifyReply | undefined;
  /** Reads the body from `request.raw`, and answers. */
  readonly answer: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
}

/** One row of the endpoint table. All request checks are made before its handlers run. */
export interface Endpoint extends RejectionStyle {
  /** A path, of which whole segments may be parameters: `/RPC2`, `/api/:method`. The first endpoint of the table that matches is used. */
  readonly path: string;
  /** Answers GET and HEAD. Default: neither is allowed. */
  readonly get?: (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>;
  /** Answers POST, with a body of one of the `reads` types. Default: POST is not allowed. */
  readonly post?: (request: FastifyRequest, reply: FastifyReply, type: BodyType) => Promise<FastifyReply>;
  /** Answers PUT, with a body of any media type and size that is not read into memory. Default: PUT is not allowed. */
  readonly put?: StreamedUpload;
  /** Answers a caller that was rejected before its body was read: a wrong credential, or too many calls. */
  readonly fail: (request: FastifyRequest, reply: FastifyReply, error: unknown) => FastifyReply;
  /** The XML-RPC handler, which the fast path calls directly. */
  readonly xml?: XmlCalls;
  /** The media types of its bodies. */
  readonly reads: readonly BodyKind[];
  /** True if it answers also while the relay starts and stops. Default: it is rejected with 503 then. */
  readonly answersAlways?: boolean;
  /** True if rejections are problem documents (RFC 9457). Default: plain text. */
  readonly writesProblems?: boolean;
}

/** The endpoint at `path` (without a query), whatever the method. */
export function endpointAt(endpoints: readonly Endpoint[], path: string): Endpoint | undefined {
  const segments = path.split('/');
  return endpoints.find((endpoint) => {
    const pattern = endpoint.path.split('/');
    return (
      pattern.length === segments.length &&
      pattern.every((part, index) => (part.startsWith(':') ? segments[index] !== '' : part === segments[index]))
    );
  });
}

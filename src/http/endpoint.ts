/** What a door is. A new one is a file beside rpc-door.ts that answers its requests, and an entry in doors.ts. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../access/access.ts';
import type { BodyKind, BodyType, XmlType } from './media-type.ts';

/** A request that may come in, whichever way it came. */
export interface Exchange {
  /** Who calls. */
  readonly standing: Principal;
  /** A Buffer; anything else if there is none. */
  readonly body?: unknown;
  readonly told: Told;
}

/** What the access log tells of a call, as it becomes known. */
export interface Told {
  rpcMethod: string | undefined;
  rpcFault: number | undefined;
}

/** The calls of XML-RPC at a door: they answer bytes, so that it does not matter which way they came in. */
export interface XmlCalls {
  /** The response or fault; never rejects. */
  readonly answer: (exchange: Exchange, type: XmlType) => Promise<Buffer>;
  /** The fault for a caller that was refused before its body was read. */
  readonly fail: (told: Told, error: unknown) => Buffer;
}

/** Guard, limits of size and time, media types and verbs are checked before a door is asked. */
export interface Door {
  /** Exact, or with `:name` as its last part: `/RPC2`, `/api/:method`. */
  readonly path: string;
  /** Answers GET and HEAD; a door without it has neither. */
  readonly get?: (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>;
  /** Answers POST, with a body of one of `reads`. */
  readonly post: (request: FastifyRequest, reply: FastifyReply, type: BodyType) => Promise<FastifyReply>;
  /** Answers a caller that was refused before its body was read: by its credential, or since it calls too often. */
  readonly fail: (request: FastifyRequest, reply: FastifyReply, error: unknown) => FastifyReply;
  /** Its calls of XML-RPC, if it has such. */
  readonly xml?: XmlCalls;
  /** The media types of its bodies. */
  readonly reads: readonly BodyKind[];
  /** True if what is refused is told as a problem document (RFC 9457), not as text. */
  readonly tellsProblems?: boolean;
}

/** The verbs that some door has, as `Allow` lists them. */
export const ANY_VERB = 'GET, HEAD, POST';

/** The verbs of a door, as `Allow` lists them. */
export function allowedAt({ get }: Door): string {
  return get ? ANY_VERB : 'POST';
}

/** The door that has this path, whatever the verb; `path` is without a query. */
export function doorAt(doors: readonly Door[], path: string): Door | undefined {
  return doors.find((door) => {
    const [exact = '', parameter] = door.path.split(':');
    if (parameter === undefined) return path === exact;
    return path.startsWith(exact) && path.length > exact.length && !path.includes('/', exact.length);
  });
}

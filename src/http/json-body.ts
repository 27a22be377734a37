/** Reads the bodies of the JSON endpoints. */
import type { FastifyRequest } from 'fastify';
import { RelayError } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import type { JsonDocument, ReadOptions } from '../json/json.ts';
import { callerOf } from '../rpc/rpc.ts';
import type { Caller, Dispatcher } from '../rpc/rpc.ts';
import { serialiseStructBytes } from '../xmlrpc/xmlrpc.ts';
import type { LargeBodies } from './large-bodies.ts';

export interface JsonEndpointParts {
  readonly dispatcher: Pick<Dispatcher, 'call' | 'callNested' | 'count' | 'faultFor' | 'requireBatch'>;
  readonly maxBodyBytes: number;
  readonly bodies: LargeBodies;
}

/** A parsed JSON request. */
export interface JsonRequest {
  readonly caller: Caller;
  /** What the body says; undefined if it is empty. */
  readonly value: Value | undefined;
  /** The member `keepTextOf` of an outermost object as it stands in the body; undefined if it has none. */
  readonly textOf: (dict: Dict) => string | undefined;
}

/** Reads the body. Throws RelayErrors. */
export async function openJson(
  { dispatcher, maxBodyBytes, bodies }: JsonEndpointParts,
  request: FastifyRequest,
  options: ReadOptions = {},
): Promise<JsonRequest> {
  let document: JsonDocument | undefined;
  const caller = callerOf(
    request.principal,
    (dict) => xmlOf(dict, document),
    (part) => document?.exactOf(part),
  );
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  if (body.length === 0) return { caller, value: undefined, textOf: () => undefined };
  try {
    document = await bodies.readJson(body, { ...options, maxBodyBytes });
  } catch (error) {
    // A call counts itself; what is none costs as much to read.
    dispatcher.count(caller);
    throw error;
  }
  return { caller, ...document };
}

/** A list is the parameters one by one, an object the one struct; undefined for anything else. */
export function paramsOf(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value as readonly Value[];
  return isDict(value) ? [value] : undefined;
}

/** The dict as it travels to other relays, with the types that its JSON gave to numbers. */
function xmlOf(dict: Dict, document: JsonDocument | undefined): Buffer {
  try {
    return serialiseStructBytes(document?.exactOf(dict) ?? dict, { nil: true, i8: true });
  } catch (error) {
    if (!RelayError.is(error)) throw error;
    throw new RelayError('INVALID_PARAMS', `the dict cannot travel as XML-RPC: ${error.message}`, { cause: error });
  }
}

/** What work needs of the mesh, and the messages in which units travel to the node that runs them. */
import * as z from 'zod/mini';
import { RelayError } from '../core/core.ts';
import type { MeshPort } from '../mesh/mesh.ts';
import type { NodeCalls } from '../nodes/nodes.ts';

/** The other nodes, as work uses them. */
export interface WorkNetwork {
  readonly port: Pick<MeshPort, 'submit' | 'drop' | 'receive' | 'onOutcome' | 'nodes' | 'path'>;
  readonly calls: Pick<NodeCalls, 'self' | 'resolve' | 'call'>;
  /** Throws a RelayError FORBIDDEN unless this node may submit work here. */
  readonly requireSubmitter: (node: string) => void;
}

/** The kind of messages about units. */
export const WORK_MESSAGE = 'work';
/** A unit waits on the disks of the mesh for at most a week. */
export const MAX_TRAVEL_MS = 7 * 24 * 3_600_000;
/** Payload and parameters that travel with a submission; more is fetched from the submitter. A message of the mesh has at most 4 MiB. */
export const MAX_CARRIED_BYTES = 1024 * 1024;

const HEADER = 4;
const text = (max: number): z.ZodMiniString => z.string().check(z.maxLength(max));
const id = text(200);

const header = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('submit'),
    unit: id,
    work: id,
    /** For people: who submitted it there. */
    submitter: text(300),
    timeoutMs: z.optional(z.int().check(z.gte(1))),
    /** XML-RPC; undefined: it is fetched together with the payload. */
    params: z.optional(z.string()),
    /** Of the payload that is to be fetched. Undefined: the payload follows. */
    fetch: z.optional(z.strictObject({ bytes: z.int().check(z.gte(0)), hash: text(64) })),
  }),
  z.strictObject({ type: z.enum(['cancel', 'release']), unit: id }),
]);

/** What one node says to another about a unit, under the id that the submitter gave it. */
export type WorkMessage = z.infer<typeof header>;

/** A message as bytes: the length of its members, those as JSON, and the payload. */
export function encodeMessage(message: WorkMessage, payload: Buffer = Buffer.alloc(0)): Buffer {
  const members = Buffer.from(JSON.stringify(message));
  const length = Buffer.alloc(HEADER);
  length.writeUInt32BE(members.length);
  return Buffer.concat([length, members, payload]);
}

/** Throws a RelayError INVALID_PARAMS for anything that {@link encodeMessage} does not write. */
export function decodeMessage(bytes: Buffer): { readonly message: WorkMessage; readonly payload: Buffer } {
  const end = HEADER + (bytes.length < HEADER ? Infinity : bytes.readUInt32BE());
  if (end > bytes.length) throw malformed();
  try {
    const message = header.parse(JSON.parse(bytes.toString('utf8', HEADER, end)));
    return { message, payload: bytes.subarray(end) };
  } catch (error) {
    throw malformed(error);
  }
}

/** The id of a unit at the node that runs it, which no client can give to another. */
export function idAt(unit: string, origin: string): string {
  return `${unit}@${origin}`;
}

function malformed(cause?: unknown): RelayError {
  return new RelayError('INVALID_PARAMS', 'the message about a unit of work is malformed; does its node run another version?', { cause });
}

/** Ingress: a dict that a caller or a satellite submits becomes a checked and stamped message. */
import { randomBytes } from 'node:crypto';
import { HOP_LIMIT, parseHostId } from '../message/message.ts';
import { RelayError, clean, randomHex } from '../core/core.ts';
import { dictOf, freezeDict, isDict } from '../values/values.ts';
import type { Clock } from '../core/core.ts';
import type { Dict, Frozen, Sendable } from '../values/values.ts';
import type { MeshArrival, NodeIndex } from '../mesh/mesh.ts';
import type { Destination, Identity, Message } from '../message/message.ts';
import { SET_BY_RELAYS, parseStruct, serialiseStructBytes, writeStruct } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from '../rpc/rpc.ts';
import { decodeDict } from './dict-payload.ts';
import { checkOrigin, checkSigned } from './origin-check.ts';
import type { Ingress } from './origin-check.ts';
import { claimIn, readStamp } from './stamp.ts';
import type { Stamp } from './stamp.ts';

/** Makes ids of messages, and host_ids for clients that have none. */
export interface Minter {
  /** What every id of this start begins with. */
  readonly idPrefix: string;
  readonly messageId: () => string;
  readonly clientRandom: () => string;
  /** The clock of `Message.arrivedAt`. */
  readonly now: () => number;
}

/** The base of the number in an id. */
export const ID_RADIX = 36;

/** The minter of one start. */
export function makeMinter(clock: Pick<Clock, 'now'>): Minter {
  // The instance part keeps the ids of two starts of one state directory apart.
  const idPrefix = `${randomBytes(5).toString('hex')}.`;
  let sequence = 0;
  return {
    idPrefix,
    messageId: () => idPrefix + (++sequence).toString(ID_RADIX),
    clientRandom: randomHex(8),
    now: () => clock.now(),
  };
}

/**
 * The message of a dict that a caller submits, after the origin check. `sender` is the host_id of the submitter if that is a remote
 * satellite. Throws RelayErrors INVALID_PARAMS and ORIGIN_REFUSED.
 */
export function messageFromCaller(
  dict: Dict,
  caller: Caller,
  self: Identity,
  mint: Minter,
  sender?: string,
  destination: Destination = 'all',
): Message {
  requireData(Object.hasOwn(dict, 'data'));
  const ingress = sender === undefined ? ingressOf(dict, caller) : clientIngress(caller);
  const origin = checkOrigin(dict.host_id ?? sender, ingress, self.hostId, mint.clientRandom);
  if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
  const clientAddress = [caller.address, caller.port] as const;
  const { id, hopsLeft, ageMs, via, claim, generation } = stampedBy(ingress, dict, mint);
  const payload = sourceOf(dict, caller);
  return {
    id,
    destination,
    hopsLeft,
    ageMs,
    via,
    hostId: origin.hostId,
    clientAddress,
    payload,
    frozen: viewOf(payload, dict, origin.hostId, clientAddress),
    arrivedAt: mint.now(),
    verdict: origin.verdict,
    attestation: origin.attestation,
    claim,
    generation,
  };
}

/** A dict as XML in memory of its own. */
export interface Written {
  readonly source: Buffer;
  /** The names of its members if this relay wrote it; undefined if a program did. */
  readonly names?: readonly string[] | undefined;
  /** True if it can certainly be read. Default false. */
  readonly isReadable?: boolean | undefined;
}

const WITH_EXTENSIONS = { nil: true, i8: true };

/** Writes the dict of a local satellite. Throws a RelayError with the path of a value that cannot be sent. */
export function writtenHere(dict: Sendable): Written {
  return writeStruct(dict, WITH_EXTENSIONS);
}

/**
 * The message of a dict that a local satellite sends; this relay sets its `host_id` and `co2`. Throws a RelayError if no receiver could
 * read it, or if it has no `data`.
 */
export function messageFromSatellite(
  { source, names, isReadable }: Written,
  self: Identity,
  mint: Minter,
  destination: Destination = 'all',
  generation = 0,
): Message {
  const clientAddress = [self.address, self.port] as const;
  // Parsed now unless that is certain, so that the sender learns about a dict that no receiver could read.
  const dict = isReadable === true ? undefined : parseStruct(source, { limits: { maxBodyBytes: source.length } });
  const members = dict ? Object.keys(dict) : (names ?? []);
  requireData(members.includes('data'));
  return {
    id: mint.messageId(),
    destination,
    hopsLeft: HOP_LIMIT,
    ageMs: 0,
    via: [],
    hostId: self.hostId,
    clientAddress,
    payload: source,
    isOwnWriting: names !== undefined && !SET_BY_RELAYS.some((name) => members.includes(name)),
    frozen: viewOf(source, dict, self.hostId, clientAddress),
    arrivedAt: mint.now(),
    verdict: 'local',
    generation,
  };
}

/** What is known of a dict that arrived over the mesh. */
export interface FromNode {
  readonly arrival: MeshArrival;
  /** Id of this node. */
  readonly self: string;
  readonly identity: Identity;
  readonly index: Pick<NodeIndex, 'ownerOf' | 'hostIdOf' | 'isNew'>;
  readonly mint: Minter;
  readonly maxDictBytes: number;
  /** True if this relay has had the message of this host_id with this id. */
  readonly knows: (hostId: string, id: string | undefined) => boolean;
}

/** What arrived over the mesh: a message, or the id of one that this relay has had. */
export type ReadArrival =
  | { readonly copyOf?: undefined; readonly message: Message; readonly dict: Dict }
  | { readonly copyOf: string; readonly message?: undefined };

/** Reads a dict that arrived over the mesh, signed by its origin. Throws RelayErrors INVALID_PARAMS, LIMIT and ORIGIN_REFUSED. */
export function messageFromNode({ arrival, self, identity, index, mint, maxDictBytes, knows }: FromNode): ReadArrival {
  const { head, via: nodes, isRedelivered } = arrival;
  const { id, hopsLeft, ageMs, via, attestation, claim, source } = decodeDict(arrival.payload);
  const by = via.at(-1) ?? '';
  const isOwn = head.origin === self;
  // A relay that got a dict over a classic link, and did not know its sender as a node yet, signs it in good faith: this is no forgery. A
  // copy is delivered to nobody, so whose it is need not be proven.
  if (!isOwn && (knows(head.hostId, id) || knows(head.hostId, claim))) return { copyOf: id };
  const origin = checkSigned({ node: head.origin, hostId: head.hostId, by, attestation }, index, identity.address);
  if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
  if (source.length > maxDictBytes)
    throw new RelayError('LIMIT', `the dict takes ${source.length} bytes as XML; at most ${maxDictBytes} are allowed here (maxBodyBytes)`);
  const dict = parseStruct(source, { limits: { maxBodyBytes: source.length }, allowNonFinite: true });
  requireData(Object.hasOwn(dict, 'data'));
  const crossed = nodes.length > 1 ? [...via, ...nodes.slice(1).flatMap((node) => index.hostIdOf(node) ?? [])] : via;
  const last = parseHostId(crossed.at(-1) ?? by);
  const clientAddress = [last?.address ?? '', last?.port ?? 0] as const;
  const message: Message = {
    id,
    destination: head.target === undefined ? 'all' : 'here',
    hopsLeft: isOwn ? hopsLeft : Math.max(0, hopsLeft - Math.max(1, nodes.length)),
    ageMs: ageMs + arrival.ageMs,
    via: isOwn ? via.slice(0, -1) : crossed,
    hostId: origin.hostId,
    clientAddress,
    payload: source,
    frozen: viewOf(source, dict, origin.hostId, clientAddress),
    arrivedAt: mint.now(),
    verdict: isOwn && head.hostId === by ? 'local' : origin.verdict,
    attestation: origin.attestation,
    claim,
    generation: head.generation,
    isRedelivered,
  };
  return { message, dict };
}

/** A message that was stored, with the view of its dict. Throws a RelayError if no dict can be read from the payload. */
export function restoreMessage(stored: Omit<Message, 'frozen'>): Message {
  const { payload, hostId, clientAddress } = stored;
  return { ...stored, frozen: viewOf(payload, decodeAgain(payload), hostId, clientAddress) };
}

/** The message with other contents, but the same `host_id`, `client_address` and stamp. */
export function withContents(message: Message, { source, dict }: { readonly source: Buffer; readonly dict: Dict }): Message {
  return { ...message, payload: source, isOwnWriting: false, frozen: viewOf(source, dict, message.hostId, message.clientAddress) };
}

/** The XML of the dict as its caller wrote it, or serialized again if that is unknown. */
export function sourceOf(dict: Dict, caller: Caller): Buffer {
  return caller.sourceOf(dict) ?? serialiseStructBytes(dict, WITH_EXTENSIONS);
}

function requireData(hasData: boolean): void {
  if (hasData) return;
  throw new RelayError('INVALID_PARAMS', "the dict has no member 'data'; a dict of the network is {'data': anything, ...}");
}

/**
 * Stamps are only trusted from configured peers, since others could use them to suppress dicts. Duplicates explains what the id in an
 * untrusted stamp is used for.
 */
function ingressOf(dict: Dict, caller: Caller): Ingress {
  const stamp = caller.isPeer && dict.co2 !== undefined ? readStamp(dict.co2) : undefined;
  if (!stamp) return clientIngress(caller);
  const { session } = caller;
  return { kind: 'peer', address: caller.address, stamp, hostIds: session?.isPeer === true ? session.hostIds : undefined };
}

/** A caller that may speak for its own address only. */
export function clientIngress({ address, isDirect }: Caller): Ingress {
  return { kind: 'client', address, isDirect };
}

function stampedBy(
  ingress: Ingress,
  { co2 }: Dict,
  mint: Minter,
): Pick<Message, 'id' | 'hopsLeft' | 'ageMs' | 'via' | 'claim' | 'generation'> {
  if (ingress.kind === 'client')
    return { id: mint.messageId(), hopsLeft: HOP_LIMIT, ageMs: 0, via: [], claim: claimIn(co2), generation: 0 };
  const { id, hops, age, by, via, claim, generation }: Stamp = ingress.stamp;
  return { id, hopsLeft: hops, ageMs: age, via: [...via, by], claim, generation };
}

/**
 * The view of a dict that satellites get; without `dict`, it is decoded for the first of them. A decoded dict can take ten times the memory
 * of its bytes, so a waiting message holds it weakly: it lives until the next full garbage collection, long enough for all recipients that
 * are not delayed.
 */
function viewOf(source: Buffer, dict: Dict | undefined, hostId: string, clientAddress: readonly [string, number]): () => Frozen {
  let view = dict && new WeakRef<View>({ dict, frozen: undefined });
  return () => {
    let current = view?.deref();
    if (!current) {
      current = { dict: decodeAgain(source), frozen: undefined };
      view = new WeakRef(current);
    }
    return (current.frozen ??= freezeDict(withOrigin(current.dict, hostId, clientAddress)));
  };
}

/** A decoded dict and, once a recipient has asked for it, its frozen form, which is the same object. */
interface View {
  readonly dict: Dict;
  frozen: Frozen | undefined;
}

/**
 * The dict with its checked origin and without its stamp. Usually that is `dict` itself, which belongs to this message alone; only one with
 * a stamp, or one that somebody has frozen, is copied.
 */
function withOrigin(dict: Dict, hostId: string, clientAddress: readonly [string, number]): Dict {
  const origin = { host_id: hostId, client_address: clientAddress };
  if (dict.co2 === undefined && Object.isExtensible(dict)) return Object.assign(dict, origin);
  const others = Object.entries(dict).filter(([name]) => name !== 'co2' && !Object.hasOwn(origin, name));
  return dictOf([...Object.entries(origin), ...others]);
}

/** Parses the source again. These rules are at least as lenient as those by which it was accepted. */
function decodeAgain(source: Buffer): Dict {
  return parseStruct(source, { limits: { maxBodyBytes: source.length }, allowNonFinite: true });
}

/** The message in a log line. */
export function describeMessage({ id, hostId, clientAddress: [address] }: Message): string {
  return `${clean(id, 130)} of ${hostId} from ${address}`;
}

/** The id that a refused dict claims, for the log only; `a dict` if it has none. */
export function claimedId({ co2 }: Dict): string {
  return isDict(co2) && typeof co2.id === 'string' ? clean(co2.id, 130) : 'a dict';
}

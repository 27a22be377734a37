/** From a dict to a message: what comes in, checked and stamped. */
import { randomBytes } from 'node:crypto';
import { HOP_LIMIT } from '../message/message.ts';
import { RelayError, clean } from '../core/core.ts';
import { dictOf, freezeDict, isDict } from '../values/values.ts';
import type { Clock } from '../core/core.ts';
import type { Dict, Frozen, Value } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { parseStruct, serialiseStructBytes } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from './caller.ts';
import { checkOrigin } from './origin-check.ts';
import type { Ingress } from './origin-check.ts';
import { randomHex } from './random-hex.ts';
import { claimIn, readStamp } from './stamp.ts';
import type { Stamp } from './stamp.ts';

/** This relay, as it names itself; known once it listens. */
export interface Identity {
  readonly hostId: string;
  readonly address: string;
  readonly port: number;
}

/** What only the relay makes: ids of messages, and names for clients that have none. */
export interface Minter {
  readonly messageId: () => string;
  readonly clientRandom: () => string;
  /** The clock of `Message.arrivedAt`. */
  readonly now: () => number;
}

/** Makes them for one start. */
export function makeMinter(clock: Pick<Clock, 'now'>): Minter {
  // The instance part keeps ids of two starts of one state directory apart.
  const instance = randomBytes(5).toString('hex');
  let sequence = 0;
  return {
    messageId: () => `${instance}.${(++sequence).toString(36)}`,
    clientRandom: randomHex(8),
    now: () => clock.now(),
  };
}

/** The parameters of a method with one struct: none is an empty struct. Throws a RelayError INVALID_PARAMS. */
export function oneStruct(method: string, params: readonly Value[]): Dict {
  const [first] = params;
  if (params.length === 0) return dictOf();
  if (params.length === 1 && isDict(first)) return first;
  throw new RelayError('INVALID_PARAMS', `${method} takes one struct`);
}

/**
 * A dict that a caller handed in, after the origin check; `sender` is the host_id of the satellite that it is known to be of.
 * Throws RelayErrors INVALID_PARAMS and ORIGIN_REFUSED.
 */
export function messageFromCaller(dict: Dict, caller: Caller, self: Identity, mint: Minter, sender?: string): Message {
  requireData(dict);
  const ingress = sender === undefined ? ingressOf(dict, caller) : clientIngress(caller);
  const origin = checkOrigin(dict.host_id ?? sender, ingress, self.hostId, mint.clientRandom);
  if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
  const clientAddress = [caller.address, caller.port] as const;
  const { id, hopsLeft, ageMs, via, claim } = stampedBy(ingress, dict, mint);
  return {
    id,
    hopsLeft,
    ageMs,
    via,
    hostId: origin.hostId,
    clientAddress,
    ...contents(sourceOf(dict, caller), dict, origin.hostId, clientAddress),
    arrivedAt: mint.now(),
    verdict: origin.verdict,
    attestation: origin.attestation,
    claim,
  };
}

/** A dict that a satellite here sends, written as XML: its `host_id` and `co2` are ours to set. Throws a RelayError if nobody could read it, or it has no `data`. */
export function messageFromSatellite(source: Buffer, self: Identity, mint: Minter): Message {
  const clientAddress = [self.address, self.port] as const;
  // Read at once: if it is more than anybody reads, the sender hears of it, not those who would get it.
  const dict = parseStruct(source, { limits: { maxBodyBytes: source.length } });
  requireData(dict);
  return {
    id: mint.messageId(),
    hopsLeft: HOP_LIMIT,
    ageMs: 0,
    via: [],
    hostId: self.hostId,
    clientAddress,
    ...contents(source, dict, self.hostId, clientAddress),
    arrivedAt: mint.now(),
    verdict: 'local',
  };
}

/** The message with other contents; its `host_id`, `client_address` and stamp stay. */
export function withContents(message: Message, { source, dict }: { readonly source: Buffer; readonly dict: Dict }): Message {
  return { ...message, ...contents(source, dict, message.hostId, message.clientAddress) };
}

/** The dict as its caller wrote it; written anew where that is not known. */
export function sourceOf(dict: Dict, caller: Caller): Buffer {
  return caller.sourceOf(dict) ?? serialiseStructBytes(dict, { nil: true, i8: true });
}

function requireData(dict: Dict): void {
  if (Object.hasOwn(dict, 'data')) return;
  throw new RelayError('INVALID_PARAMS', "the dict has no member 'data'; a dict of the network is {'data': anything, ...}");
}

/** A stamp is believed from a configured peer alone; from anybody else it would let them suppress somebody's dict. What its id is good for then: see Duplicates. */
function ingressOf(dict: Dict, caller: Caller): Ingress {
  const stamp = caller.isPeer && dict.co2 !== undefined ? readStamp(dict.co2) : undefined;
  return stamp ? { kind: 'peer', address: caller.address, stamp } : clientIngress(caller);
}

/** A caller that speaks for itself alone. */
export function clientIngress({ address, isDirect }: Caller): Ingress {
  return { kind: 'client', address, isDirect };
}

function stampedBy(ingress: Ingress, { co2 }: Dict, mint: Minter): Pick<Message, 'id' | 'hopsLeft' | 'ageMs' | 'via' | 'claim'> {
  if (ingress.kind === 'client') return { id: mint.messageId(), hopsLeft: HOP_LIMIT, ageMs: 0, via: [], claim: claimIn(co2) };
  const { id, hops, age, by, via, claim }: Stamp = ingress.stamp;
  return { id, hopsLeft: hops, ageMs: age, via: [...via, by], claim };
}

function assemble(dict: Dict, hostId: string, clientAddress: readonly [string, number]): Frozen {
  const whole = dictOf([
    ['host_id', hostId],
    ['client_address', [...clientAddress]],
  ]) as Record<string, Value>;
  for (const name of Object.keys(dict)) {
    if (name !== 'host_id' && name !== 'client_address' && name !== 'co2') whole[name] = dict[name] as Value;
  }
  return freezeDict(whole);
}

/**
 * The encoded dict, and the view of it that satellites get. A decoded dict can take ten times the memory of its bytes, so a message that waits holds neither it nor the view: both are
 * there as long as nobody needs the memory, which covers all who receive the message at once.
 */
function contents(
  source: Buffer,
  dict: Dict,
  hostId: string,
  clientAddress: readonly [string, number],
): Pick<Message, 'source' | 'frozen'> {
  const parsed = new WeakRef(dict);
  let view: WeakRef<Frozen> | undefined;
  const frozen = (): Frozen => {
    const cached = view?.deref();
    if (cached) return cached;
    const made = assemble(parsed.deref() ?? decodeAgain(source), hostId, clientAddress);
    view = new WeakRef(made);
    return made;
  };
  return { source, frozen };
}

/** It was read before, by rules that were at most as wide as these. */
function decodeAgain(source: Buffer): Dict {
  return parseStruct(source, { limits: { maxBodyBytes: source.length }, allowNonFinite: true });
}

/** The message in one line of the log. */
export function describeMessage({ id, hostId, clientAddress: [address] }: Message): string {
  return `${clean(id, 130)} of ${hostId} from ${address}`;
}

/** The id that a refused dict claims to have, for the log alone; `a dict` if it has none. */
export function claimedId({ co2 }: Dict): string {
  return isDict(co2) && typeof co2.id === 'string' ? clean(co2.id, 130) : 'a dict';
}

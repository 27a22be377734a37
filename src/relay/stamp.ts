/** Reads and checks the stamp on the wire: the member `co2` of a dict between relays. */
import { HOP_LIMIT } from '../message/message.ts';
import { RelayError } from '../core/core.ts';
import { MAX_GENERATION } from '../mesh-core/mesh-core.ts';
import { isDict } from '../values/values.ts';
import type { Attestation } from '../message/message.ts';
import type { Value } from '../values/values.ts';

/** `{id, hops, age, by, via, att?, claim?, gen?}` from a peer. */
export interface Stamp {
  readonly id: string;
  /** Forwards still allowed. */
  readonly hops: number;
  /** ms. */
  readonly age: number;
  /** host_id of the relay that forwarded the dict to us. */
  readonly by: string;
  /** host_ids of the relays before that one, oldest first. */
  readonly via: readonly string[];
  readonly attestation?: Attestation | undefined;
  /** The id in the stamp of a relay that the first trusted relay did not trust. */
  readonly claim?: string | undefined;
  /** How many messages in a row were sent in answer to one another, up to this one. */
  readonly generation?: number | undefined;
}

// Our ids have 30 characters; those of other programs may be longer.
const ID = /^[!-~]{1,128}$/;
// A week, the longest life of a message.
const MAX_AGE_MS = 7 * 86_400_000;

/** The stamp in a dict's member `co2`. Throws a RelayError INVALID_PARAMS that names the invalid member. */
export function readStamp(co2: Value): Stamp {
  if (!isDict(co2)) throw wrong('co2', 'a struct');
  const { id, hops, age, by, via, att, claim, gen = 0 } = co2;
  if (!isMessageId(id)) throw wrong('co2.id', 'a string of 1 to 128 visible ASCII characters');
  if (!isCount(hops, HOP_LIMIT)) throw wrong('co2.hops', `an integer from 0 to ${HOP_LIMIT}`);
  if (!isCount(age, MAX_AGE_MS)) throw wrong('co2.age', 'ms, at most a week');
  if (typeof by !== 'string') throw wrong('co2.by', 'a host_id');
  if (!isCount(gen, MAX_GENERATION)) throw wrong('co2.gen', `an integer from 0 to ${MAX_GENERATION}`);
  return {
    ...{ id, hops, age, by, via: readVia(via), attestation: readAttestation(att) },
    ...{ claim: isMessageId(claim) ? claim : undefined, generation: gen },
  };
}

/**
 * The id that an untrusted stamp claims: the first id of the dict, which each relay passes on. Undefined if there is none. Never throws.
 * Nothing else in such a stamp is used: with a false path or hop limit its author could keep the dict, and all equal copies, from relays.
 */
export function claimIn(co2: Value | undefined): string | undefined {
  if (!isDict(co2)) return undefined;
  if (isMessageId(co2.claim)) return co2.claim;
  return isMessageId(co2.id) ? co2.id : undefined;
}

/** True if the stamp, trusted or not, says that the relay `hostId` has already had this dict, so that it is circulating. */
export function hasPassed(co2: Value | undefined, hostId: string): boolean {
  if (!isDict(co2)) return false;
  return co2.by === hostId || (Array.isArray(co2.via) && co2.via.slice(0, HOP_LIMIT).includes(hostId));
}

/** True for what may be the id of a message. */
export function isMessageId(value: Value | undefined): value is string {
  return typeof value === 'string' && ID.test(value);
}

function readVia(via: Value | undefined): readonly string[] {
  if (via === undefined) return [];
  if (Array.isArray(via) && via.length <= HOP_LIMIT && via.every((id: Value) => typeof id === 'string')) return via;
  throw wrong('co2.via', `an array of at most ${HOP_LIMIT} host_ids`);
}

function readAttestation(att: Value | undefined): Attestation | undefined {
  if (att === undefined) return undefined;
  if (isDict(att) && typeof att.by === 'string' && typeof att.observed_ip === 'string' && att.verdict === 'checked') {
    return { by: att.by, observedIp: att.observed_ip, verdict: att.verdict };
  }
  throw wrong('co2.att', '{by, observed_ip, verdict}');
}

function isCount(value: Value | undefined, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

function wrong(member: string, expected: string): RelayError {
  return new RelayError('INVALID_PARAMS', `the stamp of a forwarded dict is damaged: ${member} is not ${expected}`);
}

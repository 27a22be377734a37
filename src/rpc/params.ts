/** Checks of parameters that several methods share. Each throws a RelayError INVALID_PARAMS. */
import { RelayError, clean } from '../core/core.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';

// Ends waits that a caller has forgotten.
const MAX_WAIT_MS = 60_000;

/** The only parameter, a struct with no other members than these; an empty one if it is omitted. */
export function onlyMembers(method: string, params: readonly Value[], members: readonly string[]): Dict {
  const [struct = dictOf(), ...more] = params;
  if (!isDict(struct) || more.length > 0) throw wrongParams(`${method} takes one struct`);
  const unknown = Object.keys(struct).find((name) => !members.includes(name));
  if (unknown !== undefined)
    throw wrongParams(`${method} has no member '${clean(unknown, 60)}'; its members are ${members.join(', ') || 'none'}`);
  return struct;
}

/** The ms of a long poll, 0 to 60,000. */
export function waitOf(value: Value): number {
  if (isCount(value, 0, MAX_WAIT_MS)) return value;
  throw wrongParams(`waitMs must be an integer from 0 to ${MAX_WAIT_MS}`);
}

/** True for an integer in this range. */
export function isCount(value: Value | undefined, from: number, to: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to;
}

/** The error for parameters that do not fit. */
export function wrongParams(text: string): RelayError {
  return new RelayError('INVALID_PARAMS', text);
}

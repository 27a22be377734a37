/** The types that `@Exposed` may declare: which values they accept as parameters, and how they write an answer. */
import type { XmlRpcType } from '../../plugin/internal.ts';
import { Double, Int64, isDict, numberOfType } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';

interface ValueType {
  /** True for a parameter of this type. */
  readonly accepts: (value: Value) => boolean;
  /** The answer to write. Undefined if it is not of this type. */
  readonly answer: (value: unknown) => Sendable | undefined;
}

/** A type whose answers are written as they are. */
function plain(is: (value: unknown) => boolean): ValueType {
  return { accepts: is, answer: (value) => (is(value) ? (value as Sendable) : undefined) };
}

const isInt = (value: unknown): value is number => typeof value === 'number' && (value | 0) === value;
const isDate = (value: unknown): value is Date => value instanceof Date && !Number.isNaN(value.getTime());
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;
const isStruct = (value: unknown): boolean => isDict(value) || value instanceof Map;

// Adding 0 turns -0 into 0, since integer types have no -0.
const int: ValueType = { accepts: isInt, answer: (value) => (isInt(value) ? value + 0 : undefined) };

/** The types by name. */
export const VALUE_TYPES: Readonly<Record<XmlRpcType, ValueType>> = {
  int,
  i4: int,
  i8: { accepts: (value) => typeof value === 'bigint' || Number.isSafeInteger(value), answer: int64 },
  boolean: plain((value) => typeof value === 'boolean'),
  string: plain((value) => typeof value === 'string'),
  double: { accepts: (value) => typeof value === 'number', answer: double },
  'dateTime.iso8601': plain(isDate),
  base64: plain(isBytes),
  array: plain((value) => Array.isArray(value)),
  struct: plain(isStruct),
  nil: { accepts: (value) => value === null, answer: (value) => (value === null || value === undefined ? null : undefined) },
  any: { accepts: () => true, answer: (value) => value as Sendable },
};

function int64(value: unknown): Sendable | undefined {
  if (Int64.is(value)) return value;
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? new Int64(value) : undefined;
  return Number.isSafeInteger(value) ? numberOfType(value as number, 'i8') : undefined;
}

function double(value: unknown): Sendable | undefined {
  if (Double.is(value)) return value;
  return Number.isFinite(value) ? numberOfType(value as number, 'double') : undefined;
}

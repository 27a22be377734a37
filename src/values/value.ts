/** The values that an XML-RPC message can carry, as plain JavaScript. */
import { hasMark, hasTypeMark, markType } from '../core/core.ts';

const DICT = Symbol.for('co2-relay.Dict');

/** True for the class {@link Dict} of this or any other loaded copy of the package. */
export function isDictType(type: unknown): boolean {
  return hasTypeMark(type, DICT);
}

/**
 * A decoded XML-RPC `<struct>`: an object without a prototype, so that no member name has a special meaning.
 * It is a class rather than an interface because the emitted metadata of decorated methods needs a value.
 */
export abstract class Dict {
  readonly [member: string]: Value;

  static {
    markType(this, DICT);
  }
}

/** A value as read: `<nil/>`, boolean, int and double, i8 beyond 2^53, string, dateTime, base64, array, struct. */
export type Value = null | boolean | number | bigint | string | Date | Buffer | readonly Value[] | Dict;

/** A value that can be sent: every {@link Value}, and types that exist only for sending. */
export type Sendable =
  | Value
  | Double
  | Int64
  | Attempt
  | Uint8Array
  | ReadonlyMap<string, Sendable>
  | readonly Sendable[]
  | { readonly [member: string]: Sendable | undefined };

const DOUBLE = Symbol.for('co2-relay.Double');
const INT64 = Symbol.for('co2-relay.Int64');
const ATTEMPT = Symbol.for('co2-relay.Attempt');

/** A number that is sent as `<double>` even if it is whole: `new Double(1)` is `1.0`. */
export class Double {
  readonly [DOUBLE] = true;

  constructor(readonly value: number) {}

  /** True for a Double of this or any other loaded copy of the package. */
  static is(value: unknown): value is Double {
    return hasMark(value, DOUBLE);
  }
}

/** An integer that is sent as `<i8>` even if it fits 32 bits: `new Int64(5n)`. */
export class Int64 {
  readonly [INT64] = true;

  constructor(readonly value: bigint) {}

  /** True for an Int64 of this or any other loaded copy of the package. */
  static is(value: unknown): value is Int64 {
    return hasMark(value, INT64);
  }
}

/**
 * A value with a replacement in case it cannot be written, so that one part of a document can fail without the rest. An attempt inside
 * another one ends the outer one: what is written after it is no longer replaced.
 */
export class Attempt {
  readonly [ATTEMPT] = true;

  /** `otherwise` is called with the RelayError if `value` cannot be written, and returns the replacement. */
  constructor(
    readonly value: Sendable,
    readonly otherwise: (error: unknown) => Sendable,
  ) {}

  /** True for an Attempt of this or any other loaded copy of the package. */
  static is(value: unknown): value is Attempt {
    return hasMark(value, ATTEMPT);
  }
}

/** A number as the XML-RPC type `double` or `i8`; any other value, and any number that the type does not hold, as it is. */
export function numberOfType(value: Sendable, type: string | undefined): Sendable {
  const number = Double.is(value) ? value.value : value;
  if (typeof number !== 'number') return value;
  if (type === 'double' && Number.isFinite(number)) return new Double(number);
  return type === 'i8' && Number.isSafeInteger(number) ? new Int64(BigInt(number)) : value;
}

/** A new dict with the members of `entries`; no name has a special meaning. */
export function dictOf(entries: Iterable<readonly [string, Value]> = []): Dict {
  const dict = Object.create(null) as Record<string, Value>;
  for (const [name, value] of entries) dict[name] = value;
  return dict;
}

/** True for a decoded struct or a plain object; false for dates, bytes, arrays and other class instances. */
export function isDict(value: unknown): value is Dict {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** The limits and the options with which messages are read and written. */
import { BODY_LIMITS } from '../core/core.ts';
import type { BodyLimits } from '../core/core.ts';

/** Limits on one message. Whatever exceeds one is rejected with LIMIT and its position. */
export interface XmlRpcLimits extends BodyLimits {
  /**
   * Attributes of one element. Default 32: XML-RPC has none, extensions declare one or two namespaces; bounds the quadratic search for
   * duplicates.
   */
  maxAttributes: number;
}

/** The default limits. */
export const DEFAULT_LIMITS: Readonly<XmlRpcLimits> = Object.freeze({ ...BODY_LIMITS, maxAttributes: 32 });

/** `partial` completed with the defaults; an explicit `undefined` means the default, too. */
export function completeLimits(partial?: Partial<XmlRpcLimits>): Readonly<XmlRpcLimits> {
  if (partial === undefined) return DEFAULT_LIMITS;
  return {
    maxBodyBytes: partial.maxBodyBytes ?? DEFAULT_LIMITS.maxBodyBytes,
    maxDepth: partial.maxDepth ?? DEFAULT_LIMITS.maxDepth,
    maxValues: partial.maxValues ?? DEFAULT_LIMITS.maxValues,
    maxMembers: partial.maxMembers ?? DEFAULT_LIMITS.maxMembers,
    maxNameLength: partial.maxNameLength ?? DEFAULT_LIMITS.maxNameLength,
    maxDigits: partial.maxDigits ?? DEFAULT_LIMITS.maxDigits,
    maxAttributes: partial.maxAttributes ?? DEFAULT_LIMITS.maxAttributes,
  };
}

/**
 * How far a reader departs from the specification.
 *
 * - `none`: not at all.
 * - `forms`: accepts spellings outside the specification that have only one meaning: white space around numbers, booleans and dates; `true`
 *   and `false`; dates without colons, with a space for the `T`, or with a comma before the fraction; `<array/>` without `<data>`.
 * - `values`: also accepts NaN and infinities, scalars whose text does not match their type (an integer out of range becomes a number or
 *   bigint, anything else its text), and faults of any shape. For responses only.
 */
export type Leniency = 'none' | 'forms' | 'values';

/** Options for reading a struct. */
export interface ReadOptions {
  readonly limits?: Partial<XmlRpcLimits> | undefined;
  /**
   * Accepts `NaN`, `INF`, `-INF`, `inf`, `Infinity` … as doubles. Default false: XML-RPC has only finite numbers, and few readers expect
   * others.
   */
  readonly allowNonFinite?: boolean | undefined;
  /** Default `forms` for calls and structs, `none` for responses. */
  readonly leniency?: Leniency | undefined;
}

/** Options for reading a request or response body. */
export interface ParseOptions extends ReadOptions {
  /** The charset parameter of the Content-Type. */
  readonly charset?: string | undefined;
}

/** Options for reading a body in slices. */
export interface SliceOptions extends ParseOptions {
  /**
   * Bytes between two pauses. Default 256 KiB: a millisecond for ordinary bodies, about ten for the worst. The UTF-8 check, one long ASCII
   * text and the final copy of one base64 value are not sliced; each takes a few milliseconds for 32 MiB.
   */
  readonly sliceBytes?: number | undefined;
}

/** Options for writing a message. Each widens or narrows the output; with the defaults, every client from 1999 to today can read it. */
export interface WriteOptions {
  /** Writes null as `<nil/>`. Default false: it is an extension that many clients do not read. */
  readonly nil?: boolean | undefined;
  /** Writes Int64 and bigint beyond 32 bits as `<i8>`. Default false: it is an extension, too. */
  readonly i8?: boolean | undefined;
  /**
   * Writes whole numbers beyond 32 bits as `<i8>`, for readers that used i8 themselves; requires `i8`. Default false: they become doubles.
   */
  readonly wideInts?: boolean | undefined;
  /**
   * What the reader can do about an extension that it did not enable. An error that quotes such a text needs no log entry. Default: none.
   */
  readonly remedies?: Readonly<Record<'nil' | 'i8', string>> | undefined;
  /**
   * `exponent` writes 1e+300 as such, which most programs since about 2005 read. Default `decimal`: 1 and 300 zeros, as the specification
   * says.
   */
  readonly doubles?: 'decimal' | 'exponent' | undefined;
  /** Writes `NaN`, `Infinity` and `-Infinity` as `<double>`, for readers that are known to accept them. Default false: they are errors. */
  readonly nonFinite?: boolean | undefined;
  /** `ascii` writes all other characters as character references, for clients that treat bytes as characters. Default `utf-8`. */
  readonly charset?: 'utf-8' | 'ascii' | undefined;
  /**
   * For readers such as xmlrpc-c before 1.50, which cannot read characters beyond U+FFFF (emoji): `replace` writes U+FFFD in their place,
   * false rejects the text. Default true.
   */
  readonly astral?: boolean | 'replace' | undefined;
}

/** What the reader of a message knows: the switches of the output. */

/** Each switch widens or narrows what is written. Without any, every XML-RPC client can read the output. */
export interface WriteOptions {
  /** Write null as `<nil/>`. Default false: it is an extension that many clients cannot read. */
  readonly nil?: boolean | undefined;
  /** Write `Int64`, and bigint beyond 32 bits, as `<i8>`. Default false: it is an extension as well. */
  readonly i8?: boolean | undefined;
  /**
   * Write whole numbers beyond 32 bits as `<i8>`, for readers that used i8 themselves; needs `i8`. Default false: they are written as
   * doubles.
   */
  readonly wideInts?: boolean | undefined;
  /** What the reader can do to get an extension that it may not be sent. An error with this text is not logged. Default none. */
  readonly remedies?: Readonly<Record<'nil' | 'i8', string>> | undefined;
  /**
   * `exponent` writes 1e+300 as such, which programs since about 2005 can read. Default `decimal`: 1 and 300 zeros, as in the
   * specification.
   */
  readonly doubles?: 'decimal' | 'exponent' | undefined;
  /** Write `NaN`, `Infinity` and `-Infinity` as `<double>`, for readers known to accept them. Default false: they are refused. */
  readonly nonFinite?: boolean | undefined;
  /** `ascii` writes all other characters as character references, for clients that confuse bytes with characters. Default `utf-8`. */
  readonly charset?: 'utf-8' | 'ascii' | undefined;
  /** Set it to false to refuse text with characters beyond U+FFFF, which the C library before 1.50 cannot read. Default true. */
  readonly astral?: boolean | undefined;
}

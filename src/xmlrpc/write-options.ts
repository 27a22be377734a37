/** What the reader of a message knows: the switches of the output. */

/** Each switch widens or narrows what is written; without any, every client of 1999 and today reads it. */
export interface WriteOptions {
  /** `<nil/>` for null. Default false: it is an extension that many clients do not read. */
  readonly nil?: boolean | undefined;
  /** `<i8>` for bigint beyond 32 bits and Int64. Default false: an extension as well. */
  readonly i8?: boolean | undefined;
  /** Whole numbers beyond 32 bits as `<i8>`, for readers that used i8 themselves; needs `i8`. Default false: they are doubles. */
  readonly wideInts?: boolean | undefined;
  /** What the reader can do about an extension that it may not be sent; an error that quotes it needs no entry in the log. Default: none. */
  readonly remedies?: Readonly<Record<'nil' | 'i8', string>> | undefined;
  /** `exponent` writes 1e+300 as such, as programs since about 2005 read it. Default `decimal`: 1 and 300 zeros, as the specification has it. */
  readonly doubles?: 'decimal' | 'exponent' | undefined;
  /** `NaN`, `Infinity` and `-Infinity` as `<double>`, for readers that are known to take them. Default false: they are refused. */
  readonly nonFinite?: boolean | undefined;
  /** `ascii` writes everything beyond ASCII as character references, for clients that take bytes for characters. Default `utf-8`. */
  readonly charset?: 'utf-8' | 'ascii' | undefined;
  /** False refuses text with characters beyond U+FFFF, which the C library before 1.50 cannot read. Default true: it is sent. */
  readonly astral?: boolean | undefined;
}

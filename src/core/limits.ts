/** The limits on one body of values in any format, and their defaults. */

/** Limits on one body. Whatever exceeds one is rejected with LIMIT and its position. */
export interface BodyLimits {
  /**
   * Bytes of the body. Default 8 MiB: four times the largest dict that we record; protects memory, of which an XML-RPC body takes about
   * four times its size.
   */
  maxBodyBytes: number;
  /**
   * Depth of nested arrays and structs. Default 64: data made by people stays below 20; protects plugins that process values recursively.
   */
  maxDepth: number;
  /**
   * Values in one body, including arrays and structs. Default 200,000: the smallest takes 15 bytes of XML-RPC, 2 of JSON, and about 100 in
   * memory; protects the heap.
   */
  maxValues: number;
  /** Members of one struct. Default 10,000: more is a table, which belongs in an array; protects code that lists or indexes members. */
  maxMembers: number;
  /**
   * UTF-16 units of a member name or any other name. Default 1024: enough for a path or URL as a key; protects logs, indexes and error
   * texts.
   */
  maxNameLength: number;
  /**
   * Bytes of one number or date. Default 1200: the longest exact decimal of a double has 1077; protects the arithmetic of big integers,
   * which is not linear.
   */
  maxDigits: number;
}

/** The default limits. */
export const BODY_LIMITS: Readonly<BodyLimits> = Object.freeze({
  maxBodyBytes: 8 * 1024 * 1024,
  maxDepth: 64,
  maxValues: 200_000,
  maxMembers: 10_000,
  maxNameLength: 1024,
  maxDigits: 1200,
});

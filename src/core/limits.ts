/** The bounds on one body of values, whatever it is written in, and their defaults. */

/** Bounds on one body; whatever exceeds one is refused with LIMIT at the place where it does. */
export interface BodyLimits {
  /**
   * Bytes of the body. Default 8 MiB: four times the largest dict that we record; protects the relay's memory, which holds an XML-RPC body
   * about four times over.
   */
  maxBodyBytes: number;
  /**
   * Arrays and structs inside each other. Default 64: data made by people stays under 20; protects plugins that walk a value by recursion.
   */
  maxDepth: number;
  /**
   * Values in one body, arrays and structs counted too. Default 200 000: the smallest is 15 bytes of XML-RPC, 2 of JSON, and about 100 in
   * memory; protects the heap.
   */
  maxValues: number;
  /**
   * Members of one struct. Default 10 000: more is a table, which belongs into an array; protects whoever lists, shows or indexes members.
   */
  maxMembers: number;
  /**
   * UTF-16 units of a name of a member, and of every other name. Default 1024: room for a path or URL as a key; protects logs, indexes and
   * the error texts.
   */
  maxNameLength: number;
  /**
   * Characters of one number or date. Default 1200: the longest exact decimal form of a double has 1077; protects the big-integer
   * arithmetic, which is not linear.
   */
  maxDigits: number;
}

/** The limits of a body about which nobody said anything. */
export const BODY_LIMITS: Readonly<BodyLimits> = Object.freeze({
  maxBodyBytes: 8 * 1024 * 1024,
  maxDepth: 64,
  maxValues: 200_000,
  maxMembers: 10_000,
  maxNameLength: 1024,
  maxDigits: 1200,
});

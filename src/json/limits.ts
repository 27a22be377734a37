/** The bounds on one JSON text, and their defaults. */

/** Bounds on one text; whatever exceeds one is refused with LIMIT at the place where it does. */
export interface JsonLimits {
  /** Bytes of the text. Default 8 MiB, as for XML-RPC: protects the relay's memory. */
  readonly maxBodyBytes: number;
  /** Arrays and objects inside each other. Default 64: the same dict may have to travel as XML-RPC, which goes no deeper. */
  readonly maxDepth: number;
  /** Values in one text, arrays and objects counted too. Default 200 000: the smallest takes two bytes here and about 100 in memory; protects the heap. */
  readonly maxValues: number;
  /** Members of one object. Default 10 000: more is a table, which belongs into an array; protects whoever lists or indexes members. */
  readonly maxMembers: number;
  /** UTF-16 units of a member's name. Default 1024: room for a path or URL as a key; protects logs, indexes and the error texts. */
  readonly maxNameLength: number;
  /** Characters of one number. Default 1200: the longest exact decimal form of a double has 1077; protects the big-integer arithmetic, which is not linear. */
  readonly maxDigits: number;
}

/** The limits of a text about which nobody said anything. */
export const DEFAULT_LIMITS: JsonLimits = Object.freeze({
  maxBodyBytes: 8 * 1024 * 1024,
  maxDepth: 64,
  maxValues: 200_000,
  maxMembers: 10_000,
  maxNameLength: 1024,
  maxDigits: 1200,
});

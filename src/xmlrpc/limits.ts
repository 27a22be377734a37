/** The bounds on one XML-RPC message, and their defaults. */

/** Bounds on one message; whatever exceeds one is refused with LIMIT at the place where it does. */
export interface XmlRpcLimits {
  /** Bytes of one body. Default 8 MiB: four times the largest dict that we record; protects the relay's memory, which holds a body about four times over. */
  maxBodyBytes: number;
  /** Arrays and structs inside each other. Default 64: data made by people stays under 20; protects plugins that walk a value by recursion. */
  maxDepth: number;
  /** Values in one message, arrays and structs counted too. Default 200 000: the smallest value is 15 bytes on the wire and about 100 in memory; protects the heap. */
  maxValues: number;
  /** Members of one struct. Default 10 000: more is a table, which belongs into an array; protects whoever lists, shows or indexes members. */
  maxMembers: number;
  /** UTF-16 units of a member, method, element or attribute name. Default 1024: room for a path or URL as a key; protects logs, indexes and the error texts. */
  maxNameLength: number;
  /** Characters of one number or date. Default 1200: the longest exact decimal form of a double has 1077; protects the big-integer arithmetic, which is not linear. */
  maxDigits: number;
  /** Attributes of one element. Default 32: XML-RPC has none, extensions declare one or two namespaces; protects the search for repeated ones, which is quadratic. */
  maxAttributes: number;
}

/** The limits of a message about which nobody said anything. */
export const DEFAULT_LIMITS: Readonly<XmlRpcLimits> = Object.freeze({
  maxBodyBytes: 8 * 1024 * 1024,
  maxDepth: 64,
  maxValues: 200_000,
  maxMembers: 10_000,
  maxNameLength: 1024,
  maxDigits: 1200,
  maxAttributes: 32,
});

/** `partial` with the defaults where it is silent; an explicit `undefined` means the default too. */
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

/** The bounds on one XML-RPC message, and their defaults. */
import { BODY_LIMITS } from '../core/core.ts';
import type { BodyLimits } from '../core/core.ts';

/** Bounds on one message; whatever exceeds one is refused with LIMIT at the place where it does. */
export interface XmlRpcLimits extends BodyLimits {
  /**
   * Attributes of one element. Default 32: XML-RPC has none, extensions declare one or two namespaces; protects the search for repeated
   * ones, which is quadratic.
   */
  maxAttributes: number;
}

/** The limits of a message about which nobody said anything. */
export const DEFAULT_LIMITS: Readonly<XmlRpcLimits> = Object.freeze({ ...BODY_LIMITS, maxAttributes: 32 });

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

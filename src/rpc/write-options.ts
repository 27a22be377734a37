/** The options with which values are written for a peer or a program, as they are checked in a configuration. */
import * as z from 'zod/mini';

export const writeOptionsShape = z.strictObject({
  nil: z.optional(z.boolean()),
  i8: z.optional(z.boolean()),
  doubles: z.optional(z.enum(['decimal', 'exponent'])),
  nonFinite: z.optional(z.boolean()),
  charset: z.optional(z.enum(['utf-8', 'ascii'])),
  astral: z.optional(z.literal([true, false, 'replace'])),
});

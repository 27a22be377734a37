/** The options with which values are written for a peer or a program, as they are checked in a configuration. */
import { z } from 'zod';

export const writeOptionsShape = z.strictObject({
  nil: z.boolean().optional(),
  i8: z.boolean().optional(),
  doubles: z.enum(['decimal', 'exponent']).optional(),
  nonFinite: z.boolean().optional(),
  charset: z.enum(['utf-8', 'ascii']).optional(),
  astral: z.literal([true, false, 'replace']).optional(),
});

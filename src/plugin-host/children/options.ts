/** The limits of a module that runs in a separate process. */
import * as z from 'zod/mini';

/** The options of plugins with `isolation: 'child'`. */
export interface ChildOptions {
  /**
   * The memory limit of one child in MB: this much for the JavaScript heap, and twice as much including buffers. Default 256: a leaking
   * plugin is stopped before it harms the relay.
   */
  readonly maxMemoryMb: number;
}

export const childDefaults: ChildOptions = {
  maxMemoryMb: 256,
};

export const childShape = {
  maxMemoryMb: z.int().check(z.gte(32), z.lte(1_048_576)),
};

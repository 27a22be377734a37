/** The limits of a module that runs in a process of its own. */
import { z } from 'zod';

/** The options of plugins with `isolation: 'child'`. */
export interface ChildOptions {
  /**
   * The memory of one child: this much for the JavaScript heap, and twice as much including buffers. Default 256: a plugin that leaks is
   * ended, and the relay is not.
   */
  readonly maxMemoryMb: number;
}

export const childDefaults: ChildOptions = {
  maxMemoryMb: 256,
};

export const childShape = {
  maxMemoryMb: z.int().min(32).max(1_048_576),
};

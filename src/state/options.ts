/** Option of the state directory. */
import * as z from 'zod/mini';

/** The options of the state directory. */
export interface StateOptions {
  /** The state directory: identity, admin token, compiled plugins. Default `.co2`; it is created with mode 0700. */
  readonly dataDir: string;
}

export const stateDefaults: StateOptions = { dataDir: '.co2' };

export const stateShape = { dataDir: z.string().check(z.minLength(1)) };

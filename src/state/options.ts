/** Option of the state directory. */
import { z } from 'zod';

/** The options of the state directory. */
export interface StateOptions {
  /** The state directory: identity, admin token, compiled plugins. Default `.co2`; it is created with mode 0700. */
  readonly dataDir: string;
}

export const stateDefaults: StateOptions = { dataDir: '.co2' };

export const stateShape = { dataDir: z.string().min(1) };

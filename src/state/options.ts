/** Option of the state directory. */
import { z } from 'zod';

export interface StateOptions {
  /** The state directory: identity, admin token, compiled plugins. Default `.co2`; created with mode 0700 if it does not exist. */
  readonly dataDir: string;
}

export const stateDefaults: StateOptions = { dataDir: '.co2' };

export const stateShape = { dataDir: z.string().min(1) };

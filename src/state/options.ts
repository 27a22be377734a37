/** Where the relay keeps what must survive a restart. */
import { z } from 'zod';

export interface StateOptions {
  /** The state directory: identity, admin token, compiled plugins. Default `.co2`; made with mode 0700 if it is not there. */
  readonly dataDir: string;
}

export const stateDefaults: StateOptions = { dataDir: '.co2' };

export const stateShape = { dataDir: z.string().min(1) };

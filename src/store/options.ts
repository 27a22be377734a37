/** Options of the durable store. */
import * as z from 'zod/mini';

/** The options of the store. */
export interface StoreOptions {
  /**
   * What the relay keeps durably, in `store/` of the state directory. While less of the disk is free than either limit, the relay refuses
   * what it would have to store, before it acknowledges it, and goes on with everything else.
   */
  readonly store: {
    /** Free bytes of the disk. Default 64 MiB: enough to finish and record what was accepted before. */
    readonly minFreeBytes: number;
    /** Free percent of the disk. Default 10, since file systems become slow when nearly full; 0 leaves only `minFreeBytes`. */
    readonly minFreePercent: number;
  };
}

export const storeDefaults: StoreOptions = { store: { minFreeBytes: 64 * 1024 * 1024, minFreePercent: 10 } };

export const storeShape = {
  store: z.strictObject({ minFreeBytes: z.int().check(z.gte(0)), minFreePercent: z.number().check(z.gte(0), z.lte(90)) }),
};

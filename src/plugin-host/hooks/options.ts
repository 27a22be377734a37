/** What the operator decides about relay plugins: which are loaded, and how long a dict may wait for them. */
import * as z from 'zod/mini';

/** A relay plugin with the configuration for its `setup`. */
export interface RelayPluginEntry {
  /**
   * A file such as `./filters/key.ts` (relative to where this is written, or absolute), or the name of a module in `pluginsDir` or in an
   * npm package, such as `ham.filter`. Required; no default.
   */
  readonly use: string;
  /** What its `setup` gets. Default `{}`. */
  readonly config?: unknown;
}

export interface RelayPluginOptions {
  /**
   * The relay plugins: files, module names, or objects ({@link RelayPluginEntry}). Their classes, decorated with `@RelayPlugin`, see every
   * dict before it is delivered or forwarded. A relay plugin in `pluginsDir` is loaded only if it is listed here. If one cannot be loaded,
   * the relay does not start. Default none.
   */
  readonly relayPlugins: readonly (string | RelayPluginEntry)[];
  /**
   * How long one hook of a relay plugin may take; after that the dict is refused. Default 1,000: the sender waits for it, and so do the
   * dicts behind it.
   */
  readonly hookTimeoutMs: number;
  /**
   * The queue of dicts that wait while the hooks are busy with an earlier one. When it is full, further dicts are refused with fault 503,
   * and peers send them again.
   */
  readonly hookLine: {
    /** Queued dicts. Default 1,000, which covers some seconds if hooks take milliseconds. */
    readonly maxMessages: number;
    /**
     * Memory of the queued dicts, including their decoded values. Default 16 MiB: it protects memory when dicts are few and large. One dict
     * always fits.
     */
    readonly maxBytes: number;
  };
}

export const relayPluginDefaults: RelayPluginOptions = {
  relayPlugins: [],
  hookTimeoutMs: 1_000,
  hookLine: { maxMessages: 1_000, maxBytes: 16 * 1024 * 1024 },
};

const use = z.string().check(z.minLength(1));

export const relayPluginShape = {
  relayPlugins: z.array(z.union([use, z.strictObject({ use, config: z.optional(z.unknown()) })])),
  // A timeout of more than a minute would not protect the dicts in the queue.
  hookTimeoutMs: z.int().check(z.gte(1), z.lte(60_000)),
  hookLine: z.strictObject({ maxMessages: z.int().check(z.gte(1), z.lte(10_000_000)), maxBytes: z.int().check(z.gte(1)) }),
};

/** The entry in its long form. */
export function entryOf(entry: string | RelayPluginEntry): RelayPluginEntry {
  return typeof entry === 'string' ? { use: entry } : entry;
}

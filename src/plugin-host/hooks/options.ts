/** What the operator decides about relay plugins: which are loaded, and how long a dict may wait for them. */
import { z } from 'zod';

/** A relay plugin, and what its `setup` gets. */
export interface RelayPluginEntry {
  /** A file, `./filters/key.ts` (from where this is written) or absolute, or a module of `pluginsDir` or an npm package as plugins are called, `ham.filter`. No default. */
  readonly use: string;
  /** Default `{}`. */
  readonly config?: unknown;
}

export interface RelayPluginOptions {
  /**
   * Files or modules, or {@link RelayPluginEntry}, whose classes decorated with `@RelayPlugin` see every dict before it is delivered or forwarded. One that lies in `pluginsDir` is loaded only
   * if it stands here; one that does not load stops the start. Default none.
   */
  readonly relayPlugins: readonly (string | RelayPluginEntry)[];
  /** ms for one hook of a relay plugin; then the dict is refused. Default 1,000: whoever sends waits for it, and so do the dicts behind. */
  readonly hookTimeoutMs: number;
  /** Dicts that wait while hooks are busy with an earlier one; what comes when it is full is refused with fault 503, and peers send it again. */
  readonly hookLine: {
    /** Default 1,000: some seconds for hooks that take milliseconds. */
    readonly maxMessages: number;
    /** Bytes that what waits holds, with the decoded dicts. Default 16 MiB: protects memory where messages are few and large. One message always fits. */
    readonly maxBytes: number;
  };
}

export const relayPluginDefaults: RelayPluginOptions = {
  relayPlugins: [],
  hookTimeoutMs: 1_000,
  hookLine: { maxMessages: 1_000, maxBytes: 16 * 1024 * 1024 },
};

const use = z.string().min(1);

export const relayPluginShape = {
  relayPlugins: z.array(z.union([use, z.strictObject({ use, config: z.unknown().optional() })])),
  // Longer than a minute is no limit for what everybody waits for.
  hookTimeoutMs: z.int().min(1).max(60_000),
  hookLine: z.strictObject({ maxMessages: z.int().min(1).max(10_000_000), maxBytes: z.int().min(1) }),
};

/** The entry in its long form. */
export function entryOf(entry: string | RelayPluginEntry): RelayPluginEntry {
  return typeof entry === 'string' ? { use: entry } : entry;
}

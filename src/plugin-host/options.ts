/** What the operator decides about plugins: which are loaded, with what configuration, and how long they may take. */
import { z } from 'zod';
import type { Isolation } from './child/isolation.ts';
import { programShape } from './program/options.ts';
import type { ProgramRecord } from './program/options.ts';

/** The bound of one satellite's waiting line; its class may ask for less, and for `merge` (`@Satellite({ inbox })`). */
export interface InboxOptions {
  /** Messages that wait for one satellite. Default 1,000: some seconds of a busy network; protects the relay's memory from a slow `receive`. */
  readonly maxMessages: number;
  /** Bytes that what waits for one satellite holds, about 768 for each message besides its XML. Default 16 MiB: protects memory where messages are few and large. One message always fits. */
  readonly maxBytes: number;
  /** What happens at the bound. `drop-oldest`, the default: news matter more than history, and the sender is never held up. */
  readonly overflow: 'drop-oldest';
}

export interface PluginHostOptions {
  /** The directory of the plugins, absolute. Default `plugins`: beside config.ts, where a newcomer looks. */
  readonly pluginsDir: string;
  /**
   * Load the modules of npm packages that are installed: those with the keyword `co2-relay-plugin` among the `dependencies` of the package.json in `projectDir`.
   * Default true: `npm install` suffices; false for a relay that runs nothing but what lies in `pluginsDir`.
   */
  readonly pluginPackages: boolean;
  /** The directory of the operator's package.json, absolute. Default: that of the configuration file, else the working directory. */
  readonly projectDir: string;
  /** Packages (folders, and what npm packages call theirs) to load. Default: all, so that dropping a file in suffices. */
  readonly pluginList?: readonly string[] | undefined;
  /** Configuration by module name, `'ham.spam'`; it wins over `plugins/ham/spam.config.ts`. Default: none. */
  readonly plugins: Readonly<Record<string, unknown>>;
  /**
   * Where modules run, by name, `'ham.spam'`: `inline`, in the relay's process, or `child`, in one of their own; it wins over `@Satellite({ isolation })`.
   * Default: what the decorator says, else inline, which is fastest.
   */
  readonly isolation: Readonly<Record<string, Isolation>>;
  /** MB that one child may hold: so many on the heap of JavaScript, twice as many with bytes outside of it. Default 256: a plugin that leaks is ended, and the relay is not. */
  readonly maxMemoryMb: number;
  /** Programs in any language that the relay starts and supervises; `docs/protocol-for-programs.md` says what they speak. Default: none. */
  readonly programs: readonly ProgramRecord[];
  /**
   * Watch `pluginsDir` while the relay runs: what is saved is reloaded, what is new is loaded, what is deleted is unloaded; packages of npm are not watched. Default
   * true: a version that does not start never replaces one that runs. `poll` looks once a second, for file systems that tell nobody of changes (most
   * network file systems, some shared folders of virtual machines). false: for those who deploy by a restart.
   */
  readonly watch: boolean | 'poll';
  /**
   * Let `plugin.add` add programs while the relay runs. Default false: whoever holds a token of the class admin could run anything on this machine as the relay's
   * user. Programs that were added are remembered, and run only as long as this is true.
   */
  readonly allowAddPrograms: boolean;
  readonly inbox: InboxOptions;
  /** ms for a module to load, and for one `setup`. Default 10,000: a connection may be made, a start never hangs. */
  readonly setupTimeoutMs: number;
  /** ms for one `exit`; where many hang, three times as long for all. Default 5,000: a file may be flushed; who stops the relay does not wait for a plugin that hangs. */
  readonly exitTimeoutMs: number;
  /** ms for one `receive`; then its signal is aborted and the next message is delivered. Default 60,000: protects a plugin from its own lost promise. */
  readonly receiveTimeoutMs: number;
  /**
   * ms that a plugin in this process may keep the event loop to itself before a warning names it. Default 250: a client that waits so long notices; protects
   * everybody from the plugin that computes instead of awaiting.
   */
  readonly loopWarningMs: number;
}

export const pluginHostDefaults: PluginHostOptions = {
  pluginsDir: 'plugins',
  pluginPackages: true,
  projectDir: '.',
  plugins: {},
  isolation: {},
  maxMemoryMb: 256,
  programs: [],
  allowAddPrograms: false,
  watch: true,
  inbox: { maxMessages: 1000, maxBytes: 16 * 1024 * 1024, overflow: 'drop-oldest' },
  setupTimeoutMs: 10_000,
  exitTimeoutMs: 5_000,
  receiveTimeoutMs: 60_000,
  loopWarningMs: 250,
};

/** Longer than a day is no limit, and beyond 2^31 ms a timer of Node fires at once. */
const timeLimit = z.int().min(1).max(86_400_000);

export const pluginHostShape = {
  pluginsDir: z.string().min(1),
  pluginPackages: z.boolean(),
  projectDir: z.string().min(1),
  pluginList: z.array(z.string()).optional(),
  plugins: z.record(z.string(), z.unknown()),
  isolation: z.record(z.string(), z.enum(['inline', 'child'])),
  maxMemoryMb: z.int().min(32).max(1_048_576),
  programs: z.array(programShape).max(1_000),
  allowAddPrograms: z.boolean(),
  watch: z.literal([true, false, 'poll']),
  inbox: z.strictObject({
    maxMessages: z.int().min(1).max(10_000_000),
    maxBytes: z.int().min(1),
    overflow: z.enum(['drop-oldest']),
  }),
  setupTimeoutMs: timeLimit,
  exitTimeoutMs: timeLimit,
  receiveTimeoutMs: timeLimit,
  loopWarningMs: timeLimit,
};

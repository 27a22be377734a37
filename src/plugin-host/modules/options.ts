/** Which modules are loaded, from where, with what configuration, and where they run. */
import { z } from 'zod';
import { timeLimit } from '../hosted/hosted.ts';
import type { Isolation } from './isolation.ts';

/** The options of plugins that are TypeScript or JavaScript modules. */
export interface ModuleOptions {
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
  /**
   * Watch `pluginsDir` while the relay runs: what is saved is reloaded, what is new is loaded, what is deleted is unloaded; packages of npm are not watched. Default
   * true: a version that does not start never replaces one that runs. `poll` looks once a second, for file systems that tell nobody of changes (most
   * network file systems, some shared folders of virtual machines). false: for those who deploy by a restart.
   */
  readonly watch: boolean | 'poll';
  /**
   * ms that a plugin in this process may keep the event loop to itself before a warning names it. Default 250: a client that waits so long notices; protects
   * everybody from the plugin that computes instead of awaiting.
   */
  readonly loopWarningMs: number;
}

export const moduleDefaults: ModuleOptions = {
  pluginsDir: 'plugins',
  pluginPackages: true,
  projectDir: '.',
  plugins: {},
  isolation: {},
  watch: true,
  loopWarningMs: 250,
};

export const moduleShape = {
  pluginsDir: z.string().min(1),
  pluginPackages: z.boolean(),
  projectDir: z.string().min(1),
  pluginList: z.array(z.string()).optional(),
  plugins: z.record(z.string(), z.unknown()),
  isolation: z.record(z.string(), z.enum(['inline', 'child'])),
  watch: z.literal([true, false, 'poll']),
  loopWarningMs: timeLimit,
};

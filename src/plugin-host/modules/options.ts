/** Which modules are loaded, from where, with what configuration, and where they run. */
import * as z from 'zod/mini';
import { timeLimit } from '../hosted/options.ts';
import { BUNDLED } from './bundled.ts';
import type { BundledPackage } from './bundled.ts';
import type { Isolation } from './find.ts';

/** The options of plugins that are TypeScript or JavaScript modules. */
export interface ModuleOptions {
  /** The directory of the plugins. Default `plugins`, next to the configuration file or in the working directory. */
  readonly pluginsDir: string;
  /**
   * Bundled plugins to load: `example` (echoes and adds), `chat` (a chat room), `pd` (the bridge to Pure Data), `task` (work), `sense`
   * (recordings), `watch` and `react` (services), `validate` (the validator and echo test suites of XML-RPC). `pluginList` does not apply
   * to them. Default none, because every method that a relay offers can be called; `co2 init` turns on `example` and `chat`.
   */
  readonly bundled: readonly BundledPackage[];
  /**
   * Load the modules of installed npm packages that have the keyword `co2-relay-plugin` and are `dependencies` of the `package.json` in
   * `projectDir`. Default true, so that `npm install` is enough. Set it to false for a relay that must run nothing but the contents of
   * `pluginsDir`.
   */
  readonly pluginPackages: boolean;
  /** The directory of the operator's `package.json`. Default: the directory of the configuration file, or else the working directory. */
  readonly projectDir: string;
  /** Packages to load: folders of `pluginsDir`, and the package names of npm packages. Default: all of them. */
  readonly pluginList?: readonly string[] | undefined;
  /** Configuration by module name, such as `ham.spam`. It wins over `plugins/ham/spam.config.ts`. Default none. */
  readonly plugins: Readonly<Record<string, unknown>>;
  /**
   * Where modules run, by name: `inline` in the process of the relay, or `child` in a process of its own. It wins over `@Satellite({
   * isolation })`. Default: what the decorator says, or else `inline`, which is fastest.
   */
  readonly isolation: Readonly<Record<string, Isolation>>;
  /**
   * Watch `pluginsDir` while the relay runs: saved plugins are reloaded, new ones are loaded, deleted ones are unloaded. npm packages are
   * not watched. Default true; a version that does not start never replaces one that runs. `poll` looks for changes once a second, for file
   * systems without change events (most network file systems, some shared folders of virtual machines). false is for operators who deploy
   * by restarting.
   */
  readonly watch: boolean | 'poll';
  /**
   * How long a plugin in the process of the relay may block the event loop before a warning names it. Default 250, which is when clients
   * notice the delay.
   */
  readonly loopWarningMs: number;
}

export const moduleDefaults: ModuleOptions = {
  pluginsDir: 'plugins',
  bundled: [],
  pluginPackages: true,
  projectDir: '.',
  plugins: {},
  isolation: {},
  watch: true,
  loopWarningMs: 250,
};

export const moduleShape = {
  pluginsDir: z.string().check(z.minLength(1)),
  bundled: z.array(z.enum(BUNDLED)),
  pluginPackages: z.boolean(),
  projectDir: z.string().check(z.minLength(1)),
  pluginList: z.optional(z.array(z.string())),
  plugins: z.record(z.string(), z.unknown()),
  isolation: z.record(z.string(), z.enum(['inline', 'child'])),
  watch: z.literal([true, false, 'poll']),
  loopWarningMs: timeLimit,
};

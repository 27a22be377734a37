/** The public file of relay plugins: discovery, loading, the hooks that run on every dict, and options. */
export { findRelayPlugins } from './find-relay-plugins.ts';
export type { Hook, HookAbout, Replacement } from './hook.ts';
export { entryOf, relayPluginDefaults, relayPluginShape } from './options.ts';
export type { RelayPluginEntry, RelayPluginOptions } from './options.ts';
export { RelayPlugins } from './relay-plugins.ts';
export type { Hooks, RelayPluginStatus } from './relay-plugins.ts';

/** Plugins that are modules in this process: how they are found, loaded, constructed, configured, reloaded and stopped. */
export { assemble, statedOf } from './assemble.ts';
export type { Assembled } from './assemble.ts';
export { cutShortProblem, withoutSatellites } from './cut-short.ts';
export { findFiles, findModules } from './find.ts';
export type { FindOptions, Found, FoundModule } from './find.ts';
export { Injector } from './inject.ts';
export { InlinePlugins } from './inline-plugins.ts';
export type { Look } from './inline-plugins.ts';
export { acceptInputs, cutShortAmong, filesOf, inputsOf, renewInputs } from './inputs.ts';
export type { Isolation } from './isolation.ts';
export { importModule, pickSatellites } from './load.ts';
export type { LoadedModule, SatelliteInstance } from './load.ts';
export { checkConfig, readConfig } from './plugin-config.ts';
export type { ConfigPlace } from './plugin-config.ts';
export { isFileName, relayPluginClasses } from './relay-plugin-hint.ts';
export { Watchdog } from './watchdog.ts';
export { moduleDefaults, moduleShape } from './options.ts';
export type { ModuleOptions } from './options.ts';

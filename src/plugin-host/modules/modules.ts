/** Plugins that are modules in this process: how they are found, loaded, constructed, configured, reloaded and stopped. */
export type { SatelliteClass, SatelliteClasses } from './classes.ts';
export { findFiles, findModules } from './find.ts';
export type { FindOptions, Found, FoundModule, Isolation } from './find.ts';
export { Injector } from './inject.ts';
export { InlinePlugins } from './inline-plugins.ts';
export type { ScanMode } from './inline-plugins.ts';
export { acceptInputs, incompleteFile, incompleteFileProblem, filesOf, inputsOf, renewInputs } from './inputs.ts';
export { isFileName, relayPluginClasses } from './load.ts';
export type { LoadedModule, SatelliteInstance } from './load.ts';
export { moduleDefaults, moduleShape } from './options.ts';
export type { ModuleOptions } from './options.ts';
export { checkConfig, readConfig } from './plugin-config.ts';
export type { ConfigSources } from './plugin-config.ts';
export type { ContextStamp } from './recipient.ts';
export { whyUnsafe } from './safety.ts';
export { Watchdog } from './watchdog.ts';

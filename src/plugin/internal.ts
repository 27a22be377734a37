/** The second entry of plugin/, for the plugin host alone: what it reads from a plugin's class and passes to the instance. */
export { ATTACH } from './base.ts';
export type { CallOptions, DeliveryReport, Plugin, Sender, SendOptions } from './base.ts';
export type { Context } from './context.ts';
export { LOGGER, isLoggerType, loggerFor } from './logger.ts';
export type { Logger } from './logger.ts';
export { injectedTokensOf, isInjectable, methodsWith, relayPluginOptionsOf, satelliteOptionsOf } from './metadata.ts';
export type { AnyClass, ExposedOptions, InjectionToken, SatelliteInbox, SatelliteOptions, XmlRpcType } from './metadata.ts';
export { FRAME_OVERFLOWS } from './recording.ts';
export type { ControllerOptions, DatasourceOptions, Frame, NewFrame } from './recording.ts';
export type { HookContext, HookPlace, RelayHooks, RelayPluginOptions } from './relay-plugin.ts';
export type { StandardSchema } from './schema.ts';
export { WORK_PAYLOADS } from './work.ts';
export type { WorkContext, WorkOptions, WorkPayload, WorkResult } from './work.ts';
export type { EndpointContext, EndpointOptions, ReactorEndpoint, ServiceEvent, WatcherEndpoint } from './service.ts';

/** PUBLIC: everything that plugin authors import from 'co2-relay'. */
export { Controller, Datasource, Exposed, Inject, Injectable, Reactor, RelayPlugin, Satellite, Watcher, Work } from './decorators.ts';
export { Plugin } from './base.ts';
export type { CallOptions, DeliveryReport, SendOptions, SendTo } from './base.ts';
export { Context } from './context.ts';
export { LOGGER, Logger } from './logger.ts';
export type { ExposedOptions, SatelliteInbox, SatelliteOptions, XmlRpcType } from './metadata.ts';
export { Frame } from './recording.ts';
export type { ControllerOptions, DatasourceOptions, NewFrame } from './recording.ts';
export type { HookContext, HookPlace, HookResult, RelayHooks, RelayPluginOptions } from './relay-plugin.ts';
export type { StandardSchema } from './schema.ts';
export { Dict, Double, Int64 } from '../values/values.ts';
export { Fault, Refusal } from '../core/core.ts';
export type { Carrier, CarrierPeer, Receive } from './carrier.ts';
export type { Sendable, Value } from '../values/values.ts';
export { WorkContext } from './work.ts';
export type { WorkOptions, WorkPayload, WorkResult } from './work.ts';
export { EndpointContext } from './service.ts';
export type {
  EndpointOptions,
  ReactorEndpoint,
  ReportedNode,
  ServiceEvent,
  ServiceNode,
  WatcherEndpoint,
  WatcherReport,
} from './service.ts';

/** PUBLIC: all that a plugin's author imports from 'co2-relay'. */
export { Exposed, Inject, Injectable, RelayPlugin, Satellite } from './decorators.ts';
export { Plugin } from './base.ts';
export type { CallOptions, SendOptions } from './base.ts';
export { Context } from './context.ts';
export { LOGGER, Logger } from './logger.ts';
export type { ExposedOptions, SatelliteInbox, SatelliteOptions, XmlRpcType } from './metadata.ts';
export type { HookContext, HookPlace, HookResult, RelayHooks, RelayPluginOptions } from './relay-plugin.ts';
export type { StandardSchema } from './schema.ts';
export { Dict, Double, Fault, Int64, Refusal } from '../message/message.ts';
export type { Carrier, CarrierPeer, Receive, Sendable, Value } from '../message/message.ts';

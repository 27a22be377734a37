/** PUBLIC: all that a plugin's author imports from 'co2-relay'. */
export { Exposed, Inject, Injectable, Satellite } from './decorators.ts';
export { Plugin } from './base.ts';
export type { CallOptions, SendOptions } from './base.ts';
export { Context } from './context.ts';
export { LOGGER, Logger } from './logger.ts';
export type { ExposedOptions, SatelliteInbox, SatelliteOptions, XmlRpcType } from './metadata.ts';
export type { StandardSchema } from './schema.ts';
export { Dict, Double, Fault, Int64 } from '../message/message.ts';
export type { Sendable, Value } from '../message/message.ts';

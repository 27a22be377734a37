/** What all kinds of plugins share: states and events, the registry, inboxes, swaps of versions, and reports of failures. */
export {
  LOGGED_HOST_EVENTS,
  NO_OFFERS,
  NOT_LOADED,
  PluginRegistry,
  TRANSIENT_HOST_EVENTS,
  hostLogger,
  noSuchPlugin,
  reportNotLoaded,
} from './hosted-plugin.ts';
export type {
  HostEvent,
  HostedPlugin,
  Offers,
  PluginEvent,
  PluginKind,
  PluginState,
  PluginStatus,
  RelayPort,
  SatelliteState,
  SatelliteStatus,
  Signature,
  VersionEvent,
} from './hosted-plugin.ts';
export { COMMAND_TIMEOUT_MS, DATASOURCE_DEFAULTS, PluginEnded, frameOf } from './hosted-recording.ts';
export type { HostedController, HostedDatasource, Readiness } from './hosted-recording.ts';
export type { EndpointOrder, EndpointRole, HostedEndpoint, HostedEndpointType, HostedReactor, HostedWatcher } from './hosted-endpoints.ts';
export { isWorkResult } from './hosted-work.ts';
export type { HostedWork, WorkOrder, WorkSource } from './hosted-work.ts';
export { findOffer, isNameOf, moduleOf, requireOffer } from './find-offer.ts';
export type { NotOffered } from './find-offer.ts';
export { Inbox, NO_INBOX } from './inbox.ts';
export type { DurableQueue, DurableQueues, Recipient } from './inbox.ts';
export {
  EXTENSIONS,
  TOP_PACKAGE,
  compare,
  isHelperFolder,
  isReserved,
  isTemporary,
  nameDeclared,
  nameModules,
  readStatedVersion,
  incompatibility,
  withoutClashes,
} from './module-file.ts';
export type { ModuleFile, StatedVersion } from './module-file.ts';
export type { HostedOptions, InboxOptions } from './options.ts';
export {
  PluginFailure,
  failureOf,
  fileAt,
  frameRows,
  notHandedOver,
  placeIn,
  placeOf,
  problemAt,
  problemOf,
  reasonText,
  refusal,
  staleText,
  whereThrown,
} from './problem.ts';
export type { ModuleLocation, PluginProblem } from './problem.ts';
export { dateOf, decodeMessage, encodeMessage, timeOf } from './stored-message.ts';
export type { MessageStorage } from './stored-message.ts';
export { NOT_RELOADED, swap } from './swap.ts';
export type { Incoming } from './swap.ts';
export { VALUE_TYPES } from './value-types.ts';

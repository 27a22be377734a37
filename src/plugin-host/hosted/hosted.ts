/** What all kinds of plugins share: states and events, the registry, inboxes, the order of a swap, and how a failure is reported. */
export {
  LEFT_OUT,
  LOGGED_HOST_EVENTS,
  PluginRegistry,
  TRANSIENT_HOST_EVENTS,
  hostLogger,
  noSuchPlugin,
  reportLeftOut,
} from './hosted-plugin.ts';
export type {
  HostEvent,
  HostedPlugin,
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
export { Inbox, NO_INBOX } from './inbox.ts';
export type { Recipient } from './inbox.ts';
export {
  EXTENSIONS,
  TOP_PACKAGE,
  compare,
  isHelperFolder,
  isReserved,
  isTemporary,
  nameAnnounced,
  nameModules,
  statedIn,
  whyUnfit,
  withoutClashes,
} from './module-file.ts';
export type { ModuleFile, StatedVersion } from './module-file.ts';
export { hostedDefaults, hostedShape, timeLimit } from './options.ts';
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
export type { Place, PluginProblem } from './problem.ts';
export { NOT_RELOADED, swap } from './swap.ts';
export type { Incoming } from './swap.ts';
export { VALUE_TYPES } from './value-types.ts';

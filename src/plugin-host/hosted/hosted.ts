/** What all kinds of plugins share: states, methods and satellites, the registry, the order of a swap, and how a failure is reported. */
export { DeliveryContext, contextOf } from './delivery-context.ts';
export type { ContextStamp } from './delivery-context.ts';
export {
  PluginFailure,
  failureOf,
  frameRows,
  fileAt,
  placeIn,
  placeOf,
  problemAt,
  problemOf,
  reasonText,
  staleText,
  whereThrown,
  notHandedOver,
  refusal,
} from './problem.ts';
export type {
  HostedPlugin,
  PluginEvent,
  PluginKind,
  PluginState,
  PluginStatus,
  RelayPort,
  SatelliteEvent,
  SatelliteState,
  SatelliteStatus,
  Signature,
  LineCounters,
  SatelliteLine,
} from './hosted-plugin.ts';
export { issueText, pathOf, showValue, valueAt } from './issues.ts';
export { NO_LINE } from './hosted-plugin.ts';
export {
  EXTENSIONS,
  TOP_PACKAGE,
  compare,
  isHelperFolder,
  isReserved,
  isTemporary,
  nameAnnounced,
  nameModules,
  withoutClashes,
} from './names.ts';
export type { ModuleFile } from './names.ts';
export { noSuchPlugin, PluginRegistry } from './plugin-registry.ts';
export type { InboxOptions, HostedOptions } from './options.ts';
export type { Place, PluginProblem } from './problem.ts';
export { whyUnsafe } from './safety.ts';
export { statedIn, whyUnfit } from './stated-version.ts';
export type { StatedVersion } from './stated-version.ts';
export { inStep, unlessAborted } from './step.ts';
export type { StepParts } from './step.ts';
export { NOT_RELOADED, swap } from './swap.ts';
export type { Incoming } from './swap.ts';
export { Turns } from './turns.ts';
export { VALUE_TYPES } from './value-types.ts';
export { hostedDefaults, hostedShape, timeLimit } from './options.ts';

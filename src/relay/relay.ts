/**
 * The relay itself: routes each dict from its sender to its recipients (`router.ts`), and provides the relay's wire methods (`methods/`).
 */
export { CustomEndpoint } from './custom-endpoint.ts';
export { customTransport } from './custom-transport.ts';
export { logEvents } from './event-log.ts';
export type { MessageEvent } from './message-events.ts';
export { addBasicMethods } from './methods/basic.ts';
export { pluginOnWire } from './methods/plugin-on-wire.ts';
export { addPluginMethods } from './methods/plugins.ts';
export { addProgramMethods } from './methods/programs.ts';
export type { ProgramPort } from './methods/programs.ts';
export { propertiesOf } from './methods/properties.ts';
export type { Properties } from './methods/properties.ts';
export type { Reload, ReloadReport } from './methods/reload.ts';
export { addSatelliteMethods, recordOnWire } from './methods/satellites.ts';
export { addStatus } from './methods/status.ts';
export type { CapabilitiesStatus } from './methods/status.ts';
export { relayDefaults, relayShape } from './options.ts';
export type { RelayOptions } from './options.ts';
export { OwnIdentity } from './own-identity.ts';
export { RejectionLog } from './rejection-log.ts';
export { READINESS_PARTS, overviewOf, reasonsAgainst } from './readiness.ts';
export type { NotReady, Overview, ReadinessPart } from './readiness.ts';
export { TRANSIENT_RELAY_EVENTS } from './relay-events.ts';
export type { EndpointState, RecordingEvent, RelayEvent, ServiceLifeEvent, ServiceState, WorkEvent } from './relay-events.ts';
export { relayMethods } from './relay-methods.ts';
export { Router } from './router.ts';
export { restoreMessage } from './ingress.ts';
export { relayStatus } from './status.ts';
export type { RelayStatus } from './status.ts';

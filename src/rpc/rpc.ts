/** RPC: one exchange from request bytes to response bytes, the registry of methods, and the dispatcher that runs a call. */
export { atNodes } from './at-nodes.ts';
export { DURATION_BOUNDS_MS } from './call-durations.ts';
export type { CallDurations } from './call-durations.ts';
export { callerOf } from './caller.ts';
export type { Caller } from './caller.ts';
export { Dispatcher } from './dispatcher.ts';
export type {
  CallStatus,
  CallForCaller,
  CallToNode,
  DispatcherDependencies,
  DispatcherOptions,
  FaultKind,
  MethodFailure,
  PeerAddresses,
  SatelliteCall,
} from './dispatcher.ts';
export { answerAtOnce, answerCall } from './exchange.ts';
export type { RpcEndpoint } from './exchange.ts';
export { addIntrospection, describeMethods } from './introspection.ts';
export type { MethodDescription } from './introspection.ts';
export { MethodRegistry, oneStruct } from './method-registry.ts';
export type { HostedMethod, Method } from './method-registry.ts';
export { refuseNesting } from './nested-calls.ts';
export { isCount, onlyMembers, waitOf, wrongParams } from './params.ts';
export { writeOptionsShape } from './write-options.ts';

/** XML-RPC: bytes to values and back as pure functions, a dict's canonical text, and the client. The one file of this room that others import. */
export { answerHeadOf, mayHaveArrived } from './client/reasons.ts';
export { RemoteFault } from './client/remote-fault.ts';
export { XmlRpcClient } from './client/xmlrpc-client.ts';
export type { ClientOptions } from './client/options.ts';
export * from './codec.ts';
export { DEFAULT_LIMITS } from './limits.ts';
export { keptMembers, keptValues } from './message-members.ts';
export { parseResponse, parseResponseInSlices, parseStruct, sendableResponse } from './parse.ts';
export type { ParsedResponse } from './parse.ts';
export { serialiseCall, serialiseMembersCall, serialiseStructBytes } from './serialise.ts';

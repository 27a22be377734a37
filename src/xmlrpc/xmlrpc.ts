/**
 * XML-RPC: bytes to values and back as pure functions, a dict's canonical text, and the client. The one file of this room that others
 * import.
 */

export * from './codec.ts';
export { DEFAULT_LIMITS, completeLimits } from './limits.ts';
export { keptMembers, keptValues } from './message-members.ts';
export { parseResponse, parseResponseInSlices, parseStruct, sendableResponse, parseCall } from './parse.ts';
export type { ParsedResponse, Extensions, ParsedCall } from './parse.ts';
export {
  serialiseCall,
  serialiseMembersCall,
  serialiseStructBytes,
  serialiseFault,
  serialiseMulticall,
  serialiseResponse,
} from './serialise.ts';
export type { XmlRpcLimits } from './limits.ts';
export type { WriteOptions } from './write-options.ts';
export { cleanUnsendable } from './write-text.ts';

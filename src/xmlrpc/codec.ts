/**
 * Bytes to values and back, without the client: the face for who starts in a process of its own, and has no use for what a client needs.
 */
export { DEFAULT_LIMITS } from './limits.ts';
export type { XmlRpcLimits } from './limits.ts';
export {
  canonicalMembers,
  parseCall,
  parseCallInSlices,
  parseResponse,
  parseResponseInSlices,
  parseStruct,
  sendableResponse,
} from './parse.ts';
export type { Extensions, ParsedCall, ParsedResponse, ParseOptions, ReadOptions, SliceOptions } from './parse.ts';
export {
  serialiseCall,
  serialiseFault,
  serialiseMembersCall,
  serialiseMulticall,
  serialiseResponse,
  serialiseResponseInTurns,
  serialiseStruct,
  serialiseStructBytes,
} from './serialise.ts';
export { keptMembers, keptValues } from './message-members.ts';
export type { WriteOptions } from './write-options.ts';
export { cleanUnsendable } from './write-text.ts';

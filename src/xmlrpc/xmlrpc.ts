/** XML-RPC: bytes to values and back as pure functions, a dict's canonical text, and the client. The one file of this room that others import. */
export { mayHaveArrived } from './client/reasons.ts';
export { RemoteFault } from './client/remote-fault.ts';
export { XmlRpcClient } from './client/xmlrpc-client.ts';
export type { ClientOptions } from './client/options.ts';
export { DEFAULT_LIMITS } from './limits.ts';
export type { XmlRpcLimits } from './limits.ts';
export { canonicalMembers, parseCall, parseCallInSlices, parseResponse, parseResponseInSlices, parseStruct, sendableMembers } from './parse.ts';
export type { Extensions, ParsedCall, ParsedResponse, ParseOptions, ReadOptions, SliceOptions } from './parse.ts';
export {
  serialiseCall,
  serialiseFault,
  serialiseMembersCall,
  serialiseResponse,
  serialiseResponseInTurns,
  serialiseStruct,
} from './serialise.ts';
export type { WriteOptions } from './write-options.ts';
export { cleanUnsendable } from './write-text.ts';

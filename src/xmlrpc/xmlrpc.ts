/**
 * The XML-RPC codec: bytes to values (`read/`), values to bytes (`write/`), and the canonical text of a dict. The only file that other
 * directories import.
 */
export { DEFAULT_LIMITS, completeLimits } from './options.ts';
export type { Leniency, ParseOptions, WriteOptions, XmlRpcLimits } from './options.ts';
export { SET_BY_RELAYS, keptValues, serialiseNotify } from './message-members.ts';
export type { RelayMembers } from './message-members.ts';
export { canonicalMembers, parseCall, parseCallInSlices, parseResponse, parseResponseInSlices, parseStruct } from './read/messages.ts';
export type { Extensions, ParsedCall, ParsedResponse } from './read/messages.ts';
export {
  serialiseCall,
  serialiseFault,
  serialiseMembersCall,
  serialiseMulticall,
  serialiseResponse,
  serialiseResponseInTurns,
  serialiseStruct,
  serialiseStructBytes,
  writeStruct,
} from './write/messages.ts';
export { cleanUnsendable } from './write/text.ts';

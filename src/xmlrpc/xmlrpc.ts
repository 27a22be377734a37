/** XML-RPC: bytes to values and back as pure functions, a dict's canonical text, and the client. The one file of this room that others import. */
export { RemoteFault, XmlRpcClient } from './client.ts';
export type { XmlRpcClientOptions } from './client.ts';
export { DEFAULT_LIMITS } from './limits.ts';
export type { XmlRpcLimits } from './limits.ts';
export { canonicalMembers, parseCall, parseCallInSlices, parseResponse, parseStruct } from './parse.ts';
export type { Extensions, ParsedCall, ParsedResponse, ParseOptions, ReadOptions, SliceOptions } from './parse.ts';
export { serialiseCall, serialiseCallWith, serialiseFault, serialiseMembers, serialiseResponse, serialiseStruct } from './serialise.ts';
export type { WriteOptions } from './write-value.ts';

/** Who a relay is, and whom it trusts: keys, the handshake by which relays prove them, sessions, and the store of trusted nodes. */
export { MESH_FLAG } from './descriptor.ts';
export type { Descriptor } from './descriptor.ts';
export {
  agree,
  answerOnWire,
  isProven,
  knowsSecret,
  openHello,
  pairingCode,
  proofOnWire,
  readAnswer,
  readSide,
  sideOnWire,
  HELLO_VERSION,
} from './hello.ts';
export type { Agreed, HelloAnswer, HelloSelf, HelloSide, OpenHello } from './hello.ts';
export { isNodeId } from './node-key.ts';
export { identityDefaults, identityShape } from './options.ts';
export type { IdentityOptions, TrustMode } from './options.ts';
export { OwnNode, readClusterSecret } from './own-node.ts';
export { SESSION_HEADER, answerHeader, isAnswerOf, isBodyOf, isFromSession, readRequestHeader, requestHeader } from './session.ts';
export type { RequestClaim, SessionKeys } from './session.ts';
export { EXPORTER_BYTES, EXPORTER_LABEL, nodesIn } from './tls-names.ts';
export { MAX_TRUST_BYTES, Trust } from './trust.ts';
export type { KnownNode, PendingNode, Proven, TrustKind, TrustVerdict } from './trust.ts';

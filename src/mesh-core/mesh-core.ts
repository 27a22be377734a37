/** The mesh as pure machines: messages, links, paths, store and forward. A host gives them a network, a disk, a clock and satellites. */
export type { CustodyLimits } from './held-messages.ts';
export { ByteReader, ByteWriter } from './bytes.ts';
export { ed25519Crypto, ed25519Signer } from './ed25519.ts';
export { TIME_TABLE } from './journal.ts';
export { EPHEMERAL } from './link-state.ts';
export type { Description, LinkState } from './link-state.ts';
export { BATCH_MESSAGES, MAX_GENERATION, MAX_HOPS, MAX_PAYLOAD_BYTES, MAX_TTL_MS } from './limits.ts';
export { HASH_BYTES } from './message.ts';
export type { Envelope, Head } from './message.ts';
export { ID_BYTES, idBytes, idText } from './node-id.ts';
export { MeshNode } from './node.ts';
export type { NodeParts } from './node.ts';
export { MESSAGE_LOG, PEER_TABLE, WITH_PAYLOAD } from './ports.ts';
export type {
  Ack,
  DeliveryStatus,
  Effect,
  Frame,
  NeighbourStatus,
  NodeCounters,
  NodeEvent,
  OutboxAnswer,
  OutboxCommand,
  OutboxEntry,
  ProcessingOutcome,
  ProvenPeer,
  RefusalReason,
  ReturnReason,
  Submission,
  Target,
} from './ports.ts';
export type { Path } from './paths.ts';
export { idOfKey } from './seal.ts';
export type { Crypto, Signer } from './seal.ts';
export { SEEN_TABLE, SeenMessages } from './seen.ts';
export { Topology } from './topology.ts';
export type { NodeChange, Version } from './topology.ts';

/** The nodes of the mesh as the rest of the relay uses them: calls of their methods, and what is known of them. */
export type { NodeCallOptions, NodeCalls } from './node-calls.ts';

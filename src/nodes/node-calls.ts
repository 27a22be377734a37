/** What other parts of the relay call on the nodes of the mesh. */
import type { Sendable, Value } from '../values/values.ts';

/** Options of one call to a node. */
export interface NodeCallOptions {
  /** ms until the call is given up, here and there. Default 30,000; at most 600,000. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call, here and there. */
  readonly signal?: AbortSignal | undefined;
  /** Whom this node calls for, such as the name of a satellite; the log of the other node shows it. Default: the relay itself. */
  readonly as?: string | undefined;
}

/** Calls methods of other nodes. A call of this node itself runs here. */
export interface NodeCalls {
  /** Id of this node. */
  readonly self: string;
  /**
   * The id of the node with this id, or with this nick if only one known node has it. Throws a RelayError NOT_FOUND that names
   * candidates.
   */
  resolve(name: string): string;
  /**
   * Calls a method of a node, named by its id or nick, and returns the result. Rejects with a Fault or RelayError of the other node, or
   * with a RelayError of this one: NOT_FOUND, TIMEOUT, LIMIT if too many calls are open or the parameters are too large, TRANSPORT if the
   * node cannot be reached.
   */
  call(node: string, method: string, params: readonly Sendable[], options?: NodeCallOptions): Promise<Value>;
  /**
   * Calls a method of a node that answers a stream of items, and returns them as they arrive; the other node waits while they are not read.
   * The time limit counts from one item to the next. Ends with an error like {@link call}. Leaving the loop cancels the call.
   */
  stream(node: string, method: string, params: readonly Sendable[], options?: NodeCallOptions): AsyncIterable<Value>;
}

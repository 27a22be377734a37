/** Options of trust and of calls. */
import * as z from 'zod/mini';
import { accessDefaults, accessShape } from '../access/access.ts';
import type { AccessOptions } from '../access/access.ts';

/** The options of the relay itself. */
export interface RelayOptions extends AccessOptions {
  /**
   * How the `host_id` of a dict is checked. `strict`: its address must be the address of the sender, or a configured peer forwards it.
   * Default `strict`.
   */
  readonly originCheck: 'strict';
  /**
   * How long a method of a plugin may take to answer. Default 60,000: longer than people wait, and a method that hangs does not hold its
   * connection forever.
   */
  readonly callTimeoutMs: number;
  /**
   * Calls in one `system.multicall` or JSON-RPC batch. Default 100: it protects other callers, because the calls of one request run one
   * after another. A peer may send 1,000, because its link sends all queued dicts in one request.
   */
  readonly maxMulticall: number;
  /** Contact of the operator, shown by `system.get_properties`. Default none. */
  readonly maintainer: string;
}

export const relayDefaults: RelayOptions = {
  ...accessDefaults,
  originCheck: 'strict',
  callTimeoutMs: 60_000,
  maxMulticall: 100,
  maintainer: '',
};

export const relayShape = {
  ...accessShape,
  originCheck: z.enum(['strict']),
  callTimeoutMs: z.int().check(z.gte(1), z.lte(86_400_000)),
  maxMulticall: z.int().check(z.gte(1), z.lte(10_000)),
  maintainer: z.string(),
};

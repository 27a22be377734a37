/** What the operator decides about trust and about calls. */
import { z } from 'zod';
import { accessDefaults, accessShape } from '../access/access.ts';
import type { AccessOptions } from '../access/access.ts';

export interface RelayOptions extends AccessOptions {
  /** How a dict's host_id is checked. `strict`: its address must be the sender's, or a configured peer forwards it. Default `strict`. */
  readonly originCheck: 'strict';
  /** ms for a plugin's method to answer. Default 60,000: longer than any call a person waits for; it frees what a hung method holds. */
  readonly callTimeoutMs: number;
  /**
   * Calls in one `system.multicall` or JSON-RPC batch. Default 100: protects other callers, since the calls of one request run in a row. A peer may make 1,000, since its link sends what
   * waits in one request.
   */
  readonly maxMulticall: number;
  /** Shown by `system.get_properties`: whom to ask about this relay. Default none. */
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
  callTimeoutMs: z.int().min(1).max(86_400_000),
  maxMulticall: z.int().min(1).max(10_000),
  maintainer: z.string(),
};

/** What the operator decides about trust and about calls. */
import { z } from 'zod';

/** Classes of methods: read (names, help, ping), message (notify), call (a plugin's method), admin (changes the relay). */
export const ACCESS_CLASSES = ['read', 'message', 'call', 'admin'] as const;
export type AccessClass = (typeof ACCESS_CLASSES)[number];

export interface RelayOptions {
  /** How a dict's host_id is checked. `strict`: its address must be the sender's, or a configured peer forwards it. Default `strict`. */
  readonly originCheck: 'strict';
  readonly access: {
    /** What a caller from another machine without a credential may call. Default `['read']`; add `'message'` for a classic co2 network. */
    readonly anonymous: readonly AccessClass[];
  };
  /** ms for a plugin's method to answer. Default 60,000: longer than any call a person waits for; it frees what a hung method holds. */
  readonly callTimeoutMs: number;
  /** Calls in one `system.multicall`. Default 100: protects other callers, since the calls of one request run in a row. */
  readonly maxMulticall: number;
  /** Shown by `system.get_properties`: whom to ask about this relay. Default none. */
  readonly maintainer: string;
}

export const relayDefaults: RelayOptions = {
  originCheck: 'strict',
  access: { anonymous: ['read'] },
  callTimeoutMs: 60_000,
  maxMulticall: 100,
  maintainer: '',
};

export const relayShape = {
  originCheck: z.enum(['strict']),
  access: z.strictObject({ anonymous: z.array(z.enum(ACCESS_CLASSES)) }),
  callTimeoutMs: z.int().min(1).max(86_400_000),
  maxMulticall: z.int().min(1).max(10_000),
  maintainer: z.string(),
};

/** The options of services. */
import * as z from 'zod/mini';
import type { Sendable } from '../values/values.ts';

/** An endpoint of a service. */
export interface EndpointRecord {
  /**
   * Which watcher or reactor it is: `package.module:method`, or `package.module` alone if the module has only one. It has no default.
   */
  readonly type: string;
  /**
   * Only for a watcher: the id or nick of the node of the mesh that runs it, and shares it by its `sharedWatchers`. Default: this relay.
   */
  readonly node?: string | undefined;
  /** Its configuration, which the plugin checks. Default: `{}`. */
  readonly cfg?: Readonly<Record<string, Sendable>> | undefined;
}

/** A service: what is watched, and what happens when it changes. */
export interface ServiceRecord {
  /** Its watchers by name. Default none. */
  readonly watchers?: Readonly<Record<string, EndpointRecord>> | undefined;
  /** Its reactors by name. Default none. */
  readonly reactors?: Readonly<Record<string, EndpointRecord>> | undefined;
}

/** Limits on each service. */
export interface ServiceLimits {
  /** Nodes of one service. Default 10,000: a report of more is an error of its watcher. Each takes about 1 KB. */
  readonly maxNodes: number;
  /**
   * Node states that wait for one reactor, each as a change of its own. Default 1,000: when more wait, they are merged into one change with
   * the last state of each node.
   */
  readonly maxQueued: number;
  /** ms within which a plugin accepts an endpoint. Default 10,000. */
  readonly acceptTimeoutMs: number;
  /** ms that a reactor may take for one change. Default 60,000: it is started again then. */
  readonly reactTimeoutMs: number;
  /** ms that the reactors get to process what waits when a service is stopped. Default 5,000. */
  readonly stopTimeoutMs: number;
}

export interface ServiceOptions {
  /** Services by name: `{ web: { watchers: {...}, reactors: {...} } }`. Default none. */
  readonly services: Readonly<Record<string, ServiceRecord>>;
  /** Limits on each service. */
  readonly serviceLimits: ServiceLimits;
  /**
   * Watchers that services of other nodes may run here, with a configuration of theirs: `['watch.probe', 'ham.spam:nodes']`. Default none,
   * since a watcher may read or connect to what its configuration says.
   */
  readonly sharedWatchers: readonly string[];
}

export const serviceDefaults: ServiceOptions = {
  services: {},
  serviceLimits: {
    maxNodes: 10_000,
    maxQueued: 1_000,
    acceptTimeoutMs: 10_000,
    reactTimeoutMs: 60_000,
    stopTimeoutMs: 5_000,
  },
  sharedWatchers: [],
};

const TYPE = /^[A-Za-z]\w{0,99}(\.\w{1,100}){0,4}(:[A-Za-z_]\w{0,99})?$/;
// Part of a path of the HTTP interface.
const NAME = /^[A-Za-z0-9][\w.-]{0,99}$/;

const name = z.string().check(z.regex(NAME, 'expected a name of letters, digits and _ . -'));
const count = z.int().check(z.gte(1), z.lte(1_000_000));
const ms = z.int().check(z.gte(1), z.lte(24 * 3_600_000));

const type = z.string().check(z.regex(TYPE, "expected a type such as 'watch.probe' or 'ham.spam:nodes'"));
const cfg = z.optional(z.record(z.string(), z.unknown()));
const watcher = z.strictObject({ type, cfg, node: z.optional(z.string().check(z.minLength(1), z.maxLength(100))) });
const reactor = z.strictObject({ type, cfg });

export const serviceShape = {
  services: z.record(
    name,
    z.strictObject({ watchers: z.optional(z.record(name, watcher)), reactors: z.optional(z.record(name, reactor)) }),
  ),
  serviceLimits: z.strictObject({
    maxNodes: count,
    maxQueued: count,
    acceptTimeoutMs: ms,
    reactTimeoutMs: ms,
    stopTimeoutMs: ms,
  }),
  sharedWatchers: z.array(type),
};

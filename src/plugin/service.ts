/** What authors of services use: nodes and events, the endpoints of watchers and reactors, and what their methods are called with. */
import type { Logger } from './logger.ts';
import type { StandardSchema } from './schema.ts';

/** One node of a service. */
export interface ServiceNode {
  /** Letters, digits and `_ . : @ / -`, at most 255 characters, so that a reactor may write it into any file. */
  readonly name: string;
  readonly status: 'up' | 'down';
  /** A host name or an address; `''` if no watcher reported one. */
  readonly host: string;
  /** 0 if no watcher reported one. */
  readonly port: number;
}

/** Nodes by name: all that have changed, and only those. */
export type ServiceEvent = Readonly<Record<string, ServiceNode>>;

/** A node as a watcher reports it. An omitted host or port is the last one that was reported. */
export type ReportedNode = Pick<ServiceNode, 'status'> & Partial<Omit<ServiceNode, 'status'>>;

/**
 * What a watcher reports. Nodes by name: the state of these nodes, and others stay as they are. A list: all nodes that the watcher knows,
 * each with its name; those that it reported before and that are missing from the list are down.
 */
export type WatcherReport = Readonly<Record<string, ReportedNode>> | readonly (ReportedNode & Pick<ServiceNode, 'name'>)[];

/** A watcher of one service. It starts nothing before `watch` is called. */
export interface WatcherEndpoint {
  /**
   * Yields reports until the signal is aborted. It is called again after a delay if it throws or returns. Nodes stay as they were last
   * reported in between, so a watcher that can list all of its nodes begins with such a list.
   */
  watch(signal: AbortSignal): AsyncIterable<WatcherReport>;
}

/** A reactor of one service. It starts nothing before `react` is called. */
export interface ReactorEndpoint {
  /**
   * Called for each change, one at a time; a returned promise is awaited. The first change has all known nodes. The map is a copy, and the
   * nodes are frozen. If it throws, a new endpoint is accepted after a delay, whose first change has all nodes again. The signal is
   * aborted when the time for the change is over.
   */
  react(change: ServiceEvent, signal: AbortSignal): unknown;
  /** Called once after the last change. Default: there is nothing to close. */
  close?(): unknown;
}

/** Options of `@Watcher` and `@Reactor`. */
export interface EndpointOptions {
  /**
   * The schema of what a service configures, the `cfg` in config.ts (zod 4, or any Standard Schema). The method gets its output. Default:
   * unchecked.
   */
  readonly config?: StandardSchema | undefined;
}

/** Which endpoint of which service is accepted. A class, so that a decorated signature may name it. */
export abstract class EndpointContext {
  /** The name of the service. */
  abstract readonly service: string;
  /** The name of the endpoint within the service. */
  abstract readonly name: string;
  /** The logger of the plugin; each line begins with both names. */
  abstract readonly logger: Logger;
}

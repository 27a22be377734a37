/** Watchers and reactors that a plugin offers, wherever it runs: their types, and one endpoint that a plugin has accepted. */
import type { MaybePromise } from '../../core/core.ts';
import type { ServiceEvent } from '../../plugin/internal.ts';
import type { Sendable } from '../../values/values.ts';

export type EndpointRole = 'watcher' | 'reactor';

/** A type of watcher or reactor. */
export interface HostedEndpointType {
  readonly role: EndpointRole;
  /** `ham.spam:nodes` */
  readonly type: string;
  /** The doc comment, `''` if there is none. */
  readonly help: string;
  /** False while its plugin is down. */
  readonly isReady: boolean;
  /** Accepts the configuration of a service; nothing starts. Rejects with the reason why the plugin refuses it. */
  readonly accept: (order: EndpointOrder) => Promise<HostedEndpoint>;
}

/** An endpoint that a service configures. */
export interface EndpointOrder {
  readonly service: string;
  /** The name of the endpoint within the service. */
  readonly name: string;
  readonly config: Readonly<Record<string, Sendable>>;
}

/** An accepted endpoint, for one run. */
export type HostedEndpoint = HostedWatcher | HostedReactor;

export interface HostedWatcher {
  readonly role: 'watcher';
  /** Aborted with a RelayError UNAVAILABLE when the version or process of the plugin ends. */
  readonly gone: AbortSignal;
  /** Its reports, unchecked. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<unknown>;
}

export interface HostedReactor {
  readonly role: 'reactor';
  /** As {@link HostedWatcher.gone}. */
  readonly gone: AbortSignal;
  /** Changes that it takes at once. */
  readonly maxBatch: number;
  /** Starts it, before the first change. */
  readonly open: () => MaybePromise<unknown>;
  /** Processes changes in order. */
  readonly react: (changes: readonly ServiceEvent[], signal: AbortSignal) => unknown;
  /** Ends it. */
  readonly close: () => MaybePromise<unknown>;
}

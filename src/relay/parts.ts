/** What the relay is made of, and what it counts. */
import type { Clock, LogSource } from '../core/core.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { PluginHost, RelayPlugins } from '../plugin-host/plugin-host.ts';
import type { Satellites } from '../satellites/satellites.ts';
import type { RelayOptions } from './options.ts';
import type { Passed } from './traffic.ts';

/** Counters since the start. */
export interface RelayStatus {
  readonly accepted: number;
  readonly sent: number;
  readonly duplicates: number;
  /** Dicts whose sender might not speak for their host_id. */
  readonly originRefused: number;
  /** Calls over the limit of their caller. */
  readonly rateLimited: number;
  /** Dicts and farewells with a token that names no satellite. */
  readonly wrongTokens: number;
  /** Dicts that hooks of relay plugins refused, that they let be delivered and go no further, that wait for them now, and that were refused since too many did. */
  readonly refusedByHooks: number;
  readonly heldBack: number;
  readonly hooksWaiting: number;
  readonly hooksOverflowed: number;
}

/** What the relay is made of; it owns none of them. */
export interface RelayParts {
  readonly options: RelayOptions;
  readonly pluginHost: Pick<PluginHost, 'deliver' | 'methods' | 'status'>;
  readonly relayPlugins: Pick<RelayPlugins, 'status'>;
  readonly mesh: Pick<
    Mesh,
    'acceptsNonFinite' | 'readBy' | 'forward' | 'isPeerAddress' | 'mayHaveMoved' | 'noteHop' | 'recheck' | 'status' | 'targets'
  >;
  readonly satellites: Pick<
    Satellites,
    'deliver' | 'register' | 'unregister' | 'requireOwner' | 'byToken' | 'byHostId' | 'byPlace' | 'list' | 'isSatelliteAddress' | 'max'
  >;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Version of the package. */
  readonly version: string;
  /** Largest dict that a satellite may send: what our own door would take from a peer. */
  readonly maxDictBytes: number;
  /** Told of each message that passed the junction. Default: nobody. */
  readonly onMessage?: ((passed: Passed) => void) | undefined;
}

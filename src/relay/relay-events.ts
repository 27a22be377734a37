/**
 * Everything that a relay reports as an event. Each part declares its own events; those of recordings, services and work are declared here,
 * since they are above the relay, and every subscriber of the relay's events gets them.
 */
import type { LinkEvent } from '../links/links.ts';
import type { PeerEvent } from '../mesh/mesh.ts';
import type { HostEvent } from '../plugin-host/plugin-host.ts';
import type { RemoteSatelliteEvent } from '../satellites/satellites.ts';
import { MESSAGE_EVENTS } from './message-events.ts';
import type { MessageEvent } from './message-events.ts';
import type { StoreEvent } from '../store/store.ts';

/** What happens to recordings. */
export interface RecordingEvent {
  /** Emitted for each change of state. */
  readonly type: 'recording.state';
  /** The name of the datasource: `ham.spam:record`. */
  readonly recording: string;
  readonly state: 'idle' | 'recording' | 'unresponsive' | 'backoff' | 'failed';
  /** `''` where the state says it all. */
  readonly reason: string;
}

/** The states of an endpoint. `waiting`: its plugin is not ready. `backoff`: it failed, and starts again at `until` (the relay's clock). */
export type EndpointState =
  | { readonly type: 'stopped' }
  | { readonly type: 'waiting' }
  | { readonly type: 'starting' }
  | { readonly type: 'running' }
  | { readonly type: 'backoff'; readonly attempt: number; readonly until: number; readonly reason: string }
  | { readonly type: 'stopping' };

/** The states of a service. `degraded`: it is started, but not all of its endpoints run. */
export type ServiceState = 'stopped' | 'running' | 'degraded' | 'stopping';

/** What happens to services. */
export type ServiceLifeEvent =
  | { readonly type: 'service.state'; readonly service: string; readonly state: ServiceState }
  | {
      readonly type: 'service.endpoint';
      readonly service: string;
      readonly role: 'watcher' | 'reactor';
      /** Its name within the service. */
      readonly name: string;
      readonly state: EndpointState;
    }
  /** Nodes have changed. Transient: it only reaches current subscribers. */
  | {
      readonly type: 'service.changed';
      readonly service: string;
      readonly nodes: Readonly<Record<string, { readonly status: 'up' | 'down'; readonly host: string; readonly port: number }>>;
    };

/** What happens to units of work. */
export type WorkEvent =
  /** Emitted for each change of state, once it is on the disk. `reason` is `''` where the state says it all. */
  | {
      readonly type: 'work.state';
      readonly unit: string;
      /** Its type: `ham.spam:render`. */
      readonly work: string;
      readonly state: 'pending' | 'running' | 'succeeded' | 'failed' | 'canceled' | 'expired' | 'lost';
      readonly reason: string;
    }
  /** The unit and everything of it is gone. */
  | { readonly type: 'work.released'; readonly unit: string; readonly work: string };

/** Any of them. */
export type RelayEvent =
  HostEvent | LinkEvent | MessageEvent | PeerEvent | RecordingEvent | RemoteSatelliteEvent | ServiceLifeEvent | StoreEvent | WorkEvent;

/** The types of those that may occur once per message, or per report of a watcher. They only reach current subscribers. */
export const TRANSIENT_RELAY_EVENTS = [...MESSAGE_EVENTS, 'service.changed'] as const;

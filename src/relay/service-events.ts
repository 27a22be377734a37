/** What happens to services, which `services/` emits: declared here, since every subscriber of the relay's events gets them. */

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

/** The types of events that may occur once per report. */
export const TRANSIENT_SERVICE_EVENTS = ['service.changed'] as const satisfies readonly ServiceLifeEvent['type'][];

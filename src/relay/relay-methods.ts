/** All wire methods of the relay itself, registered with the parts that do the work. */
import type { Clock, RecentLogs } from '../core/core.ts';
import type { EventStream } from '../events/events.ts';
import type { Discovery, Mesh, MeshHost, Peering } from '../mesh/mesh.ts';
import type { PluginHost, RelayPlugins } from '../plugin-host/plugin-host.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Satellites } from '../satellites/satellites.ts';
import { addBasicMethods } from './methods/basic.ts';
import { addOutboxMethods } from './methods/outbox.ts';
import { addPluginMethods } from './methods/plugins.ts';
import { addProgramMethods } from './methods/programs.ts';
import type { Properties } from './methods/properties.ts';
import { addReload } from './methods/reload.ts';
import type { Reload } from './methods/reload.ts';
import { addSatelliteMethods } from './methods/satellites.ts';
import { addPeerMethods } from './methods/peers.ts';
import { addStatus } from './methods/status.ts';
import type { CapabilitiesStatus } from './methods/status.ts';
import type { RejectionLog } from './rejection-log.ts';
import type { RelayEvent } from './relay-events.ts';
import type { Router } from './router.ts';
import { addWatchMethods } from './methods/watch.ts';
import { relayStatus } from './status.ts';
import { Watches } from './watches.ts';

export interface RelayMethodsDependencies {
  readonly dispatcher: Dispatcher;
  readonly router: Router;
  readonly rejections: RejectionLog;
  readonly satellites: Satellites;
  readonly mesh: Pick<Mesh, 'status' | 'add' | 'pair' | 'dismiss' | 'names'>;
  readonly peering: Peering;
  /** Undefined if it is not on. */
  readonly discovery: Discovery | undefined;
  /** The node of the mesh; undefined in a test in memory. */
  readonly host: MeshHost | undefined;
  readonly pluginHost: PluginHost;
  readonly relayPlugins: Pick<RelayPlugins, 'status'>;
  readonly events: Pick<EventStream<RelayEvent>, 'after' | 'subscribe' | 'next'>;
  readonly logs: Pick<RecentLogs, 'lines' | 'recent'>;
  readonly properties: () => Properties;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  /** Undefined: there is no `relay.reload`. */
  readonly reload: Reload | undefined;
  readonly capabilities: () => CapabilitiesStatus;
}

/** Registers the methods. Called once per relay. */
export function relayMethods(dependencies: RelayMethodsDependencies): void {
  const { dispatcher, router, rejections, satellites, mesh, peering, discovery, host, pluginHost, relayPlugins } = dependencies;
  const { events, logs, properties, clock, reload, capabilities } = dependencies;
  const { registry } = dispatcher;
  addBasicMethods(registry, router, properties);
  addSatelliteMethods(registry, { satellites, router, rejections, generationOf: (plugin) => pluginHost.generationOf(plugin) });
  addStatus(registry, {
    properties,
    counters: () => relayStatus({ router, rejections, dispatcher }),
    mesh: () => mesh.status(),
    plugins: () => pluginHost.status(),
    relayPlugins: () => relayPlugins.status(),
    capabilities,
  });
  addPeerMethods(registry, { peering, mesh, discovery, host });
  addOutboxMethods(registry, host);
  addProgramMethods(registry, pluginHost, dispatcher);
  addPluginMethods(registry, { host: pluginHost, events, logs, clock });
  addWatchMethods(registry, new Watches(events, clock));
  if (reload) addReload(registry, reload);
}

/** What a relay offers besides messages and methods: work, recordings, services and calls between nodes, with their methods and steps. */
import { join } from 'node:path';
import { clean, suggest } from './core/core.ts';
import type { Clock, LogSource, Step, Steps } from './core/core.ts';
import type { Options } from './config/config.ts';
import type { EventStream } from './events/events.ts';
import type { HttpServerDependencies } from './http/http.ts';
import type { Identity } from './message/message.ts';
import type { MeshPort, Peering } from './mesh/mesh.ts';
import { Nodes, lonelyPort } from './nodes/nodes.ts';
import type { PluginHost } from './plugin-host/plugin-host.ts';
import { Recordings, addRecordingMethods, recordingSummary } from './recordings/recordings.ts';
import type { CapabilitiesStatus, RelayEvent, Router } from './relay/relay.ts';
import type { Dispatcher } from './rpc/rpc.ts';
import { Services, addServiceMethods, serviceSummary } from './services/services.ts';
import type { StateDirectory } from './state/state.ts';
import type { Store } from './store/store.ts';
import { ReceivedUnits, Work, WorkBodies, addWorkMethods, pluginExecutor, workOnWire } from './work/work.ts';
import type { WorkNetwork } from './work/work.ts';

export interface CapabilitiesParts {
  readonly options: Options;
  readonly state: StateDirectory;
  readonly store: Store;
  readonly events: EventStream<RelayEvent>;
  readonly logs: LogSource;
  readonly clock: Clock;
  readonly date: () => number;
  readonly random: () => number;
  readonly env: NodeJS.ProcessEnv;
  readonly pluginHost: PluginHost;
  readonly router: Router;
  readonly dispatcher: Dispatcher;
  readonly self: () => Identity;
  /** The node of the mesh; undefined in a test in memory. */
  readonly mesh: MeshPort | undefined;
  readonly peering: Pick<Peering, 'status'>;
  /** Version of this relay. */
  readonly version: string;
}

/**
 * What `services` and `recordings` name of plugins that are not configured, as lines. Whether a plugin has the watcher, reactor or
 * datasource is known when it runs.
 */
export function unknownPlugins(
  { services, recordings, allowAddPrograms }: Pick<Options, 'services' | 'recordings' | 'allowAddPrograms'>,
  plugins: readonly string[],
): readonly string[] {
  // Programs that were added at run time are not in the configuration.
  if (allowAddPrograms) return [];
  const named = Object.entries(services).flatMap(([service, { watchers = {}, reactors = {} }]) => [
    ...Object.entries(watchers)
      .filter(([, { node }]) => node === undefined)
      .map(([name, { type }]) => [`services.${service}.watchers.${name}`, type] as const),
    ...Object.entries(reactors).map(([name, { type }]) => [`services.${service}.reactors.${name}`, type] as const),
  ]);
  const all = [...named, ...Object.keys(recordings).map((name) => ['recordings', name] as const)];
  return all.flatMap(([place, type]) => {
    const [plugin = ''] = type.split(':');
    return plugins.includes(plugin) ? [] : [`${place}: there is no plugin '${clean(plugin, 100)}'${suggest(plugin, plugins)}`];
  });
}

/** The capabilities of a relay. */
export interface Capabilities {
  readonly work: Work;
  readonly services: Services;
  readonly nodes: Nodes;
  /** What the HTTP server streams. */
  readonly bodies: Pick<HttpServerDependencies, 'work' | 'recordings' | 'nodes'>;
  /** What `relay.get_status` says of them. */
  status(): CapabilitiesStatus;
  /** Starts them, after the plugins; they stop before the plugins. */
  start(steps: Steps): Promise<void>;
}

// Many units are read.
const WORK_TIMEOUT_MS = 60_000;

/** Makes them, adds their methods to the registry of the dispatcher, and has them follow the states of plugins; nothing runs yet. */
export function makeCapabilities(parts: CapabilitiesParts): Capabilities {
  const { options, state, store, events, logs, clock, date, random, env, pluginHost, router, dispatcher, self, peering, version } = parts;
  const mesh = parts.mesh ?? lonelyPort(peering.status());
  const nodes = new Nodes({
    ...{ port: mesh, dispatcher, clock, logs, version },
    ...{ work: () => work.types().map(({ type }) => type), running: () => work.running.length },
  });
  const network = { port: mesh, calls: nodes.calls, requireSubmitter: requireSubmitter(dispatcher) };
  const work: Work = new Work({
    ...{ store, directory: join(state.path, 'work'), limits: options.workLimits, programs: options.work, env },
    ...{ secret: state.adminToken, clock, date, random, events, log: logs('work'), network },
    offered: () => new Map([...pluginHost.work()].map(([type, hosted]) => [type, pluginExecutor(hosted)])),
  });
  events.subscribe(work.refresh, ['plugin.state']);
  const isAdmin = dispatcher.isAdmin.bind(dispatcher);
  addWorkMethods(dispatcher.registry, {
    ...{ work, network, isAdmin, date, self: () => [self().hostId], plugins: () => pluginHost.status().plugins },
  });
  const received = new ReceivedUnits({ work, network, clock, random });

  const recordings = new Recordings({
    ...{ store, clock, date, random, events, log: logs('recordings'), directory: join(state.path, 'recordings') },
    ...{ settings: options.recordings, limits: options.recordingLimits, plugins: pluginHost },
    send: (recording, dict) => router.send(recording, dict),
  });
  events.subscribe(recordings.recorder.refresh, ['plugin.state']);
  addRecordingMethods(dispatcher.registry, { recorder: recordings.recorder, commands: recordings.commands, dispatcher, date });

  const services = new Services({ options, pluginHost, nodes: nodes.calls, clock, random, events, log: logs('services') });
  events.subscribe(services.refresh, ['plugin.state', 'plugin.version']);
  addServiceMethods(dispatcher.registry, services, clock);

  events.subscribe(nodes.offer.refresh, ['plugin.state', 'plugin.version']);

  return {
    ...{ work, services, nodes },
    bodies: { work: new WorkBodies({ work, isAdmin }), recordings: recordings.recorder, nodes },
    status: () => ({ nodes: nodes.table.list(), ...statusOf(work, recordings, services, clock) }),
    start: async (steps) => {
      await steps.start(workStep(work, received));
      await steps.start({ name: 'recordings', start: () => recordings.start(), stop: () => recordings.stop() });
      await steps.start(services.step);
      await steps.start(nodes.step);
    },
  };
}

function workStep(work: Work, received: ReceivedUnits): Step {
  return {
    name: 'work',
    start: async () => {
      await work.start();
      received.start();
    },
    stop: async () => {
      received.stop();
      await work.stop();
    },
    startTimeoutMs: WORK_TIMEOUT_MS,
  };
}

/** Units that come as messages of the mesh need the same right as calls of that node. */
function requireSubmitter(dispatcher: Dispatcher): WorkNetwork['requireSubmitter'] {
  return () => {
    dispatcher.requireCall('work.submit', { role: { kind: 'peer' }, address: '', port: 0, isDirect: true, isPeer: true });
  };
}

function statusOf(work: Work, { recorder }: Recordings, services: Services, clock: Clock): Omit<CapabilitiesStatus, 'nodes'> {
  const isActive = ({ state }: ReturnType<typeof recorder.list>[number]): boolean => state.type !== 'idle';
  return {
    work: workOnWire(work),
    recordings: recorder.list().filter(isActive).map(recordingSummary),
    services: services.list().map((service) => serviceSummary(service, clock)),
  };
}

/** What a relay offers besides messages and methods: work, recordings, services and calls between nodes, with their methods and steps. */
import { join } from 'node:path';
import type { Clock, LogSource, Steps } from './core/core.ts';
import type { Options } from './config/config.ts';
import type { EventStream } from './events/events.ts';
import type { HttpServerDependencies } from './http/http.ts';
import type { Identity } from './message/message.ts';
import type { MeshPort, Peering } from './mesh/mesh.ts';
import { Nodes, lonelyPort } from './nodes/nodes.ts';
import type { PluginHost } from './plugin-host/plugin-host.ts';
import { Recordings, addRecordingMethods } from './recordings/recordings.ts';
import type { RelayEvent, Router } from './relay/relay.ts';
import type { Dispatcher } from './rpc/rpc.ts';
import { Services, addServiceMethods } from './services/services.ts';
import type { StateDirectory } from './state/state.ts';
import type { Store } from './store/store.ts';
import { Work, WorkBodies, addWorkMethods, pluginExecutor } from './work/work.ts';

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

/** The capabilities of a relay. */
export interface Capabilities {
  readonly work: Work;
  readonly services: Services;
  readonly nodes: Nodes;
  /** What the HTTP server streams. */
  readonly bodies: Pick<HttpServerDependencies, 'work' | 'recordings' | 'nodes'>;
  /** Starts them, after the plugins; they stop before the plugins. */
  start(steps: Steps): Promise<void>;
}

// Many units are read.
const WORK_TIMEOUT_MS = 60_000;

/** Makes them, adds their methods to the registry of the dispatcher, and has them follow the states of plugins; nothing runs yet. */
export function makeCapabilities(parts: CapabilitiesParts): Capabilities {
  const { options, state, store, events, logs, clock, date, random, env, pluginHost, router, dispatcher, self, mesh, peering, version } =
    parts;
  const work = new Work({
    ...{ store, directory: join(state.path, 'work'), limits: options.workLimits, programs: options.work, env },
    ...{ secret: state.adminToken, clock, date, events, log: logs('work') },
    offered: () => new Map([...pluginHost.work()].map(([type, hosted]) => [type, pluginExecutor(hosted)])),
  });
  events.subscribe(work.refresh, ['plugin.state']);
  const isAdmin = dispatcher.isAdmin.bind(dispatcher);
  addWorkMethods(dispatcher.registry, { work, isAdmin, self: () => [self().hostId], plugins: () => pluginHost.status().plugins });

  const recordings = new Recordings({
    ...{ store, clock, date, random, events, log: logs('recordings'), directory: join(state.path, 'recordings') },
    ...{ settings: options.recordings, limits: options.recordingLimits, plugins: pluginHost },
    send: (recording, dict) => router.send(recording, dict),
  });
  events.subscribe(recordings.recorder.refresh, ['plugin.state']);
  addRecordingMethods(dispatcher.registry, { recorder: recordings.recorder, commands: recordings.commands, date });

  const services = new Services({ options, pluginHost, clock, random, events, log: logs('services') });
  events.subscribe(services.refresh, ['plugin.state', 'plugin.version']);
  addServiceMethods(dispatcher.registry, services, clock);

  const nodes = new Nodes({
    ...{ port: mesh ?? lonelyPort(peering.status()), dispatcher, clock, logs, version },
    ...{ work: () => work.types().map(({ type }) => type), running: () => work.running.length },
  });
  events.subscribe(nodes.offer.refresh, ['plugin.state', 'plugin.version']);

  return {
    work,
    services,
    nodes,
    bodies: { work: new WorkBodies({ work, isAdmin }), recordings: recordings.recorder, nodes },
    start: async (steps) => {
      await steps.start({ name: 'work', start: () => work.start(), stop: () => work.stop(), startTimeoutMs: WORK_TIMEOUT_MS });
      await steps.start({ name: 'recordings', start: () => recordings.start(), stop: () => recordings.stop() });
      await steps.start(services.step);
      await steps.start(nodes.step);
    },
  };
}

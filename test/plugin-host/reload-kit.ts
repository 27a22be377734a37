/** A host over real files with the clock of the machine and a real method registry, for tests that save files while it runs. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { container } from 'tsyringe';
import { resultOf, systemClock } from '../../src/core/core.ts';
import type { Clock } from '../../src/core/core.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { PluginHost, pluginHostDefaults } from '../../src/plugin-host/plugin-host.ts';
import type { HostEvent, PluginHostOptions, PluginProblem, PluginStatus, RelayPort } from '../../src/plugin-host/plugin-host.ts';
import { NOT_LOADED, NOT_RELOADED } from '../../src/plugin-host/hosted/hosted.ts';
import type { Caller } from '../../src/rpc/caller.ts';
import { MethodRegistry } from '../../src/rpc/method-registry.ts';
import { EventRecord } from '../support/event-record.ts';
import type { Like } from '../support/event-record.ts';
import { Gate } from '../support/gate.ts';
import { loggedEvents, memoryLog, messageOf, satelliteSource, writePlugins } from './kit.ts';
import type { Files, Sent } from './kit.ts';

export interface LiveKit {
  readonly host: PluginHost;
  readonly directory: string;
  readonly lines: Gate<string>;
  readonly seen: EventRecord<HostEvent>;
  readonly sent: Gate<Sent>;
  readonly registry: MethodRegistry;
  readonly save: (path: string, source: string) => Promise<void>;
  /** As vim does it. */
  readonly saveByRename: (path: string, source: string) => Promise<void>;
  readonly remove: (path: string) => Promise<void>;
  readonly call: (name: string, ...params: Value[]) => Promise<Sendable | undefined>;
  readonly status: (name: string) => PluginStatus;
  readonly deliver: (data: Value) => void;
  /** Resolves when the plugin has changed in this way so many times since the start of the host. */
  readonly changed: (plugin: string, change: VersionEvent['change'], count?: number) => Promise<VersionEvent>;
  /** Resolves with the `count`th problem of a file like this whose new version does not run. */
  readonly notReloaded: (problem?: Like<PluginProblem>, count?: number) => Promise<ProblemEvent>;
  /** Resolves with the `count`th problem of a file like this that is not loaded. */
  readonly notLoaded: (problem: Like<PluginProblem>, count?: number) => Promise<ProblemEvent>;
  /** Resolves when the watcher saw incomplete saves so many times. */
  readonly unsettled: (count?: number) => Promise<unknown>;
  /** Resolves when the satellite received so many messages. */
  readonly delivered: (satellite: string, count?: number) => Promise<unknown>;
}

type VersionEvent = Extract<HostEvent, { type: 'plugin.version' }>;
type ProblemEvent = Extract<HostEvent, { type: 'plugin.problem' }>;

export type LiveOverrides = Partial<PluginHostOptions> & { clock?: Clock };

/** A host that runs and watches; stopped when the test is over. */
export async function live(t: ExecutionContext, files: Files | string, overrides: LiveOverrides = {}): Promise<LiveKit> {
  const directory = typeof files === 'string' ? files : await writePlugins(t, files);
  const { logs, lines } = memoryLog();
  const events = loggedEvents(logs);
  const seen = new EventRecord(events);
  const sent = new Gate<Sent>();
  const registry = new MethodRegistry();
  const { clock = systemClock, ...changed } = overrides;
  const host = new PluginHost({
    options: { ...pluginHostDefaults, pluginsDir: directory, ...changed },
    directoryRequired: false,
    relayVersion: '0.9.0',
    container: container.createChildContainer(),
    logs,
    cacheDir: undefined,
    ...{ clock, events },
  });
  const port: RelayPort = {
    expose: (plugin, methods) => {
      registry.replace(
        plugin,
        methods.map((method) => ({
          ...method,
          signatures: method.signature,
          plugin,
          invoke: (params, { exactOf }) => method.invoke(params, exactOf),
        })),
      );
    },
    send: (satellite, dict) => {
      sent.push({ satellite, data: (dict as { data: Value }).data });
      return Promise.resolve(`sent.${sent.all.length}`);
    },
    call: (_satellite, method, params) => Promise.resolve([method, ...params] as Value),
  };
  t.teardown(() => host.stop());
  await host.start(port);
  // The first look is over too, so that whatever a test saves is a change.
  if (changed.watch === undefined) await seen.event('plugins.watched');
  return {
    ...{ host, directory, lines, seen, sent, registry },
    changed: (plugin, change, count) => seen.event('plugin.version', { plugin, change }, count),
    notReloaded: (problem, count) => seen.event('plugin.problem', { outcome: NOT_RELOADED, problem }, count),
    notLoaded: (problem, count) => seen.event('plugin.problem', { outcome: NOT_LOADED, problem }, count),
    unsettled: (count) => seen.event('plugins.unsettled', {}, count),
    delivered: (satellite, count) => seen.event('inbox.delivered', { satellite }, count),
    save: (path, source) => writeFile(join(directory, path), source),
    saveByRename: async (path, source) => {
      await writeFile(join(directory, `${path}~`), source);
      await rename(join(directory, `${path}~`), join(directory, path));
    },
    remove: (path) => rm(join(directory, path)),
    call: async (name, ...params) => resultOf(await registry.find(name).invoke(params, { exactOf: () => undefined } as unknown as Caller)),
    status: (name) => {
      const found = host.status().plugins.find((plugin) => plugin.name === name);
      if (!found) throw new Error(`no plugin ${name}; ${lines.all.join('; ')}`);
      return found;
    },
    deliver: (data) => {
      host.deliver(messageOf(data));
    },
  };
}

/** A satellite whose method `version` answers this. */
export function versioned(version: string, body = '', head = ''): string {
  return satelliteSource('Spam', `  @Exposed() version() { return ${JSON.stringify(version)}; }\n${body}`, head);
}

/** Sends `[version, what it received]`. */
export function receives(version: string, body = ''): string {
  return versioned(version, `  async receive(dict: Dict) { await this.send({ data: [${JSON.stringify(version)}, dict.data] }); }\n${body}`);
}

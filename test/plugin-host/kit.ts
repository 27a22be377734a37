/** Shared by the tests of the plugin host: plugins in a fresh directory outside the repository, a fake relay, a virtual clock. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { container } from 'tsyringe';
import { dictOf, freezeDict } from '../../src/values/values.ts';
import { systemClock } from '../../src/core/core.ts';
import type { Clock, LogSource } from '../../src/core/core.ts';
import type { Message } from '../../src/message/message.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { EventStream } from '../../src/events/events.ts';
import {
  LOGGED_HOST_EVENTS,
  PluginHost,
  TRANSIENT_HOST_EVENTS,
  hostLogger,
  pluginHostDefaults,
} from '../../src/plugin-host/plugin-host.ts';
import type { HostEvent, PluginHostOptions, PluginHostStatus, RelayPluginOptions, RelayPort } from '../../src/plugin-host/plugin-host.ts';
import type { HostedMethod } from '../../src/rpc/rpc.ts';
import { recordingLogs } from '../../src/testing/logs.ts';
import { EventRecord } from '../support/event-record.ts';
import { Gate } from '../support/gate.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Path below the plugins directory -> source. */
export type Files = Readonly<Record<string, string>>;

/** Writes the files to a new directory in the system's temporary one: nothing above it has a node_modules. */
export async function writePlugins(t: ExecutionContext, files: Files): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'co2-plugins-')));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  for (const [path, source] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), source);
  }
  return directory;
}

/** One line of the log: `error plugin-host: text`. */
export function memoryLog(): { logs: LogSource; lines: Gate<string> } {
  const lines = new Gate<string>();
  const logs = recordingLogs(({ level, category, text }) => {
    lines.push(`${level} ${category}: ${text}`);
  });
  return { logs, lines };
}

export interface Sent {
  readonly satellite: string;
  readonly data: Value;
}

export interface Kit {
  readonly host: PluginHost;
  readonly directory: string;
  readonly lines: Gate<string>;
  readonly seen: EventRecord<HostEvent>;
  /** What satellites sent, which is how the plugins of these tests report what they received. */
  readonly sent: Gate<Sent>;
  readonly clock: VirtualClock;
  /** Resolves when the satellite of this name is being set up, or was. */
  readonly settingUp: (satellite: string) => Promise<unknown>;
  readonly start: () => Promise<void>;
  /** Calls an exposed method by its full name. */
  readonly call: (name: string, ...params: Value[]) => Promise<Sendable | undefined>;
  readonly method: (name: string) => HostedMethod | undefined;
  readonly names: () => string[];
  /** Files that were not loaded, with their reasons. */
  readonly problems: () => Record<string, string>;
}

/** A stream of host events, which are logged as in a relay. */
export function loggedEvents(logs: LogSource): EventStream<HostEvent> {
  const events = new EventStream<HostEvent>({ clock: systemClock, transient: TRANSIENT_HOST_EVENTS });
  events.subscribe(hostLogger(logs), LOGGED_HOST_EVENTS);
  return events;
}

export type HostOverrides = Partial<PluginHostOptions & Pick<RelayPluginOptions, 'relayPlugins'>> & { directoryRequired?: boolean };

/** A host over these plugins, not started; stopped when the test is over. `hostClock`: default the kit's own, which stands still. */
export async function hostOf(t: ExecutionContext, files: Files | string, overrides: HostOverrides = {}, hostClock?: Clock): Promise<Kit> {
  const directory = typeof files === 'string' ? files : await writePlugins(t, files);
  const { logs, lines } = memoryLog();
  const clock = new VirtualClock(0);
  const sent = new Gate<Sent>();
  const events = loggedEvents(logs);
  const seen = new EventRecord(events);
  const { directoryRequired = true, relayPlugins, ...changed } = overrides;
  // What is watched has tests of its own.
  const options = { ...pluginHostDefaults, pluginsDir: directory, watch: false, ...changed };
  const host = new PluginHost({
    options,
    directoryRequired,
    relayPlugins,
    relayVersion: '0.9.0',
    container: container.createChildContainer(),
    logs,
    cacheDir: undefined,
    clock: hostClock ?? clock,
    events,
  });
  const port: RelayPort = {
    expose: () => undefined,
    send: (satellite, dict) => {
      sent.push({ satellite, data: (dict as { data: Value }).data });
      return Promise.resolve(`sent.${sent.all.length}`);
    },
    call: (_satellite, method, params) => Promise.resolve([method, ...params] as Value),
  };
  t.teardown(() => host.stop());
  const method = (name: string): HostedMethod | undefined => host.methods().find((one) => one.name === name);
  return {
    ...{ host, directory, lines, seen, sent, clock, method },
    settingUp: (satellite) => seen.event('satellite.state', { satellite, state: { type: 'setting-up' } }),
    start: () => host.start(port),
    call: async (name, ...params) => {
      const found = method(name);
      if (!found) throw new Error(`no method ${name}; ${lines.all.join('; ')}`);
      return found.invoke(params, () => undefined);
    },
    names: () => host.methods().map((one) => one.name),
    problems: () => problemsOf(host.status()),
  };
}

/** A started host. */
export async function started(t: ExecutionContext, files: Files | string, overrides: HostOverrides = {}, hostClock?: Clock): Promise<Kit> {
  const kit = await hostOf(t, files, overrides, hostClock);
  await kit.start();
  return kit;
}

function problemsOf({ problems }: PluginHostStatus): Record<string, string> {
  return Object.fromEntries(problems.map(({ file, line, reason }) => [line === undefined ? file : `${file}:${line}`, reason]));
}

let sequence = 0;

/** What a test changes of a message; the source as text, too. */
export interface Change extends Omit<Partial<Message>, 'source'> {
  readonly source?: string | Buffer;
}

/** A message as the relay hands it to the host. */
export function messageOf(data: Value, { source, ...more }: Change = {}): Message {
  const id = `test.${++sequence}`;
  const frozen = freezeDict(
    dictOf([
      ['host_id', 'x@127.0.0.1:1'],
      ['data', data],
    ]),
  );
  return {
    ...{
      id,
      hostId: 'x@127.0.0.1:1',
      clientAddress: ['127.0.0.1', 1],
      payload: Buffer.from(source ?? `<struct>${id}</struct>`),
      frozen: () => frozen,
    },
    ...{ destination: 'all', hopsLeft: 16, ageMs: 0, arrivedAt: 0, via: [], verdict: 'checked' },
    ...more,
  };
}

/** The source of a module with one satellite. */
export function satelliteSource(className: string, body: string, head = ''): string {
  return `import { Exposed, Fault, Inject, Injectable, LOGGER, Plugin, Satellite, type Context } from 'co2-relay';
import { Dict } from 'co2-relay';
${head}
@Satellite()
export class ${className} extends Plugin {
${body}
}
`;
}

/** A satellite that sends `[its name, what it received]` for each message. */
export const ECHO = satelliteSource('Echo', `  async receive(dict: Dict) { await this.send({ data: [this.toString(), dict.data] }); }`);

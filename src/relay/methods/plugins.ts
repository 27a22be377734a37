/** The methods by which an operator manages plugins. All need the class admin. */
import type { EventStream } from '../../events/events.ts';
import { RelayError, clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import type { Dict, Value } from '../../values/values.ts';
import { noSuchPlugin } from '../../plugin-host/plugin-host.ts';
import type { RelayEvent } from '../relay-events.ts';
import type { DeadLetter, PluginHost, PluginLogs, PluginStatus } from '../../plugin-host/plugin-host.ts';
import { oneStruct } from '../../rpc/rpc.ts';
import type { Method, MethodRegistry } from '../../rpc/rpc.ts';
import { eventOnWire, letterOnWire, lineOnWire, pluginOnWire, satelliteOnWire } from './plugin-on-wire.ts';
import type { Struct } from './plugin-on-wire.ts';

type HostMethods =
  'status' | 'rescan' | 'startPlugin' | 'stopPlugin' | 'restartPlugin' | 'reloadPlugin' | 'addProgram' | 'removeProgram' | 'deadLetters';

export interface PluginMethodsParts {
  readonly host: Pick<PluginHost, HostMethods>;
  readonly events: Pick<EventStream<RelayEvent>, 'after'>;
  readonly logs: Pick<PluginLogs, 'lines'>;
  readonly clock: Pick<Clock, 'now'>;
}

const DEFAULT_WAIT_MS = 25_000;
const MAX_WAIT_MS = 60_000;
const DEFAULT_LINES = 50;
const MAX_LINES = 500;
// The largest XML-RPC int.
const MAX_NUMBER = 2 ** 31 - 1;

/** Registers them. */
export function addPluginMethods(registry: MethodRegistry, parts: PluginMethodsParts): void {
  const add = (method: Omit<Method, 'access'>, synonyms: readonly string[] = []): void => {
    registry.add({ access: 'admin', ...method }, synonyms);
  };
  const methodsOf = (name: string): readonly string[] =>
    registry
      .exposed()
      .filter(({ plugin }) => plugin === name)
      .map((method) => method.name);
  addLooks(add, parts, methodsOf);
  addLife(add, parts, methodsOf);
  addNews(add, parts);
  addLetters(add, parts);
}

/** The names of the methods of a plugin. */
type MethodsOf = (plugin: string) => readonly string[];

type Add = (method: Omit<Method, 'access'>, synonyms?: readonly string[]) => void;

function addLooks(add: Add, { host }: PluginMethodsParts, methodsOf: MethodsOf): void {
  add({
    name: 'plugin.list',
    help: 'Lists the plugins: name, kind (inline, child, program), state and its reason, version, restarts, held (times it held the event loop), pid, waiting messages, last_error, kept_versions and kept_bytes (versions of its modules that were replaced and stay in memory, an estimate), not_reloaded (what runs as it was though it has changed).',
    signatures: [['array'], ['array', 'struct']],
    invoke: () => host.status().plugins.map(pluginOnWire),
  });
  add({
    name: 'plugin.info',
    help: 'Answers a plugin as plugin.list does, and its file, its methods and its satellites with the counters of their lines.',
    signatures: [['struct', 'string']],
    invoke: (params) => infoOf(nameIn('plugin.info', params), host, methodsOf),
  });
}

function addLife(add: Add, { host }: PluginMethodsParts, methodsOf: MethodsOf): void {
  const change = (name: string, help: string, work: (plugin: string) => Promise<void>, synonyms?: readonly string[]): void => {
    add(
      {
        name,
        help: `${help} Answers what plugin.info does.`,
        signatures: [['struct', 'string']],
        invoke: async (params) => {
          const plugin = nameIn(name, params);
          await work(plugin);
          return infoOf(plugin, host, methodsOf);
        },
      },
      synonyms,
    );
  };
  change('plugin.start', 'Starts a plugin that was stopped, failed or left out.', (name) => host.startPlugin(name));
  change(
    'plugin.stop',
    'Stops a plugin: its methods go, what waits for it is lost, and it stays stopped until plugin.start or a restart of the relay.',
    (name) => host.stopPlugin(name),
    ['plugin.unload'],
  );
  change('plugin.restart', 'Stops a plugin and starts it as it is by now, without what it knew.', (name) => host.restartPlugin(name));
  change(
    'plugin.reload',
    'Puts the current version of a plugin in the place of the one that runs, which goes on if the new one does not start.',
    (name) => host.reloadPlugin(name),
  );
  add({
    name: 'plugin.load',
    help: 'Looks at the plugins directory now: what is new is loaded, what changed is reloaded, what is gone is unloaded. Answers what plugin.list does.',
    signatures: [['array'], ['array', 'struct']],
    invoke: async () => {
      await host.rescan();
      return host.status().plugins.map(pluginOnWire);
    },
  });
  add({
    name: 'plugin.add',
    help: 'Adds a program as config.ts would (name, exec, args, env, cwd, user, group, config, timeoutMs, maxTimeouts, ...) and remembers it over restarts; only if allowAddPrograms is true. Answers what plugin.info does.',
    signatures: [['struct', 'struct']],
    invoke: async (params) => infoOf(await host.addProgram(plain(oneStruct('plugin.add', params), 'the record')), host, methodsOf),
  });
  add({
    name: 'plugin.remove',
    help: 'Stops a program that plugin.add added, and forgets it. Answers true.',
    signatures: [['boolean', 'string']],
    invoke: async (params) => {
      await host.removeProgram(nameIn('plugin.remove', params));
      return true;
    },
  });
}

function addNews(add: Add, { host, events, logs }: PluginMethodsParts): void {
  add({
    name: 'plugin.subscribe_state',
    help: "Answers {events, next, missed}: the changes of plugins' states after the number since (default 0: all that is known). If there are none it waits timeout_ms (default 25000, at most 60000) for one; ask again with next. missed: events are lost, or the relay was started anew; plugin.list tells how it is.",
    signatures: [['struct'], ['struct', 'int'], ['struct', 'int', 'int']],
    invoke: async (params) => {
      const method = 'plugin.subscribe_state';
      requireAtMost(method, params, 2);
      const waitMs = wholeIn(method, params, 1, 'timeout_ms', { otherwise: DEFAULT_WAIT_MS, most: MAX_WAIT_MS });
      const since = wholeIn(method, params, 0, 'since', { otherwise: 0, most: MAX_NUMBER });
      const batch = await events.after(since, { waitMs, matches: ({ type }) => type === 'plugin.state' });
      return { ...batch, events: batch.events.flatMap(eventOnWire) };
    },
  });
  add({
    name: 'plugin.log',
    help: "Answers the last lines (default 50, at most 500) of a plugin's log that came after the number since (default 0): number, at, level, text. What looks like a secret is hidden.",
    signatures: [
      ['array', 'string'],
      ['array', 'string', 'int'],
      ['array', 'string', 'int', 'int'],
    ],
    invoke: (params) => {
      const method = 'plugin.log';
      requireAtMost(method, params, 3);
      const { name } = find(nameIn(method, params.slice(0, 1)), host);
      const count = wholeIn(method, params, 1, 'lines', { otherwise: DEFAULT_LINES, most: MAX_LINES });
      return logs.lines(name, count, wholeIn(method, params, 2, 'since', { otherwise: 0, most: MAX_NUMBER })).map(lineOnWire);
    },
  });
}

function addLetters(add: Add, { host, clock }: PluginMethodsParts): void {
  add({
    name: 'plugin.dead_letters',
    help: 'Lists the messages that were set aside, since they killed their receiver five times or cannot be written for it (deaths is 0 then), of one plugin or of all: id, plugin, host_id, deaths, reason, age_ms, bytes.',
    signatures: [['array'], ['array', 'string']],
    invoke: (params) => {
      const plugin = params.length === 0 ? undefined : nameIn('plugin.dead_letters', params);
      const letters = host.deadLetters.list().filter(({ satellite }) => plugin === undefined || satellite === plugin);
      return letters.map((letter) => letterOnWire(letter, clock.now()));
    },
  });
  const letter = (name: string, help: string, work: (found: DeadLetter) => void): void => {
    add({
      name,
      help: `${help} The plugin is needed only where two died of one message. Answers true.`,
      signatures: [
        ['boolean', 'string'],
        ['boolean', 'string', 'string'],
      ],
      invoke: (params) => {
        work(letterIn(name, params, host.deadLetters.list()));
        return true;
      },
    });
  };
  letter('plugin.replay', 'Delivers a message that was set aside once more.', ({ satellite, id }) => {
    host.deadLetters.replay(satellite, id);
  });
  letter('plugin.drop_letter', 'Forgets a message that was set aside.', ({ satellite, id }) => {
    host.deadLetters.drop(satellite, id);
  });
}

function infoOf(name: string, host: PluginMethodsParts['host'], methodsOf: MethodsOf): Struct {
  const status = find(name, host);
  return { ...pluginOnWire(status), file: status.file, methods: methodsOf(name), satellites: status.satellites.map(satelliteOnWire) };
}

function find(name: string, host: Pick<PluginHost, 'status'>): PluginStatus {
  const { plugins } = host.status();
  const found = plugins.find((plugin) => plugin.name === name);
  if (found) return found;
  throw noSuchPlugin(
    name,
    plugins.map((plugin) => plugin.name),
  );
}

function letterIn(method: string, params: readonly Value[], letters: readonly DeadLetter[]): DeadLetter {
  const [id, plugin] = params;
  if (params.length > 2 || typeof id !== 'string' || (plugin !== undefined && typeof plugin !== 'string'))
    throw new RelayError('INVALID_PARAMS', `${method} takes the id of a message, and the name of its plugin if need be`);
  const found = letters.filter((letter) => letter.id === id && (plugin === undefined || letter.satellite === plugin));
  const [first, ...others] = found;
  if (!first) throw new RelayError('INVALID_PARAMS', `no message '${clean(id, 130)}' was set aside; plugin.dead_letters lists them`);
  if (others.length === 0) return first;
  const plugins = found.map(({ satellite }) => satellite).join(', ');
  throw new RelayError('INVALID_PARAMS', `${method}: several plugins died of that message (${clean(plugins)}): name one`);
}

function nameIn(method: string, params: readonly Value[]): string {
  const [name] = params;
  if (params.length === 1 && typeof name === 'string') return name;
  throw new RelayError('INVALID_PARAMS', `${method} takes the name of a plugin; plugin.list lists them`);
}

function requireAtMost(method: string, params: readonly Value[], count: number): void {
  if (params.length > count) throw new RelayError('INVALID_PARAMS', `${method} takes at most ${count} parameters`);
}

function wholeIn(
  method: string,
  params: readonly Value[],
  index: number,
  name: string,
  { otherwise, most }: { readonly otherwise: number; readonly most: number },
): number {
  const value = params[index];
  if (value === undefined) return otherwise;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new RelayError('INVALID_PARAMS', `${method}: ${name} is no whole number from 0 to ${most}`);
}

/** The value as JSON can hold it. Recursion is bounded: no endpoint accepts anything deeper than 64. */
function plain(value: Value | Dict, place: string): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((one: Value, index) => plain(one, `${place}[${index}]`));
  if (isDict(value))
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one, `${place}.${clean(name, 60)}`)]));
  throw new RelayError(
    'INVALID_PARAMS',
    `plugin.add: ${clean(place, 200)} is nothing that a file of JSON can hold: a long integer, a date, bytes`,
  );
}

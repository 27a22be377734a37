/** The methods by which an operator manages plugins. All need the class admin. */
import type { EventStream } from '../../events/events.ts';
import { RelayError, clean } from '../../core/core.ts';
import { describeValue, isDict, showValue } from '../../values/values.ts';
import type { Clock, RecentLogs } from '../../core/core.ts';
import type { Dict, Value } from '../../values/values.ts';
import { noSuchPlugin } from '../../plugin-host/plugin-host.ts';
import type { RelayEvent } from '../relay-events.ts';
import type { DeadLetter, PluginHost, PluginStatus } from '../../plugin-host/plugin-host.ts';
import { oneStruct } from '../../rpc/rpc.ts';
import type { Method, MethodRegistry } from '../../rpc/rpc.ts';
import { eventOnWire, letterOnWire, lineOnWire, pluginOnWire, satelliteOnWire } from './plugin-on-wire.ts';
import type { Struct } from './plugin-on-wire.ts';

type HostMethods =
  | 'status'
  | 'work'
  | 'rescan'
  | 'startPlugin'
  | 'stopPlugin'
  | 'restartPlugin'
  | 'reloadPlugin'
  | 'addProgram'
  | 'removeProgram'
  | 'deadLetters';

export interface PluginMethodsParts {
  readonly host: Pick<PluginHost, HostMethods>;
  readonly events: Pick<EventStream<RelayEvent>, 'after'>;
  readonly logs: Pick<RecentLogs, 'lines' | 'recent'>;
  readonly clock: Pick<Clock, 'now'>;
}

const DEFAULT_WAIT_MS = 25_000;
const MAX_WAIT_MS = 60_000;
const DEFAULT_LINES = 50;
const MAX_LINES = 500;
// The largest XML-RPC int.
const MAX_NUMBER = 2 ** 31 - 1;

/** Registers the methods. */
export function addPluginMethods(registry: MethodRegistry, parts: PluginMethodsParts): void {
  const add = (method: Omit<Method, 'access'>, synonyms: readonly string[] = []): void => {
    registry.add({ access: 'admin', ...method }, synonyms);
  };
  const methodsOf = (name: string): readonly string[] =>
    registry
      .exposed()
      .filter(({ plugin }) => plugin === name)
      .map((method) => method.name);
  addQueries(add, parts, methodsOf);
  addChanges(add, parts, methodsOf);
  addFeeds(add, parts);
  addDeadLetters(add, parts);
}

/** The names of the methods of a plugin. */
type MethodsOf = (plugin: string) => readonly string[];

type Add = (method: Omit<Method, 'access'>, synonyms?: readonly string[]) => void;

function addQueries(add: Add, { host }: PluginMethodsParts, methodsOf: MethodsOf): void {
  add({
    name: 'plugin.list',
    help: 'Lists the plugins: name, kind (inline, child, program), state and its reason, version, restarts, held (how often it blocked the event loop), pid, waiting messages, last_error (until another version of it runs), reload_error (why its current version does not run, while an older one does), kept_versions and kept_bytes (replaced versions of its modules that remain in memory, an estimate), not_reloaded (files that changed but still run in their old version).',
    signatures: [['array'], ['array', 'struct']],
    invoke: () => {
      const types = [...host.work().keys()];
      return host.status().plugins.map((plugin) => ({
        ...pluginOnWire(plugin),
        work: types.filter((type) => type.startsWith(`${plugin.name}:`)),
      }));
    },
  });
  add({
    name: 'plugin.info',
    help: 'Returns a plugin as plugin.list does, with its file, its methods and its satellites with the counters of their inboxes.',
    signatures: [['struct', 'string']],
    paramNames: ['plugin'],
    invoke: (params) => infoOf(nameIn('plugin.info', params), host, methodsOf),
  });
}

function addChanges(add: Add, { host }: PluginMethodsParts, methodsOf: MethodsOf): void {
  const change = (name: string, help: string, work: (plugin: string) => Promise<void>, synonyms?: readonly string[]): void => {
    add(
      {
        name,
        help: `${help} Returns the plugin as plugin.info does.`,
        signatures: [['struct', 'string']],
        paramNames: ['plugin'],
        invoke: async (params) => {
          const plugin = nameIn(name, params);
          await work(plugin);
          return infoOf(plugin, host, methodsOf);
        },
      },
      synonyms,
    );
  };
  change('plugin.start', 'Starts a plugin that was stopped, has failed or was not loaded.', (name) => host.startPlugin(name));
  change(
    'plugin.stop',
    'Stops a plugin: its methods are removed, its waiting messages are dropped, and it stays stopped until plugin.start or a restart of the relay.',
    (name) => host.stopPlugin(name),
    ['plugin.unload'],
  );
  change('plugin.restart', 'Stops a plugin and starts its current version, without its state.', (name) => host.restartPlugin(name));
  change(
    'plugin.reload',
    'Replaces the running version of a plugin by the current one; if that does not start, the running version stays.',
    (name) => host.reloadPlugin(name),
  );
  add({
    name: 'plugin.load',
    help: 'Scans the plugins directory now: loads new plugins, reloads changed ones and unloads deleted ones. Returns the plugins as plugin.list does.',
    signatures: [['array'], ['array', 'struct']],
    invoke: async () => {
      await host.rescan();
      return host.status().plugins.map(pluginOnWire);
    },
  });
  add({
    name: 'plugin.add',
    help: 'Adds a program, with the members of a program in config.ts (name, exec, args, env, cwd, user, group, config, timeoutMs, maxTimeouts, ...), and remembers it across restarts; only if allowAddPrograms is true. Returns the plugin as plugin.info does.',
    signatures: [['struct', 'struct']],
    paramNames: ['program'],
    invoke: async (params) => infoOf(await host.addProgram(plain(oneStruct('plugin.add', params), 'the record')), host, methodsOf),
  });
  add({
    name: 'plugin.remove',
    help: 'Stops a program that plugin.add added, and removes it. Returns true.',
    signatures: [['boolean', 'string']],
    paramNames: ['plugin'],
    invoke: async (params) => {
      await host.removeProgram(nameIn('plugin.remove', params));
      return true;
    },
  });
}

function addFeeds(add: Add, { host, events, logs }: PluginMethodsParts): void {
  add({
    name: 'plugin.subscribe_state',
    help: "Returns {events, next, missed}: the changes of plugins' states after the number since (default 0: all that are kept). If there are none, waits up to timeout_ms (default 25000, at most 60000) for one; pass next to the following call. missed is true if events were lost, or the relay was restarted; then plugin.list shows the current states.",
    signatures: [['struct'], ['struct', 'int'], ['struct', 'int', 'int']],
    paramNames: ['since', 'timeout_ms'],
    invoke: async (params) => {
      const method = 'plugin.subscribe_state';
      requireAtMost(method, params, 2);
      const waitMs = wholeIn(method, params, 1, 'timeout_ms', { fallback: DEFAULT_WAIT_MS, max: MAX_WAIT_MS });
      const since = wholeIn(method, params, 0, 'since', { fallback: 0, max: MAX_NUMBER });
      const batch = await events.after(since, { waitMs, matches: ({ type }) => type === 'plugin.state' });
      return { ...batch, events: batch.events.flatMap(eventOnWire) };
    },
  });
  add({
    name: 'plugin.log',
    help: "Returns the last lines (default 50, at most 500) of a plugin's log after the number since (default 0): number, at, level, text. Likely secrets are hidden.",
    signatures: [
      ['array', 'string'],
      ['array', 'string', 'int'],
      ['array', 'string', 'int', 'int'],
    ],
    paramNames: ['plugin', 'lines', 'since'],
    invoke: (params) => {
      const method = 'plugin.log';
      requireAtMost(method, params, 3);
      const { name } = find(nameIn(method, params.slice(0, 1)), host);
      const count = wholeIn(method, params, 1, 'lines', { fallback: DEFAULT_LINES, max: MAX_LINES });
      return logs.lines(name, count, wholeIn(method, params, 2, 'since', { fallback: 0, max: MAX_NUMBER })).map(lineOnWire);
    },
  });
  add({
    name: 'relay.get_log',
    help: 'Returns the last lines (default 50, at most 500) of the log of the relay and all plugins after the number since (default 0): number, at, level, category (plugin.NAME for a plugin), text. If there are none, waits up to timeout_ms (default 0, at most 60000) for one. Likely secrets are hidden.',
    signatures: [['array'], ['array', 'int'], ['array', 'int', 'int'], ['array', 'int', 'int', 'int']],
    paramNames: ['lines', 'since', 'timeout_ms'],
    invoke: async (params, { gone }) => {
      const method = 'relay.get_log';
      requireAtMost(method, params, 3);
      const count = wholeIn(method, params, 0, 'lines', { fallback: DEFAULT_LINES, max: MAX_LINES });
      const since = wholeIn(method, params, 1, 'since', { fallback: 0, max: MAX_NUMBER });
      const waitMs = wholeIn(method, params, 2, 'timeout_ms', { fallback: 0, max: MAX_WAIT_MS });
      const lines = await logs.recent({ count, since, waitMs, gone });
      return lines.map((line) => ({ ...lineOnWire(line), category: line.category }));
    },
  });
}

function addDeadLetters(add: Add, { host, clock }: PluginMethodsParts): void {
  add({
    name: 'plugin.dead_letters',
    help: 'Lists the dead letters of one plugin or of all, which are messages that crashed their recipient five times or cannot be written for it (deaths is 0 then): id, plugin, host_id, deaths, reason, age_ms, bytes.',
    signatures: [['array'], ['array', 'string']],
    paramNames: ['plugin'],
    invoke: (params) => {
      const plugin = params.length === 0 ? undefined : nameIn('plugin.dead_letters', params);
      const letters = host.deadLetters.list().filter(({ satellite }) => plugin === undefined || satellite === plugin);
      return letters.map((letter) => letterOnWire(letter, clock.now()));
    },
  });
  const letter = (name: string, help: string, work: (found: DeadLetter) => void): void => {
    add({
      name,
      help: `${help} Name the plugin if several have a dead letter with this id. Returns true.`,
      signatures: [
        ['boolean', 'string'],
        ['boolean', 'string', 'string'],
      ],
      paramNames: ['id', 'plugin'],
      invoke: (params) => {
        work(letterIn(name, params, host.deadLetters.list()));
        return true;
      },
    });
  };
  letter('plugin.replay', 'Delivers the dead letter with this id again.', ({ satellite, id }) => {
    host.deadLetters.replay(satellite, id);
  });
  letter('plugin.drop_letter', 'Deletes the dead letter with this id.', ({ satellite, id }) => {
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
    throw new RelayError('INVALID_PARAMS', `${method} takes the id of a dead letter, and optionally the name of its plugin`);
  const found = letters.filter((letter) => letter.id === id && (plugin === undefined || letter.satellite === plugin));
  const [first, ...others] = found;
  if (!first) throw new RelayError('INVALID_PARAMS', `there is no dead letter '${clean(id, 130)}'; plugin.dead_letters lists them`);
  if (others.length === 0) return first;
  const plugins = found.map(({ satellite }) => satellite).join(', ');
  throw new RelayError('INVALID_PARAMS', `${method}: several plugins have a dead letter with this id (${clean(plugins)}): name one`);
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
  { fallback, max }: { readonly fallback: number; readonly max: number },
): number {
  const value = params[index];
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RelayError('INVALID_PARAMS', `${method}: ${name}: found ${showValue(value)}, expected a whole number from 0 to ${max}`);
}

/** The value as JSON can represent it. Recursion is bounded: no endpoint accepts anything deeper than 64. */
function plain(value: Value | Dict, path: string): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((one: Value, index) => plain(one, `${path}[${index}]`));
  if (isDict(value))
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one, `${path}.${clean(name, 60)}`)]));
  throw new RelayError(
    'INVALID_PARAMS',
    `plugin.add: ${clean(path, 200)}: found ${describeValue(value)}, expected a value that JSON can represent`,
  );
}

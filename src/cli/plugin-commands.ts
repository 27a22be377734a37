/** `co2 plugin`: manages the plugins of a running relay. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { addLogCommand, callAndPrint, client } from './client-commands.ts';
import { environmentVariable, prepare } from './command-line.ts';
import type { TargetFlags } from './target.ts';
import { toTable, toText, valueOf } from './values.ts';

interface AddFlags extends TargetFlags {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: string;
  readonly group?: string;
  readonly setup?: Sendable;
}

const COLUMNS = ['name', 'kind', 'state', 'version', 'pid', 'restarts', 'held', 'waiting', 'kept_versions', 'last_error'];
const SATELLITE_COLUMNS = ['name', 'state', 'durable', 'waiting', 'oldest_ms', 'delivered', 'failed', 'dropped', 'merged', 'refused'];
const LETTER_COLUMNS = ['id', 'plugin', 'host_id', 'deaths', 'age_ms', 'bytes', 'reason'];
const ADD_HELP = `
Examples:
  co2 plugin add weather -- python3 /srv/satellites/weather.py
  co2 plugin add ham.fryer ./fryer --env LOG=1 --setup '{"pan": 2}' -- --quiet
The program survives restarts of the relay. Requires allowAddPrograms: true in config.ts.`;
const LETTER_HELP = `
A message that crashed a program five times becomes a dead letter, which is stored; co2 plugin dead-letters lists its id.`;

/** Adds the command and its subcommands. */
export function addPluginCommands(program: Command): void {
  const plugin = prepare(program.command('plugin')).description('manage the plugins of a running relay').helpCommand(false);
  client(plugin, 'list', 'list the plugins and their states').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('plugin.list'), listText),
  );
  one(plugin, 'info', 'show a plugin with its methods and satellites', 'plugin.info');
  one(plugin, 'start', 'start a plugin that is stopped, failed or skipped', 'plugin.start');
  one(plugin, 'stop', 'stop a plugin until it, or the relay, is started again', 'plugin.stop');
  one(plugin, 'restart', 'stop a plugin and start its current version', 'plugin.restart');
  one(plugin, 'reload', 'replace a plugin with its current version; if that fails to start, keep the old one', 'plugin.reload');
  client(plugin, 'load', 'rescan the plugins directory').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('plugin.load'), listText),
  );
  addProgramCommands(plugin);
  addLogCommand(plugin, 'log <name>', "show the last lines of a plugin's log");
  addLetterCommands(plugin);
}

function one(plugin: Command, name: string, description: string, method: string): void {
  client(plugin, `${name} <name>`, description).action((of: string, flags: TargetFlags) =>
    callAndPrint(flags, (call) => call(method, of), infoText),
  );
}

function addProgramCommands(plugin: Command): void {
  client(plugin, 'add <name> <exec> [args...]', 'add a program, also for later starts', ADD_HELP)
    .option('--env <name=value>', 'environment variable; may be repeated', environmentVariable)
    .option('--cwd <dir>', 'working directory (default: its own in the state directory)')
    .option('--user <name>', 'user to run as, a name or a number; only if the relay runs as root (default: the user of the relay)')
    .option('--group <name>', 'group to run as, with --user (default: the group of the user)')
    .option('--setup <json>', 'configuration for its plugin.setup', valueOf)
    .action((name: string, exec: string, args: readonly string[], { env, cwd, user, group, setup, ...flags }: AddFlags) =>
      callAndPrint(
        flags,
        (call) => {
          const paths = { exec: exec.includes('/') ? resolve(exec) : exec, ...(cwd !== undefined && { cwd: resolve(cwd) }) };
          const who = { ...(user !== undefined && { user }), ...(group !== undefined && { group }) };
          return call('plugin.add', { name, ...paths, ...who, args, ...(env && { env }), ...(setup !== undefined && { config: setup }) });
        },
        infoText,
      ),
    );
  client(plugin, 'remove <name>', 'stop and remove a program that was added').action((name: string, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('plugin.remove', name),
      () => `removed ${name}`,
    ),
  );
}

function addLetterCommands(plugin: Command): void {
  client(plugin, 'dead-letters [name]', 'list the dead letters', LETTER_HELP).action((name: string | undefined, flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('plugin.dead_letters', ...given(name)),
      (value) => toTable(value, LETTER_COLUMNS),
    ),
  );
  const letter = (word: string, description: string, method: string, done: string): void => {
    client(plugin, `${word} <id> [name]`, description, LETTER_HELP).action((id: string, name: string | undefined, flags: TargetFlags) =>
      callAndPrint(
        flags,
        (call) => call(method, id, ...given(name)),
        () => `${done} ${id}`,
      ),
    );
  };
  letter('replay', 'deliver a dead letter again', 'plugin.replay', 'replayed');
  letter('drop', 'delete a dead letter', 'plugin.drop_letter', 'dropped');
}

function listText(value: Value): string {
  if (!Array.isArray(value) || value.length === 0) return 'no plugins';
  return toTable(
    value.map((plugin: Value) => (isDict(plugin) ? withoutEmptyPid(plugin) : plugin)),
    COLUMNS,
  );
}

function infoText(value: Value): string {
  if (!isDict(value)) return toText(value);
  const { satellites = [], ...rest } = withoutEmptyPid(value);
  const members = Object.entries(rest).filter(([, member]) => member !== '' && !(Array.isArray(member) && member.length === 0));
  const table = Array.isArray(satellites) && satellites.length > 0 ? `\n\n${toTable(satellites, SATELLITE_COLUMNS)}` : '';
  return toText(Object.fromEntries(members)) + table;
}

/** Replaces a pid of 0 by an empty text. It means that the plugin runs in the process of the relay. */
function withoutEmptyPid(plugin: Dict): Dict {
  const { pid, ...rest } = plugin;
  return pid === 0 ? { ...rest, pid: '' } : plugin;
}

function given(name: string | undefined): readonly string[] {
  return name === undefined ? [] : [name];
}

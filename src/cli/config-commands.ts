/** `co2 config check` and `co2 config show`: what a start would take, and where each option comes from. */
import type { Command } from 'commander';
import type { Options } from '../config/config.ts';
import { clean } from '../core/core.ts';
import { isTree, withoutSecrets } from './hide-secrets.ts';
import { addStartOptions } from './options.ts';
import type { StartFlags } from './options.ts';
import type { Place, Read } from './read-options.ts';
import { toJson } from './show.ts';
import { prepare } from './wrong-use.ts';

interface Shown {
  readonly value: unknown;
  /** `default`, `config.ts`, `CO2_PORT`, `--port`. */
  readonly from: string;
}

/** Adds them to the program. */
export function addConfigCommands(program: Command): void {
  const config = prepare(program.command('config')).description('check or show the configuration').helpCommand(false);
  const sub = (name: string, description: string): Command => addStartOptions(prepare(config.command(name)).description(description));
  sub(
    'check',
    'say whether the options, secrets, certificates, names of plugins and executables of programs are right; no plugin is run',
  ).action(check);
  sub('show', 'print the effective options and where each comes from; secrets are hidden').option('--json', 'print JSON').action(show);
}

// Loaded late: the other commands do without the rooms of the relay, and are quicker.
const readOptions = async (flags: StartFlags): Promise<Read> => (await import('./read-options.ts')).readOptions(flags);

async function check(flags: StartFlags): Promise<void> {
  const { completed, places } = await readOptions(flags);
  const { checkStart } = await import('../app.ts');
  for (const warning of await checkStart(completed)) process.stderr.write(`${clean(warning, Infinity)}\n`);
  const file = places.find(({ kind }) => kind === 'file')?.source.nameOf('') ?? 'no file, defaults';
  process.stdout.write(`the configuration is right (${clean(file, Infinity)})\n`);
}

async function show({ json, ...flags }: StartFlags & { readonly json?: boolean }): Promise<void> {
  const { completed, places } = await readOptions(flags);
  const { optionKinds } = await import('../config/config.ts');
  const all = shownOptions([...optionKinds().keys()], completed.options, places);
  if (json === true) {
    process.stdout.write(`${toJson(Object.fromEntries(all))}\n`);
    return;
  }
  const rows = [...all].map(([key, { value, from }]) => [key, valueText(value), from] as const);
  const [keys, values] = [0, 1].map((column) => Math.min(60, Math.max(...rows.map((row) => row[column]?.length ?? 0))));
  for (const [key, value, from] of rows)
    process.stdout.write(`${key.padEnd(keys ?? 0)}  ${value.padEnd(values ?? 0)}  ${clean(from, Infinity)}\n`);
}

/** Every option there is, by its full name; null if it is not set and has no default. */
function shownOptions(keys: readonly string[], options: Options, places: readonly Place[]): Map<string, Shown> {
  const shown = new Map<string, Shown>();
  for (const key of keys) {
    const path = key.split('.');
    shown.set(key, { value: withoutSecrets(key, at(options, path) ?? null), from: originOf(path, places) });
  }
  return shown;
}

function originOf(path: readonly string[], places: readonly Place[]): string {
  const place = [...places].reverse().find(({ source }) => at(source.values, path) !== undefined);
  if (!place) return 'default';
  return place.kind === 'file' ? place.source.nameOf('') : place.source.nameOf(path.join('.'));
}

function at(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((level, part) => (isTree(level) && Object.hasOwn(level, part) ? level[part] : undefined), values);
}

function valueText(value: unknown): string {
  if (value === null || value === '') return '-';
  return typeof value === 'string' ? clean(value, 500) : clean(JSON.stringify(value), 500);
}

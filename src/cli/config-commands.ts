/** `co2 config check` and `co2 config show`: what a start would take, and where each option comes from. */
import type { Command } from 'commander';
import type { Options } from '../define-config/define-config.ts';
import { clean } from '../message/message.ts';
import { addStartOptions } from './options.ts';
import type { StartFlags } from './options.ts';
import type { Place, Read } from './read-options.ts';
import { prepare } from './wrong-use.ts';

interface Shown {
  readonly value: unknown;
  /** `default`, `config.ts`, `CO2_PORT`, `--port`. */
  readonly from: string;
}

// Below `plugins`, and in the configuration of a relay plugin, a secret may stand anywhere; in an option of ours none can, but in a URL.
const SECRET = /pass|secret|token|credential|private|(api|access|auth|signing|encryption)_?key/i;
const HIDDEN = '(hidden)';

/** Adds them to the program. */
export function addConfigCommands(program: Command): void {
  const config = prepare(program.command('config')).description('check or show the configuration').helpCommand(false);
  const sub = (name: string, description: string): Command => addStartOptions(prepare(config.command(name)).description(description));
  sub('check', 'say whether the options, secrets, certificates and names of plugins are right; no plugin is run').action(check);
  sub('show', 'print the effective options and where each comes from; secrets are hidden').option('--json', 'print JSON').action(show);
}

// Loaded late: the other commands do without the rooms of the relay, and are quicker.
const readOptions = async (flags: StartFlags): Promise<Read> => (await import('./read-options.ts')).readOptions(flags);

async function check(flags: StartFlags): Promise<void> {
  const { completed, places } = await readOptions(flags);
  const { checkStart } = await import('../app.ts');
  for (const warning of await checkStart(completed)) process.stderr.write(`${warning}\n`);
  const file = places.find(({ kind }) => kind === 'file')?.source.nameOf('') ?? 'no file, defaults';
  process.stdout.write(`the configuration is right (${file})\n`);
}

async function show({ json, ...flags }: StartFlags & { readonly json?: boolean }): Promise<void> {
  const { completed, places } = await readOptions(flags);
  const { optionKinds } = await import('../define-config/define-config.ts');
  const all = shownOptions([...optionKinds().keys()], completed.options, places);
  if (json === true) {
    process.stdout.write(`${JSON.stringify(Object.fromEntries(all), null, 2)}\n`);
    return;
  }
  const rows = [...all].map(([key, { value, from }]) => [key, valueText(value), from] as const);
  const [keys, values] = [0, 1].map((column) => Math.min(60, Math.max(...rows.map((row) => row[column]?.length ?? 0))));
  for (const [key, value, from] of rows) process.stdout.write(`${key.padEnd(keys ?? 0)}  ${value.padEnd(values ?? 0)}  ${from}\n`);
}

/** Every option there is, by its full name; null if it is not set and has no default. */
function shownOptions(keys: readonly string[], options: Options, places: readonly Place[]): Map<string, Shown> {
  const shown = new Map<string, Shown>();
  for (const key of keys) {
    const path = key.split('.');
    shown.set(key, {
      value: withoutSecrets(at(options, path) ?? null, key === 'plugins' || key === 'relayPlugins'),
      from: originOf(path, places),
    });
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

/** A copy fit to be read over a shoulder; what is deeper than a configuration ever is is not shown. */
function withoutSecrets(value: unknown, isPlugins: boolean, key = '', depth = 0): unknown {
  if (isPlugins && SECRET.test(key)) return HIDDEN;
  if (typeof value === 'string') return hideCredentials(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value;
  if (depth > 20) return '…';
  if (Array.isArray(value)) return value.map((part) => withoutSecrets(part, isPlugins, '', depth + 1));
  if (!isTree(value)) return '(an object)';
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withoutSecrets(part, isPlugins, name, depth + 1)]));
}

function hideCredentials(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${HIDDEN}@`);
}

function valueText(value: unknown): string {
  if (value === null || value === '') return '-';
  return typeof value === 'string' ? clean(value, 500) : clean(JSON.stringify(value), 500);
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** `co2 config check` validates the options of a start; `co2 config show` prints them with their sources, secrets hidden. */
import type { Command } from 'commander';
import type { Options } from '../config/config.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import { prepare } from './command-line.ts';
import type { OptionSource, ReadOptions } from './read-options.ts';
import { addStartOptions } from './start-options.ts';
import type { StartFlags } from './start-options.ts';
import { toJson } from './values.ts';

// The exit code for an invalid configuration.
const INVALID = 2;

interface Shown {
  readonly value: unknown;
  /** The source of the value: `default`, `config.ts`, `CO2_PORT` or `--port`. */
  readonly from: string;
}

/** Adds the commands. */
export function addConfigCommands(program: Command, onExit: (code: number) => void): void {
  const config = prepare(program.command('config')).description('check or show the configuration').helpCommand(false);
  const sub = (name: string, description: string): Command => addStartOptions(prepare(config.command(name)).description(description));
  sub('check', 'name all mistakes in options, secrets, certificates, names of plugins and executables of programs; runs no plugin')
    .option('--json', 'print JSON: {valid, file, problems, warnings}')
    .action(async (flags: StartFlags) => {
      onExit(await check(flags));
    });
  sub('show', 'print the effective options and their sources; secrets are hidden').option('--json', 'print JSON').action(show);
}

// Imported on demand: the relay's modules would slow down the other commands.
const readOptions = async (flags: StartFlags): Promise<ReadOptions> => (await import('./read-options.ts')).readOptions(flags);

/** Reports every problem. Resolves to the exit code, or throws the last problem, which is then reported like any other error. */
async function check({ json, ...flags }: StartFlags & { readonly json?: boolean }): Promise<number> {
  let file = '';
  try {
    const { completed, sources } = await readOptions(flags);
    file = sources.find(({ kind }) => kind === 'file')?.source.nameOf('') ?? 'no file, defaults';
    const { checkStart } = await import('../app.ts');
    const warnings = await checkStart(completed);
    if (json === true) {
      process.stdout.write(`${toJson({ valid: true, file, problems: [], warnings })}\n`);
      return 0;
    }
    for (const warning of warnings) process.stderr.write(`${clean(warning, Infinity)}\n`);
    process.stdout.write(`the configuration is valid (${clean(file, Infinity)})\n`);
    return 0;
  } catch (error) {
    if (!RelayError.is(error)) throw error;
    const problems: readonly unknown[] = error.cause instanceof AggregateError ? error.cause.errors : [error];
    if (json === true) {
      process.stdout.write(`${toJson({ valid: false, file, problems: problems.map(reasonOf), warnings: [] })}\n`);
      return INVALID;
    }
    for (const problem of problems.slice(0, -1)) process.stderr.write(`co2: ${clean(reasonOf(problem), Infinity)}\n`);
    throw problems.at(-1);
  }
}

async function show({ json, ...flags }: StartFlags & { readonly json?: boolean }): Promise<void> {
  const { completed, sources } = await readOptions(flags);
  const { optionKinds } = await import('../config/config.ts');
  const all = shownOptions([...optionKinds().keys()], completed.options, sources);
  if (json === true) {
    process.stdout.write(`${toJson(Object.fromEntries(all))}\n`);
    return;
  }
  const rows = [...all].map(([key, { value, from }]) => [key, valueText(value), from] as const);
  const [keys, values] = [0, 1].map((column) => Math.min(60, Math.max(...rows.map((row) => row[column]?.length ?? 0))));
  for (const [key, value, from] of rows)
    process.stdout.write(`${key.padEnd(keys ?? 0)}  ${value.padEnd(values ?? 0)}  ${clean(from, Infinity)}\n`);
}

/** Returns every option by its full name; the value is null if it is unset and has no default. */
function shownOptions(keys: readonly string[], options: Options, sources: readonly OptionSource[]): Map<string, Shown> {
  const shown = new Map<string, Shown>();
  for (const key of keys) {
    const path = key.split('.');
    shown.set(key, { value: withoutSecrets(key, at(options, path) ?? null), from: originOf(path, sources) });
  }
  return shown;
}

function originOf(path: readonly string[], sources: readonly OptionSource[]): string {
  const origin = [...sources].reverse().find(({ source }) => at(source.values, path) !== undefined);
  if (!origin) return 'default';
  return origin.kind === 'file' ? origin.source.nameOf('') : origin.source.nameOf(path.join('.'));
}

function at(values: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((level, part) => (isPlainObject(level) && Object.hasOwn(level, part) ? level[part] : undefined), values);
}

function valueText(value: unknown): string {
  if (value === null || value === '') return '-';
  return typeof value === 'string' ? clean(value, 500) : clean(JSON.stringify(value), 500);
}

// Options of plugins and programs may contain secrets anywhere; our own options contain them only in URLs.
const FOREIGN: readonly string[] = ['plugins', 'relayPlugins', 'programs'];
const SECRET = /pass|secret|token|credential|private|(api|access|auth|signing|encryption)[_-]?key/i;
const FLAG = /^(--?[^=\s]+)(=?)/;
const HIDDEN = '(hidden)';

/** Copies the value of an option with secrets replaced and the depth limited to more than any real configuration needs. */
export function withoutSecrets(option: string, value: unknown): unknown {
  if (option === 'programs' && Array.isArray(value)) return value.map(programWithoutSecrets);
  return hidden(value, FOREIGN.includes(option));
}

function programWithoutSecrets(record: unknown): unknown {
  if (!isPlainObject(record)) return hidden(record, true);
  const { args, env, ...rest } = record;
  return {
    ...(hidden(rest, true) as object),
    ...(Array.isArray(args) && { args: withoutSecretFlags(args).map((arg) => hidden(arg, true)) }),
    // Programs receive secrets in their environment.
    ...(isPlainObject(env) && { env: Object.fromEntries(Object.keys(env).map((name) => [name, HIDDEN])) }),
  };
}

/** Hides the values in `--token=wonder` and `--token wonder`. */
function withoutSecretFlags(args: readonly unknown[]): readonly unknown[] {
  let isSecretNext = false;
  return args.map((arg) => {
    const [, flag = '', equals = ''] = typeof arg === 'string' ? (FLAG.exec(arg) ?? []) : [];
    const isSecret = isSecretNext && flag === '';
    isSecretNext = SECRET.test(flag) && equals === '';
    if (isSecret) return HIDDEN;
    return SECRET.test(flag) && equals !== '' ? `${flag}=${HIDDEN}` : arg;
  });
}

/** `isForeign`: also hides fields whose names suggest a secret. */
function hidden(value: unknown, isForeign: boolean, name = '', depth = 0): unknown {
  if (isForeign && SECRET.test(name)) return HIDDEN;
  if (typeof value === 'string') return hideCredentials(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value;
  if (depth > 20) return '…';
  if (Array.isArray(value)) return value.map((part) => hidden(part, isForeign, '', depth + 1));
  if (!isPlainObject(value)) return '(an object)';
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hidden(part, isForeign, key, depth + 1)]));
}

function hideCredentials(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, `$1${HIDDEN}@`);
}

/** True for plain objects, false for a Date or an instance of a class. */
function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

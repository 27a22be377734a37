/** `co2 new plugin`: writes a plugin that runs, and a test of it that passes. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { RelayError, clean } from '../../core/core.ts';
import { optionsOf } from '../find-relay.ts';
import { toJson } from '../show.ts';
import { commandName } from '../this-command.ts';
import { prepare } from '../wrong-use.ts';
import { LANGUAGES } from './languages.ts';
import type { Language } from './languages.ts';
import { planPlugin } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

interface NewFlags {
  readonly lang: string;
  readonly dir?: string;
  readonly config?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const MORE = `
co2 new plugin ham/spam writes plugins/ham/spam.ts, whose methods are called ham.spam.*, and its test. Another language makes a program
that the relay starts (programs in config.ts). With --json what was written is told as {module, files, packages, test}.`;

/** Adds the command. */
export function addNewCommand(program: Command): void {
  const command = prepare(program.command('new')).description('write the beginning of something of your own').helpCommand(false);
  prepare(command.command('plugin <package/module>'))
    .description('write a plugin that runs, and a test of it')
    .addOption(new Option('--lang <language>', 'what it is written in').choices(Object.keys(LANGUAGES)).default('typescript'))
    .option('--dir <dir>', 'directory to write below (default: that of the plugins; programs, for another language)')
    .option('--config <file>', 'configuration file that says where plugins lie (default: config.ts, if it is there)')
    .option('--force', 'write over files that are there')
    .option('--json', 'answer as JSON')
    .addHelpText('after', MORE)
    .action(write);
}

async function write(name: string, flags: NewFlags): Promise<void> {
  const language = LANGUAGES[flags.lang];
  if (!language) throw new RelayError('CONFIG_INVALID', `--lang: there is no '${clean(flags.lang, 40)}'`);
  const directory = await directoryOf(language, flags);
  const { findFiles, nameModules } = await import('../../plugin-host/plugin-host.ts');
  const there = language.place === 'plugins' && existsSync(directory) ? await findFiles(directory) : [];
  const plugin = planPlugin(name, there, nameModules);
  const files = language.files(plugin);
  if (flags.force !== true) requireNew(directory, files);
  for (const file of files) put(directory, file);
  const shown = files.map((file) => relative(process.cwd(), join(directory, file.path)));
  tell(plugin, language, shown, flags);
}

async function directoryOf({ place }: Language, { dir, config }: NewFlags): Promise<string> {
  if (dir !== undefined) return resolve(dir);
  if (place === 'programs') return resolve(place);
  return (await optionsOf(config === undefined ? {} : { config })).pluginsDir;
}

function requireNew(directory: string, files: readonly NewFile[]): void {
  const first = files.map(({ path }) => join(directory, path)).find((path) => existsSync(path));
  if (first !== undefined)
    throw new RelayError(
      'CONFIG_INVALID',
      `${clean(relative(process.cwd(), first))} is there; choose another name, or write over it with --force`,
    );
}

function put(directory: string, { path, source, isExecutable = false }: NewFile): void {
  const target = join(directory, path);
  try {
    // What others may write to is never loaded.
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, source, { mode: isExecutable ? 0o755 : 0o644 });
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new RelayError('CONFIG_INVALID', `${clean(target)} cannot be written: ${REASONS[code] ?? code}`, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EEXIST: 'a file stands where a directory is needed',
  EISDIR: 'it is a directory',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a file stands where a directory is needed',
  EROFS: 'the disk is read-only',
};

function tell(plugin: NewPlugin, language: Language, files: readonly string[], { json, dir }: NewFlags): void {
  const co2 = commandName();
  const { module } = plugin;
  const [file = '', test = ''] = files;
  const testCommand = language.test(test, co2);
  if (json === true) {
    process.stdout.write(`${toJson({ module, files, packages: language.packages, test: testCommand })}\n`);
    return;
  }
  const start = language.place === 'plugins' && dir !== undefined ? `${co2} start --plugins ${dir}` : `${co2} start`;
  const isProgram = language.place === 'programs';
  const steps = [
    ...(isProgram ? [`it needs: apt-get install ${language.packages.join(' ')}`] : []),
    `test it:  ${testCommand}`,
    ...(isProgram ? stepsOfProgram(module, language, file) : []),
    `run it:   ${start}`,
    `call it:  ${co2} call ${module}.add 2 3`,
  ];
  process.stdout.write(`wrote ${listed(files)}\n${steps.join('\n')}\n`);
}

/** What comes between the test of a program and its relay. */
function stepsOfProgram(module: string, { build }: Language, file: string): readonly string[] {
  const { command, exec } = build?.(file) ?? { exec: file };
  return [
    ...(command === undefined ? [] : [`build it: ${command}`]),
    `check it: ${commandName()} check-plugin --name ${module} ./${exec}`,
    `name it in config.ts:  programs: [{ name: '${module}', exec: './${exec}' }]`,
  ];
}

function listed(files: readonly string[]): string {
  return `${files.slice(0, -1).join(', ')} and ${files.at(-1) ?? ''}`;
}

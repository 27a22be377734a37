/** `co2 new plugin`: writes a working plugin and a passing test, created from the files in templates/. */
import { existsSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { clean, quoted, RelayError } from '../core/core.ts';
import { prepare } from './command-line.ts';
import { commandName } from './package.ts';
import { optionsOf } from './find-relay.ts';
import { filesOf, KINDS, LANGUAGES, planPlugin, put, requireNew } from './scaffold.ts';
import type { Language, NewPlugin } from './scaffold.ts';
import { toJson } from './values.ts';

interface NewFlags {
  readonly lang: string;
  readonly kind: string;
  readonly dir?: string;
  readonly config?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const MORE = `
co2 new plugin ham/spam writes plugins/ham/spam.ts, whose methods are called ham.spam.*, and its test. --lang javascript writes spam.mjs.
--kind work writes one that does units of work (co2 work), --kind watcher and --kind reactor parts of a service (co2 service). Any other language makes a program that the relay starts (see programs in config.ts). --json prints {module, files, packages, test}.`;

/** Adds the command. */
export function addNewCommand(program: Command): void {
  const command = prepare(program.command('new')).description('create a plugin').helpCommand(false);
  prepare(command.command('plugin <package/module>'))
    .description('write a working plugin and a test')
    .addOption(new Option('--lang <language>', 'programming language').choices(Object.keys(LANGUAGES)).default('typescript'))
    .addOption(
      new Option('--kind <kind>', 'work: units of work; watcher, reactor: parts of a service')
        .choices(['plugin', ...Object.keys(KINDS)])
        .default('plugin'),
    )
    .option('--dir <dir>', 'directory to write to (default: the plugins directory; programs, for other languages)')
    .option('--config <file>', 'configuration file that names the plugins directory (default: config.ts, if it exists)')
    .option('--force', 'overwrite existing files')
    .option('--json', 'print JSON')
    .addHelpText('after', MORE)
    .action(write);
}

async function write(name: string, flags: NewFlags): Promise<void> {
  const kind = KINDS[flags.kind];
  if (kind && flags.lang !== 'typescript') {
    const page = flags.kind === 'work' ? 'work.md' : 'services.md';
    throw new RelayError(
      'CONFIG_INVALID',
      `--kind ${flags.kind}: there is a template in TypeScript only; docs/${page} has a program in Python`,
    );
  }
  const language = kind ?? LANGUAGES[flags.lang];
  if (!language) throw new RelayError('CONFIG_INVALID', `--lang: unknown language '${clean(flags.lang, 40)}'`);
  const directory = await directoryOf(language, flags);
  const { findFiles, nameModules } = await import('../plugin-host/plugin-host.ts');
  const existing = language.directory === 'plugins' && existsSync(directory) ? await findFiles(directory) : [];
  const extension = language.directory === 'plugins' ? extname(language.files[0] ?? '').slice(1) : 'ts';
  const plugin = planPlugin(name, existing, nameModules, extension);
  const files = filesOf(language, plugin);
  if (flags.force !== true) requireNew(directory, files, 'choose another name, or overwrite it with --force');
  for (const file of files) put(directory, file);
  const paths = files.map((file) => relative(process.cwd(), join(directory, file.path)));
  printResult(plugin, language, paths, flags);
}

async function directoryOf({ directory }: Language, { dir, config }: NewFlags): Promise<string> {
  if (dir !== undefined) return resolve(dir);
  if (directory === 'programs') return resolve(directory);
  return (await optionsOf(config === undefined ? {} : { config })).pluginsDir;
}

function printResult({ module }: NewPlugin, language: Language, files: readonly string[], { json, dir, kind }: NewFlags): void {
  const co2 = commandName();
  const [file = '', test = ''] = files;
  const testCommand = language.test(test, co2);
  if (json === true) {
    process.stdout.write(`${toJson({ module, files, packages: language.packages, test: testCommand })}\n`);
    return;
  }
  const start = language.directory === 'plugins' && dir !== undefined ? `${co2} start --plugins ${dir}` : `${co2} start`;
  const isProgram = language.directory === 'programs';
  const steps = [
    ...(isProgram ? [`requires: apt-get install ${language.packages.join(' ')}`] : []),
    `test it:  ${testCommand}`,
    ...(isProgram ? programSteps(module, language, file) : []),
    `run it:   ${start}`,
    tryLine(module, kind, co2),
  ];
  process.stdout.write(`wrote ${files.slice(0, -1).join(', ')} and ${files.at(-1) ?? ''}\n${steps.join('\n')}\n`);
}

/** How to see what the plugin does. */
function tryLine(module: string, kind: string, co2: string): string {
  if (kind === 'work') return `try it:   echo one two | ${co2} work submit ${module}:count --payload - --follow`;
  if (kind === 'watcher' || kind === 'reactor') {
    const service = `services: { web: { ${kind}s: { one: { type: '${module}', cfg: { file: '/tmp/nodes' } } } } }`;
    return `use it:   ${service} in config.ts; then ${co2} service status web`;
  }
  return `call it:  ${co2} call ${module}.add 2 3`;
}

function programSteps(module: string, { build, send }: Language, file: string): readonly string[] {
  const { command, exec } = build?.(file) ?? { exec: file };
  const [option, member] = send ? [` --send '${JSON.stringify(send)}'`, `, send: ${inTypeScript(send)}`] : ['', ''];
  return [
    ...(command === undefined ? [] : [`build it: ${command}`]),
    `check it: ${commandName()} check-plugin --name ${module}${option} ./${exec}`,
    `add it to config.ts:  programs: [{ name: '${module}', exec: './${exec}'${member} }]`,
  ];
}

function inTypeScript(options: Readonly<Record<string, string>>): string {
  return `{ ${Object.entries(options)
    .map(([name, value]) => `${name}: ${quoted(value)}`)
    .join(', ')} }`;
}

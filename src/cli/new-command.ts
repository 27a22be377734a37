/** `co2 new plugin`: writes a working plugin and a passing test, made from the files in templates/. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { clean, RelayError } from '../core/core.ts';
import { prepare } from './command-line.ts';
import { commandName } from './package.ts';
import { systemReason } from '../state/state.ts';
import { optionsOf } from './find-relay.ts';
import { toJson } from './values.ts';

const TEMPLATES = new URL('../../templates/', import.meta.url);

interface Language {
  /** The directory in templates/. Its files make a working plugin called ham.spam. */
  readonly template: string;
  /** The plugin, its test, then further files. */
  readonly files: readonly string[];
  /** Where the files go, below the directory. Default: beside each other in the directory of the package. */
  readonly hasOwnDirectory?: boolean;
  /** The default directory: `plugins` is the plugins directory of the configuration, `programs` a directory of that name. */
  readonly directory: 'plugins' | 'programs';
  /** Debian packages that it needs. */
  readonly packages: readonly string[];
  /** The command that runs the test; like `build`, with paths as the user sees them. */
  readonly test: (file: string, co2: string) => string;
  /** The command that compiles the program, and the file that it makes. Default: it needs no compiler. */
  readonly build?: (file: string) => { readonly command: string; readonly exec: string };
}

const LANGUAGES: Readonly<Record<string, Language>> = {
  typescript: {
    template: 'typescript',
    files: ['spam.ts', 'spam.test.ts'],
    directory: 'plugins',
    packages: [],
    test: (file, co2) => `${co2} test ${file}`,
  },
  python: {
    template: 'python',
    files: ['spam.py', 'spam_test.py'],
    directory: 'programs',
    packages: ['python3'],
    test: (file) => `python3 ${file}`,
  },
  perl: {
    template: 'perl',
    files: ['spam.pl', 'spam.t'],
    directory: 'programs',
    packages: ['perl', 'librpc-xml-perl'],
    test: (file) => `prove ${file}`,
  },
  ruby: {
    template: 'ruby',
    files: ['spam.rb', 'spam_test.rb'],
    directory: 'programs',
    packages: ['ruby', 'ruby-xmlrpc', 'ruby-minitest'],
    test: (file) => `ruby ${file}`,
  },
  c: {
    template: 'c',
    files: ['spam.c', 'spam_test.c', 'Makefile'],
    hasOwnDirectory: true,
    directory: 'programs',
    packages: ['gcc', 'libc6-dev', 'make', 'libxmlrpc-core-c3-dev'],
    test: (file) => `make -C ${posix.dirname(file)} test`,
    build: (file) => ({ command: `make -C ${posix.dirname(file)}`, exec: file.replace(/\.c$/, '') }),
  },
  sh: {
    template: 'shell',
    files: ['spam.sh', 'spam_test.sh'],
    directory: 'programs',
    packages: ['curl'],
    test: (file) => `sh ${file}`,
  },
};

interface NewFlags {
  readonly lang: string;
  readonly dir?: string;
  readonly config?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const MORE = `
co2 new plugin ham/spam writes plugins/ham/spam.ts, whose methods are called ham.spam.*, and its test. Any other language makes a program
that the relay starts (see programs in config.ts). --json prints {module, files, packages, test}.`;

/** Adds the command. */
export function addNewCommand(program: Command): void {
  const command = prepare(program.command('new')).description('create a plugin').helpCommand(false);
  prepare(command.command('plugin <package/module>'))
    .description('write a working plugin and a test')
    .addOption(new Option('--lang <language>', 'programming language').choices(Object.keys(LANGUAGES)).default('typescript'))
    .option('--dir <dir>', 'directory to write to (default: the plugins directory; programs, for other languages)')
    .option('--config <file>', 'configuration file that names the plugins directory (default: config.ts, if it exists)')
    .option('--force', 'overwrite existing files')
    .option('--json', 'print JSON')
    .addHelpText('after', MORE)
    .action(write);
}

async function write(name: string, flags: NewFlags): Promise<void> {
  const language = LANGUAGES[flags.lang];
  if (!language) throw new RelayError('CONFIG_INVALID', `--lang: unknown language '${clean(flags.lang, 40)}'`);
  const directory = await directoryOf(language, flags);
  const { findFiles, nameModules } = await import('../plugin-host/plugin-host.ts');
  const existing = language.directory === 'plugins' && existsSync(directory) ? await findFiles(directory) : [];
  const plugin = planPlugin(name, existing, nameModules);
  const files = filesOf(language, plugin);
  if (flags.force !== true) requireNew(directory, files);
  for (const file of files) put(directory, file);
  const paths = files.map((file) => relative(process.cwd(), join(directory, file.path)));
  printResult(plugin, language, paths, flags);
}

async function directoryOf({ directory }: Language, { dir, config }: NewFlags): Promise<string> {
  if (dir !== undefined) return resolve(dir);
  if (directory === 'programs') return resolve(directory);
  return (await optionsOf(config === undefined ? {} : { config })).pluginsDir;
}

interface NewPlugin {
  /** `ham/spam`: the file without its extension, below the directory. */
  readonly path: string;
  /** `ham.spam` */
  readonly module: string;
  /** `Spam` */
  readonly className: string;
}

/** The naming rules of a plugins directory: which module each of these files is, or why it is rejected. */
type NameFiles = (files: readonly string[]) => readonly {
  readonly file: string;
  readonly module: string;
  readonly refused?: string | undefined;
}[];

/**
 * The plugin with this name. `existing` are the files of the plugins directory; a file that it would replace causes no conflict.
 * Throws a RelayError CONFIG_INVALID if the name is invalid or in use.
 */
export function planPlugin(name: string, existing: readonly string[], nameFiles: NameFiles): NewPlugin {
  const path = name.replace(/\.(?:m?[tj]s|py|pl|rb|c|sh)$/, '');
  const refuse = (reason: string): never => {
    throw new RelayError('CONFIG_INVALID', `invalid plugin name '${clean(name, 80)}': ${reason}`);
  };
  if (!/^[^/\\]+\/[^/\\]+$/.test(path)) {
    const parts = path.split(/[./\\]+/).filter((part) => part !== '');
    const meant = parts.length === 2 ? parts.join('/') : 'ham/spam';
    return refuse(`expected package/module, such as ${clean(meant, 80)}`);
  }
  const file = `${path}.ts`;
  const named = nameFiles([...existing.filter((other) => other !== file), file]).find((one) => one.file === file);
  if (!named)
    return refuse('a name with a leading "_" or with ".test" or ".config" at its end is a helper, and node_modules belongs to npm');
  if (named.refused !== undefined) return refuse(named.refused);
  return { path, module: named.module, className: classNameOf(path) };
}

/** `ham/my-spam` -> `MySpam`. */
function classNameOf(path: string): string {
  const words = fileNameOf(path).split(/[-_]+/);
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return /^[A-Za-z]/.test(name) ? name : `Plugin${name}`;
}

/** `ham/spam` -> `spam`. */
function fileNameOf(path: string): string {
  return path.slice(path.indexOf('/') + 1);
}

interface NewFile {
  /** Below the directory, with `/`. */
  readonly path: string;
  readonly source: string;
}

/** The files of the template, with the name of the plugin in place of ham.spam. */
function filesOf({ template, files, hasOwnDirectory = false }: Language, plugin: NewPlugin): readonly NewFile[] {
  const directory = hasOwnDirectory ? plugin.path : posix.dirname(plugin.path);
  return files.map((file) => {
    const source = readFileSync(new URL(`${template}/${file}`, TEMPLATES), 'utf8');
    const name = renamed(file, plugin);
    // The test runner of Python imports its files by name, and a module name in Python contains no "-".
    const path = `${directory}/${file.endsWith('_test.py') ? name.replaceAll('-', '_') : name}`;
    return { path, source: renamed(source, plugin) };
  });
}

function renamed(text: string, { path, module, className }: NewPlugin): string {
  const names: Readonly<Record<string, string>> = { 'ham.spam': module, spam: fileNameOf(path), Spam: className };
  return text.replace(/\bham\.spam\b|\bspam(?=\b|_test)|\bSpam\b/g, (found) => names[found] ?? found);
}

function requireNew(directory: string, files: readonly NewFile[]): void {
  const first = files.map(({ path }) => join(directory, path)).find((path) => existsSync(path));
  if (first === undefined) return;
  const path = clean(relative(process.cwd(), first));
  throw new RelayError('CONFIG_INVALID', `${path} already exists; choose another name, or overwrite it with --force`);
}

function put(directory: string, { path, source }: NewFile): void {
  const target = join(directory, path);
  try {
    // The relay refuses to load files that other users may write to.
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, source, { mode: source.startsWith('#!') ? 0o755 : 0o644 });
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `cannot write ${clean(target)}: ${clean(systemReason(error))}`, { cause: error });
  }
}

function printResult({ module }: NewPlugin, language: Language, files: readonly string[], { json, dir }: NewFlags): void {
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
    `call it:  ${co2} call ${module}.add 2 3`,
  ];
  process.stdout.write(`wrote ${files.slice(0, -1).join(', ')} and ${files.at(-1) ?? ''}\n${steps.join('\n')}\n`);
}

function programSteps(module: string, { build }: Language, file: string): readonly string[] {
  const { command, exec } = build?.(file) ?? { exec: file };
  return [
    ...(command === undefined ? [] : [`build it: ${command}`]),
    `check it: ${commandName()} check-plugin --name ${module} ./${exec}`,
    `add it to config.ts:  programs: [{ name: '${module}', exec: './${exec}' }]`,
  ];
}

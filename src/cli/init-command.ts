/** `co2 init`: turns a directory into a project with a configuration, a tsconfig.json, and a first plugin with its test. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import { prepare } from './command-line.ts';
import { commandName, isCheckout, VERSION } from './package.ts';
import { filesOf, LANGUAGES, put, readTemplate, requireNew } from './scaffold.ts';
import type { NewFile } from './scaffold.ts';
import { toJson } from './values.ts';

const FIRST = { path: 'ham/spam', module: 'ham.spam', className: 'Spam' } as const;

const MORE = `
Writes config.ts, tsconfig.json, package.json, .gitignore and a first plugin, plugins/ham/spam.ts, with its test. Files that exist are kept; a
package.json without a "type" becomes one of ES modules. --json prints {directory, wrote, changed, kept, hints, next}.`;

interface InitFlags {
  readonly json?: boolean;
}

/** Adds the command. */
export function addInitCommand(program: Command): void {
  prepare(program.command('init [directory]'))
    .description('create a project with a configuration and a first plugin')
    .option('--json', 'print JSON')
    .addHelpText('after', MORE)
    .action(init);
}

function init(name: string | undefined, { json }: InitFlags): void {
  const directory = resolve(name ?? '.');
  requireNew(directory, [{ path: 'config.ts', source: '' }], 'add a plugin to this project with co2 new plugin');
  const files = projectFiles();
  const hints = hintsFor(directory);
  const manifest = asModules(directory);
  const isKept = ({ path }: NewFile): boolean => existsSync(join(directory, path));
  const [kept, written] = [files.filter(isKept), files.filter((file) => !isKept(file))];
  for (const file of [...written, ...(manifest ? [manifest] : [])]) put(directory, file);
  const next = nextSteps(directory, name);
  const result = {
    directory,
    wrote: written.map(({ path }) => path),
    changed: manifest ? [manifest.path] : [],
    kept: kept.map(({ path }) => path).filter((path) => path !== manifest?.path),
    hints,
    next: next.map(([, command]) => command),
  };
  process.stdout.write(json === true ? `${toJson(result)}\n` : `${textOf(result, next)}\n`);
}

interface InitResult {
  readonly wrote: readonly string[];
  readonly changed: readonly string[];
  readonly kept: readonly string[];
  readonly hints: readonly string[];
}

function textOf({ wrote, changed, kept, hints }: InitResult, next: readonly Step[]): string {
  return [
    `wrote ${listed(wrote)}`,
    ...changed.map((path) => `set "type": "module" in ${path}`),
    ...(kept.length > 0 ? [`kept ${listed(kept)}`] : []),
    ...hints,
    ...next.map(([what, command]) => `${`${what}:`.padEnd(9)} ${command}`),
  ].join('\n');
}

function listed(paths: readonly string[]): string {
  return paths.length < 2 ? paths.join('') : `${paths.slice(0, -1).join(', ')} and ${paths.at(-1) ?? ''}`;
}

/** The files, in the order in which a user would open them. */
function projectFiles(): readonly NewFile[] {
  const { typescript } = LANGUAGES;
  const plugin = typescript ? filesOf(typescript, FIRST) : [];
  return [
    { path: 'config.ts', source: readTemplate('project/config.ts') },
    ...plugin.map(({ path, source }) => ({ path: `plugins/${path}`, source })),
    { path: 'tsconfig.json', source: readTemplate('project/_tsconfig.json') },
    { path: 'package.json', source: readTemplate('project/_package.json').replace('"*"', `"^${VERSION}"`) },
    { path: '.gitignore', source: readTemplate('project/_gitignore') },
  ];
}

/** The package.json with `"type": "module"` added, which editors need for plugins. Undefined if it already has a type. */
function asModules(directory: string): NewFile | undefined {
  const source = readIfThere(directory, 'package.json');
  if (source === undefined) return undefined;
  const manifest = manifestIn(source);
  if (manifest.type !== undefined) return undefined;
  // Like npm, keep the indentation.
  const indentation = /^\{\s*?\n([ \t]+)/.exec(source)?.[1] ?? 2;
  return { path: 'package.json', source: `${JSON.stringify({ type: 'module', ...manifest }, undefined, indentation)}\n` };
}

function manifestIn(source: string): Readonly<Record<string, unknown>> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(source);
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `package.json is not valid JSON: ${clean(reasonOf(error))}`, { cause: error });
  }
  if (isDict(manifest)) return manifest;
  throw new RelayError('CONFIG_INVALID', 'package.json does not contain an object');
}

/** Lists what existing files, which are not overwritten, should contain. One line per file. */
function hintsFor(directory: string): readonly string[] {
  const [manifest, tsconfig, ignored] = ['package.json', 'tsconfig.json', '.gitignore'].map((path) => readIfThere(directory, path));
  const hints: string[] = [];
  if (manifest !== undefined && manifestIn(manifest).type === 'commonjs')
    hints.push('package.json has "type": "commonjs": set it to "module", or the editor reports the imports of config.ts and plugins');
  if (tsconfig !== undefined && !tsconfig.includes('co2-relay/tsconfig.json'))
    hints.push('tsconfig.json is not changed: add "extends": "co2-relay/tsconfig.json", so that the editor agrees with the relay');
  if (ignored !== undefined && !/^\/?\.co2\b/m.test(ignored))
    hints.push('.gitignore is not changed: add .co2/, the state directory of the relay, which contains its admin token');
  return hints;
}

function readIfThere(directory: string, path: string): string | undefined {
  try {
    return readFileSync(join(directory, path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new RelayError('CONFIG_INVALID', `cannot read ${path}: ${clean(reasonOf(error))}`, { cause: error });
  }
}

/** Pairs of a purpose and a command. */
type Step = readonly [what: string, command: string];

function nextSteps(directory: string, name: string | undefined): readonly Step[] {
  const co2 = commandName(directory);
  return [
    ...(name === undefined ? [] : [['go there', `cd ${name}`] as const]),
    ...installStep(directory),
    ['test it', `${co2} test`],
    ['run it', `${co2} start`],
    ['call it', `${co2} call ${FIRST.module}.add 2 3`],
  ];
}

/** Returns nothing if the package is installed, or in a checkout, where plugins resolve the package without an installation. */
function installStep(directory: string): readonly Step[] {
  if (isCheckout) return [];
  try {
    createRequire(join(directory, 'config.ts')).resolve('co2-relay/package.json');
    return [];
  } catch {
    const { dependencies } = manifestIn(readIfThere(directory, 'package.json') ?? '{}');
    return [['install', isDict(dependencies) && 'co2-relay' in dependencies ? 'npm install' : 'npm install co2-relay']];
  }
}

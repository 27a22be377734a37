/** Finds plugins on the disk, in npm packages and in this package, and decides which of them may be loaded and where they run. */
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { access, lstat, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { glob } from 'glob';
import { clean, reasonOf, RelayError, suggest } from '../../core/core.ts';
import { isSyntaxSound, isWritableByAll } from '../../loader/loader.mjs';
import { isDict } from '../../values/values.ts';
import { compare, EXTENSIONS, isHelperFolder, nameModules, readStatedVersion, TOP_PACKAGE, withoutClashes } from '../hosted/hosted.ts';
import type { ModuleFile, ModuleLocation, PluginProblem, StatedVersion } from '../hosted/hosted.ts';
import { findBundled } from './bundled.ts';
import type { BundledPackage } from './bundled.ts';
import { modulesOfClasses } from './classes.ts';
import type { SatelliteClasses } from './classes.ts';
import { findPackaged } from './packages.ts';
import type { Packaged } from './packages.ts';
import { whyUnsafe } from './safety.ts';

/** A module and its location. */
export type FoundModule = ModuleFile &
  ModuleLocation & {
    /** The version that the package.json of its folder or its npm package declares. */
    readonly stated?: StatedVersion;
    /** What the module exports, if it is made of classes and not of a file. */
    readonly exports?: Readonly<Record<string, unknown>>;
  };

/** The contents of a plugins directory, of the npm packages, and of the bundled packages that are turned on. */
export interface Found {
  /** The directory without symbolic links, as in the URLs of its modules. Undefined if there is none. */
  readonly directory: string | undefined;
  /** The modules to load, in order of their names. */
  readonly modules: readonly FoundModule[];
  /** The modules that must not be loaded. Their reasons are among `problems`. */
  readonly refused: readonly FoundModule[];
  readonly problems: readonly PluginProblem[];
  /** Those of npm packages and the bundled ones. */
  readonly packaged: Packaged;
  /** The package.json of each folder, as it was when it could last be read. */
  readonly manifests: ReadonlyMap<string, Manifest>;
}

/** Where plugins are looked for, and which of them are wanted. */
export interface FindOptions {
  readonly pluginsDir: string;
  readonly bundled: readonly BundledPackage[];
  /** Classes of the program that runs the relay. */
  readonly classes?: SatelliteClasses | undefined;
  readonly pluginPackages: boolean;
  readonly projectDir: string;
  readonly pluginList?: readonly string[] | undefined;
  /** Configurations by module. The name of a module that does not exist is a RelayError CONFIG_INVALID. */
  readonly plugins: Readonly<Record<string, unknown>>;
  readonly directoryRequired: boolean;
}

/**
 * Finds the modules to load. Rejects with a RelayError CONFIG_INVALID if the options name a directory, package or module that does not
 * exist.
 */
export async function findModules(options: FindOptions): Promise<Found> {
  const directory = await openDirectory(options);
  const installed = options.pluginPackages ? await findPackaged(options.projectDir) : { modules: [], problems: [] };
  const bundled = await findBundled(options.bundled, directory);
  const classes = modulesOfClasses(options.classes ?? []);
  const packaged = { modules: [...classes, ...bundled, ...installed.modules], problems: installed.problems };
  const named = await nameAll(directory, packaged);
  checkNames(options, named);
  return choose(options, { directory, named, packaged, before: new Map() });
}

/**
 * Finds the modules again; npm packages and bundled plugins are as they were `before`. A package.json that cannot be read, perhaps because
 * it is being written, counts as unchanged. Rejects as {@link findModules} does, but modules that `plugins` and `pluginList` name may have
 * disappeared.
 */
export async function findAgain(options: FindOptions, { packaged, manifests }: Found): Promise<Found> {
  const directory = await openDirectory(options);
  return choose(options, { directory, named: await nameAll(directory, packaged), packaged, before: manifests });
}

/** True if something that existed `before` is gone: it was deleted, or is about to be rewritten. */
export function isSomethingGone(found: Found, before: Found): boolean {
  const present = new Set([...found.modules, ...found.refused].map(({ module }) => module));
  if ([...before.modules, ...before.refused].some(({ module }) => !present.has(module))) return true;
  return [...found.manifests].some(([folder, { isThere }]) => !isThere && before.manifests.get(folder)?.isThere === true);
}

async function nameAll(directory: string | undefined, packaged: Packaged): Promise<readonly FoundModule[]> {
  const files = directory === undefined ? [] : nameModules(await findFiles(directory));
  const inDirectory = files.map((file): FoundModule => ({ ...file, root: directory ?? '', rootName: '', path: file.file }));
  return withoutClashes([...inDirectory, ...packaged.modules]);
}

interface Named {
  readonly directory: string | undefined;
  readonly named: readonly FoundModule[];
  readonly packaged: Packaged;
  readonly before: Found['manifests'];
}

/** Selects the modules that the options allow, and checks whether they may be executed. */
async function choose(options: FindOptions, { directory, named, packaged, before }: Named): Promise<Found> {
  const listed = options.pluginList ? [...options.pluginList, ...options.bundled] : packagesOf(named);
  const chosen = named.filter(({ packageName, exports }) => exports !== undefined || listed.includes(packageName));
  const problems = [...packaged.problems];
  if (directory !== undefined) problems.push(...(await unreadableFolders(directory)));
  const manifests = directory === undefined ? new Map<string, Manifest>() : await readManifests(directory, chosen, { before, problems });
  const wanted = applyManifests(chosen, manifests, problems);
  const checked = (await Promise.all(wanted.map(check))).flat();
  for (const { module, file, refused } of checked) {
    if (refused !== undefined) problems.push({ module: clean(module), file: clean(file), reason: refused });
  }
  const isRefused = ({ refused }: FoundModule): boolean => refused !== undefined;
  const modules = checked.filter((one) => !isRefused(one));
  return { directory, modules, refused: checked.filter(isRefused), problems, packaged, manifests: withoutUnread(manifests) };
}

/** The module, with the reason if it must not be executed. Empty if it has disappeared since the directory was listed. */
async function check(found: FoundModule): Promise<FoundModule[]> {
  const { root, rootName, path } = found;
  if (found.exports) return [found];
  const refused = found.refused ?? (await (rootName === '' ? whyUnsafe(root, path) : whyUnsafe(root, path, 'its package')));
  if (refused === undefined) return [found];
  const isThere = await lstat(join(root, path)).then(
    () => true,
    () => rootName !== '',
  );
  return isThere ? [{ ...found, refused }] : [];
}

async function openDirectory({ pluginsDir, directoryRequired }: FindOptions): Promise<string | undefined> {
  const refuse = (reason: string): never => {
    throw new RelayError('CONFIG_INVALID', `plugins directory ${clean(pluginsDir)}: ${reason}`);
  };
  const status = await statIfThere(pluginsDir).catch((error: unknown) => refuse(reasonOf(error)));
  if (!status) return directoryRequired ? refuse('there is no such directory') : undefined;
  if (!status.isDirectory()) return refuse('it is a file, not a directory');
  if (!(await isReadable(pluginsDir))) return refuse('it cannot be read; check its permissions');
  if (isWritableByAll(status)) return refuse('every user of this machine can write there, and its files are executed; chmod o-w');
  return realpath(pluginsDir);
}

/** The files of a plugins directory that may be modules, as paths in it, with `/`. */
export async function findFiles(directory: string): Promise<string[]> {
  return glob(`{,*/}*.{${EXTENSIONS.join(',')}}`, { cwd: directory, posix: true });
}

async function unreadableFolders(directory: string): Promise<PluginProblem[]> {
  const folders = await glob('*/', { cwd: directory, posix: true });
  const problems = folders.sort(compare).map(async (folder): Promise<PluginProblem[]> => {
    const unread = !isHelperFolder(folder) && !(await isReadable(join(directory, folder)));
    return unread ? [{ file: clean(folder), reason: 'the folder cannot be read; check its permissions' }] : [];
  });
  return (await Promise.all(problems)).flat();
}

async function isReadable(directory: string): Promise<boolean> {
  return access(directory, constants.R_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

function packagesOf(modules: readonly ModuleFile[]): string[] {
  return [...new Set(modules.map(({ packageName }) => packageName))];
}

function checkNames({ pluginList = [], plugins, pluginsDir }: FindOptions, named: readonly ModuleFile[]): void {
  const configured = Object.keys(plugins).filter((module) => plugins[module] !== undefined);
  const wanted = [
    { option: 'pluginList', what: 'package', names: pluginList, known: packagesOf(named) },
    { option: 'plugins', what: 'module', names: configured, known: named.map(({ module }) => module) },
  ];
  for (const { option, what, names, known } of wanted) {
    const unknown = names.find((name) => !known.includes(name));
    if (unknown === undefined) continue;
    const text = `${option}: ${clean(pluginsDir)} has no ${what} "${clean(unknown, 60)}"${suggest(unknown, known)}`;
    throw new RelayError('CONFIG_INVALID', text);
  }
}

/** The package.json of a folder. */
interface Manifest {
  readonly isThere: boolean;
  /** False if it cannot be read. Then no module of its folder is listed. */
  readonly isRead: boolean;
  /** The names in `co2.modules`. Undefined if there is no such field; empty if it is invalid. */
  readonly listed: readonly string[] | undefined;
  readonly stated: StatedVersion;
}

interface ManifestsParts {
  readonly before: Found['manifests'];
  readonly problems: PluginProblem[];
}

/** Reads the package.json of each folder of the plugins directory that has modules. If one cannot be read, that of `before` is used. */
async function readManifests(
  directory: string,
  modules: readonly FoundModule[],
  { before, problems }: ManifestsParts,
): Promise<ReadonlyMap<string, Manifest>> {
  const manifests = new Map<string, Manifest>();
  const folders = modules.filter(isInDirectory).map(({ folder }) => folder);
  for (const folder of new Set(folders)) {
    const known = before.get(folder);
    const report = (reason: string): void => void problems.push({ file: manifestOf(folder), reason });
    const meanwhile = known ? 'the modules of its folder stay as they are' : 'no module of its folder is loaded';
    const manifest = await readManifest(join(directory, folder, 'package.json'), meanwhile, report);
    manifests.set(folder, known && !manifest.isRead ? known : manifest);
  }
  return manifests;
}

/** True for the module of a file in the plugins directory. */
function isInDirectory({ rootName, exports }: FoundModule): boolean {
  return rootName === '' && exports === undefined;
}

/** The manifests that could be read. */
function withoutUnread(manifests: ReadonlyMap<string, Manifest>): Found['manifests'] {
  return new Map([...manifests].filter(([, { isRead }]) => isRead));
}

/**
 * Keeps the modules that the package.json of their folder lists under `co2.modules`, or all if it has no such list, and adds the version
 * that it declares.
 */
function applyManifests(modules: readonly FoundModule[], manifests: Found['manifests'], problems: PluginProblem[]): FoundModule[] {
  const inDirectory = modules.filter(isInDirectory);
  const kept = modules.filter((module) => !isInDirectory(module));
  for (const [folder, { listed, stated }] of manifests) {
    const inFolder = inDirectory.filter((module) => module.folder === folder);
    const known = inFolder.map(({ moduleName }) => moduleName);
    for (const name of listed ?? []) {
      if (known.includes(name)) continue;
      const reason = `co2.modules names "${clean(name, 60)}", and ${folder || TOP_PACKAGE} has no such module${suggest(name, known)}`;
      problems.push({ file: manifestOf(folder), reason });
    }
    const wanted = inFolder.filter(({ moduleName }) => listed?.includes(moduleName) ?? true);
    kept.push(...wanted.map((module) => ({ ...module, stated })));
  }
  return kept.sort((a, b) => compare(a.module, b.module));
}

function manifestOf(folder: string): string {
  return clean(folder === '' ? 'package.json' : `${folder}/package.json`);
}

/** `meanwhile` says what happens until it can be read. */
async function readManifest(path: string, meanwhile: string, report: (reason: string) => void): Promise<Manifest> {
  let content: unknown;
  try {
    const status = await statIfThere(path);
    if (!status) return { isThere: false, isRead: true, listed: undefined, stated: {} };
    if (!status.isFile()) throw new Error('it is not a regular file');
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    report(`cannot be read, so ${meanwhile}: ${clean(reasonOf(error))}`);
    return { isThere: true, isRead: false, listed: [], stated: {} };
  }
  return { isThere: true, isRead: true, listed: listedIn(content, report), stated: readStatedVersion(content, report) };
}

function listedIn(content: unknown, report: (reason: string) => void): readonly string[] | undefined {
  const co2 = isDict(content) ? content.co2 : undefined;
  const listed = isDict(co2) ? co2.modules : undefined;
  if (listed === undefined) return undefined;
  const names = Array.isArray(listed) ? (listed as unknown[]) : [listed];
  const usable = names.filter((name) => typeof name === 'string');
  if (!Array.isArray(listed) || usable.length < names.length) report('co2.modules must be a list of module names, such as ["spam"]');
  return Array.isArray(listed) ? usable : [];
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw error;
  }
}

/** `inline`: in the process of the relay. `child`: in a process of its own. */
export type Isolation = 'inline' | 'child';

// Matches a literal among the options of the decorator, in TypeScript and in the output of compilers.
const DECLARED = /\bSatellite\)?\(\{[^}]{0,500}?\bisolation\s*:\s*(['"`])(child|inline)\1/;
// Matches a decorator of work, in the same two forms.
const WORK = /@(?:[\w$]+\.)*Work\b|\bdecorate\w*\(\[[^\]]{0,500}?\bWork\b/;
// Matches a use of the decorator, but not its import.
const DECORATED = /\bSatellite\s*\)?\s*\(/;
const COMMENTS = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm;

/** Throws a RelayError CONFIG_INVALID if `isolation` names a module that does not exist. */
export function requireModules(modules: readonly FoundModule[], isolation: Readonly<Record<string, Isolation>>): void {
  const names = modules.map(({ module }) => module);
  for (const [name, where] of Object.entries(isolation)) {
    if (where === 'child' && modules.some(({ module, exports }) => module === name && exports !== undefined))
      throw new RelayError(
        'CONFIG_INVALID',
        `isolation: ${name} is a class of this program, and only a file can be loaded in another process`,
        { data: { option: 'isolation' } },
      );
    if (!names.includes(name))
      throw new RelayError('CONFIG_INVALID', `isolation: there is no module '${clean(name)}' in use${suggest(name, names)}`, {
        data: { option: 'isolation', reason: 'unknown-name' },
      });
  }
}

/** Modules by where they run. */
export type ByIsolation = Readonly<Record<Isolation, readonly FoundModule[]>>;

/** Sorts modules by where they run: as config.ts says, or else their source, which is read but not run, or else where they ran `before`. */
export async function byIsolation(
  modules: readonly FoundModule[],
  isolation: Readonly<Record<string, Isolation>>,
  before: ByIsolation = { inline: [], child: [] },
): Promise<ByIsolation> {
  const sorted: Record<Isolation, FoundModule[]> = { inline: [], child: [] };
  for (const found of modules) {
    const was = (['child', 'inline'] as const).find((where) => before[where].some(({ module }) => module === found.module));
    sorted[isolation[found.module] ?? (await declaredIsolation(found, was)) ?? was ?? 'inline'].push(found);
  }
  return sorted;
}

/**
 * What the decorator says. Undefined if there is no decorator, as in a file that is empty, incomplete or unreadable; loading it reports
 * why.
 */
async function declaredIsolation({ root, path, exports }: FoundModule, was: Isolation | undefined): Promise<Isolation | undefined> {
  if (exports) return 'inline';
  const source = await readFile(join(root, path), 'utf8').catch(() => '');
  const declared = isolationIn(source);
  // Moving a module ends its running version, so an invalid version is refused where the previous one runs.
  if (declared === undefined || was === undefined || declared === was) return declared;
  return (await isSyntaxSound(source, path)) ? declared : undefined;
}

function isolationIn(source: string): Isolation | undefined {
  // Most files mention neither, and this search is all that they cost.
  if (!source.includes('isolation') && !source.includes('Work')) return DECORATED.test(source) ? 'inline' : undefined;
  const code = source.replace(COMMENTS, '');
  if (!DECORATED.test(code)) return undefined;
  const declared = DECLARED.exec(code)?.[2] as Isolation | undefined;
  return declared ?? (WORK.test(code) ? 'child' : 'inline');
}

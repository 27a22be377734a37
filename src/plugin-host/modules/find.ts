/** Looks for plugins on the disk and among the npm packages, and says of each file that looks like one whether it may be loaded. */
import { constants } from 'node:fs';
import { access, lstat, readFile, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { glob } from 'glob';
import { RelayError, clean, reasonOf, suggest } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import { EXTENSIONS, TOP_PACKAGE, compare, isHelperFolder, nameModules, withoutClashes, whyUnsafe, statedIn } from '../hosted/hosted.ts';
import type { ModuleFile, Place, PluginProblem, StatedVersion } from '../hosted/hosted.ts';
import { findPackaged } from './packages.ts';
import type { Packaged } from './packages.ts';
import { isWritableByAll } from '../../loader/loader.mjs';

/** A module and where it lies. */
export type FoundModule = ModuleFile &
  Place & { /** By the package.json of its folder or its npm package. */ readonly stated?: StatedVersion };

/** What a plugins directory and the npm packages hold. */
export interface Found {
  /** The directory without symbolic links, as the URLs of its modules have it; undefined if there is none. */
  readonly directory: string | undefined;
  /** Modules to load, in order of their names. */
  readonly modules: readonly FoundModule[];
  /** Those that must not be; the reason of each is among `problems`, too. */
  readonly refused: readonly FoundModule[];
  readonly problems: readonly PluginProblem[];
  readonly packaged: Packaged;
  /** What the package.json of each folder said when it could last be read. */
  readonly manifests: ReadonlyMap<string, Manifest>;
}

export interface FindOptions {
  readonly pluginsDir: string;
  readonly pluginPackages: boolean;
  readonly projectDir: string;
  readonly pluginList?: readonly string[] | undefined;
  /** Configurations by module; a module that is no file is a RelayError CONFIG_INVALID. */
  readonly plugins: Readonly<Record<string, unknown>>;
  readonly directoryRequired: boolean;
}

/** Finds the modules to load. Throws a RelayError CONFIG_INVALID if the options name a directory, package or module that is not there. */
export async function findModules(options: FindOptions): Promise<Found> {
  const directory = await openDirectory(options);
  const packaged = options.pluginPackages ? await findPackaged(options.projectDir) : { modules: [], problems: [] };
  const named = await nameAll(directory, packaged);
  checkNames(options, named);
  return choose(options, { directory, named, packaged, before: new Map() });
}

/**
 * What the plugins directory holds by now; of npm packages what they held `before`. A package.json that cannot be read any more, since it
 * is being written, counts as it was.
 * Throws as {@link findModules}, but what `plugins` and `pluginList` name may have gone.
 */
export async function findAgain(options: FindOptions, { packaged, manifests }: Found): Promise<Found> {
  const directory = await openDirectory(options);
  return choose(options, { directory, named: await nameAll(directory, packaged), packaged, before: manifests });
}

/** True if something that was there `before` is not there any more: it was deleted, or somebody is about to write it again. */
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

/** Those of `named` that are wanted, and may be executed or not. */
async function choose(options: FindOptions, { directory, named, packaged, before }: Named): Promise<Found> {
  const listed = options.pluginList ?? packagesOf(named);
  const chosen = named.filter(({ packageName }) => listed.includes(packageName));
  const problems = [...packaged.problems];
  if (directory !== undefined) problems.push(...(await unreadableFolders(directory)));
  const manifests = directory === undefined ? new Map<string, Manifest>() : await readManifests(directory, chosen, { before, problems });
  const announced = applyManifests(chosen, manifests, problems);
  const checked = (await Promise.all(announced.map(check))).flat();
  for (const { module, file, refused } of checked) {
    if (refused !== undefined) problems.push({ module: clean(module), file: clean(file), reason: refused });
  }
  const isRefused = ({ refused }: FoundModule): boolean => refused !== undefined;
  const modules = checked.filter((one) => !isRefused(one));
  return { directory, modules, refused: checked.filter(isRefused), problems, packaged, manifests: withoutUnread(manifests) };
}

/** With the reason if it must not be executed; nothing if it has gone since the directory was listed. */
async function check(found: FoundModule): Promise<FoundModule[]> {
  const { root, rootName, path } = found;
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
  if (!(await isReadable(pluginsDir))) return refuse('it cannot be read; see its permissions');
  if (isWritableByAll(status)) return refuse('every user of this machine can write there, and what lies there is executed; chmod o-w');
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
    return unread ? [{ file: clean(folder), reason: 'the folder cannot be read; see its permissions' }] : [];
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

/** What a folder's package.json says. */
interface Manifest {
  readonly isThere: boolean;
  /** False if it cannot be read; then nothing of its folder is listed. */
  readonly isRead: boolean;
  /** The names in `co2.modules`; undefined if it does not say; none if what it says cannot be understood. */
  readonly listed: readonly string[] | undefined;
  readonly stated: StatedVersion;
}

interface ManifestsParts {
  readonly before: Found['manifests'];
  readonly problems: PluginProblem[];
}

/** The package.json of each folder of the plugins directory that has modules; one that cannot be read is as it was `before`. */
async function readManifests(
  directory: string,
  modules: readonly FoundModule[],
  { before, problems }: ManifestsParts,
): Promise<ReadonlyMap<string, Manifest>> {
  const manifests = new Map<string, Manifest>();
  const folders = modules.filter(({ rootName }) => rootName === '').map(({ folder }) => folder);
  for (const folder of new Set(folders)) {
    const known = before.get(folder);
    const report = (reason: string): void => void problems.push({ file: manifestOf(folder), reason });
    const meanwhile = known ? 'the modules of its folder stay as they are' : 'nothing of its folder is loaded';
    const manifest = await readManifest(join(directory, folder, 'package.json'), meanwhile, report);
    manifests.set(folder, known && !manifest.isRead ? known : manifest);
  }
  return manifests;
}

/** Those that could be read. */
function withoutUnread(manifests: ReadonlyMap<string, Manifest>): Found['manifests'] {
  return new Map([...manifests].filter(([, { isRead }]) => isRead));
}

/**
 * Keeps the modules that their folder's package.json lists under `co2.modules`; a folder that lists nothing keeps all. Each with what is
 * stated there.
 */
function applyManifests(modules: readonly FoundModule[], manifests: Found['manifests'], problems: PluginProblem[]): FoundModule[] {
  const inDirectory = modules.filter(({ rootName }) => rootName === '');
  const kept = modules.filter(({ rootName }) => rootName !== '');
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

/** `meanwhile`: what it means that it cannot be read. */
async function readManifest(path: string, meanwhile: string, report: (reason: string) => void): Promise<Manifest> {
  let content: unknown;
  try {
    const status = await statIfThere(path);
    if (!status) return { isThere: false, isRead: true, listed: undefined, stated: {} };
    if (!status.isFile()) throw new Error('it is no regular file');
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    report(`cannot be read, so ${meanwhile}: ${clean(reasonOf(error))}`);
    return { isThere: true, isRead: false, listed: [], stated: {} };
  }
  return { isThere: true, isRead: true, listed: listedIn(content, report), stated: statedIn(content, report) };
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

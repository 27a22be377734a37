/** Finds plugins in installed npm packages: direct dependencies with our keyword, whose field `co2` names the package and its modules. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, extname, join, posix } from 'node:path';
import { clean, reasonOf } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import { EXTENSIONS, compare, nameDeclared, readStatedVersion } from '../hosted/hosted.ts';
import type { ModuleFile, ModuleLocation, PluginProblem, StatedVersion } from '../hosted/hosted.ts';
import { isWritableByAll } from '../../loader/loader.mjs';

const KEYWORD = 'co2-relay-plugin';
/** The relay itself, which is a dependency of most projects, and no plugin. */
const OWN_NAME = 'co2-relay';
/** The names that npm allows. Others, such as `../x`, could point outside node_modules. */
const NPM_NAME = /^(?:@[\w~-][\w.~-]*\/)?[\w~-][\w.~-]*$/;

type PackagedModule = ModuleFile &
  ModuleLocation & { readonly stated: StatedVersion; readonly exports?: Readonly<Record<string, unknown>> };

/** The modules that installed packages declare. */
export interface Packaged {
  readonly modules: readonly PackagedModule[];
  readonly problems: readonly PluginProblem[];
}

/** Finds the modules of the packages under `dependencies` in the package.json of `projectDir`. None if there is no such file. */
export async function findPackaged(projectDir: string): Promise<Packaged> {
  const modules: PackagedModule[] = [];
  const problems: PluginProblem[] = [];
  const manifest = await readManifest(projectDir).catch((error: unknown) => {
    problems.push({ file: 'package.json', reason: `no plugins of npm packages are loaded: ${clean(reasonOf(error))}` });
    return undefined;
  });
  for (const name of dependenciesOf(manifest)) {
    try {
      const report = (reason: string): void => void problems.push({ file: clean(`node_modules/${name}/package.json`), reason });
      modules.push(...(await modulesOf(projectDir, name, report)));
    } catch (error) {
      problems.push({ file: clean(`node_modules/${name}`), reason: clean(reasonOf(error), 500) });
    }
  }
  return { modules, problems };
}

function dependenciesOf(manifest: unknown): string[] {
  const dependencies = isDict(manifest) ? manifest.dependencies : undefined;
  const names = isDict(dependencies) ? Object.keys(dependencies) : [];
  return names.filter((name) => name !== OWN_NAME).sort(compare);
}

/** The modules of one dependency. None if it is not a package with plugins. Rejects with an Error that says what is wrong with it. */
async function modulesOf(projectDir: string, name: string, report: (reason: string) => void): Promise<PackagedModule[]> {
  if (!NPM_NAME.test(name)) throw new Error('package.json depends on it, but that is not a valid package name');
  const link = await findInstalled(projectDir, name);
  if (link === undefined) throw new Error('package.json depends on it, but it is not installed; run npm install');
  // A linked package (npm link, a workspace) was chosen by the operator, and may be anywhere.
  const root = await realpath(link);
  const manifest = await readManifest(root);
  if (!isDict(manifest) || !Array.isArray(manifest.keywords) || !manifest.keywords.includes(KEYWORD)) return [];
  for (const path of [join(projectDir, 'package.json'), dirname(link), root, join(root, 'package.json')]) {
    if (isWritableByAll(await stat(path))) throw new Error(`every user of this machine can write to ${path}; chmod o-w`);
  }
  const rootName = `node_modules/${name}/`;
  const stated = readStatedVersion(manifest, report);
  return declaredModules(manifest).map(({ packageName, module, path }) => ({
    ...nameDeclared(rootName + path, packageName, module),
    ...{ root, rootName, path, stated },
  }));
}

interface DeclaredModule {
  readonly packageName: string;
  readonly module: string;
  readonly path: string;
}

/** Reads the field `co2`: `{ "package": "ham", "modules": { "spam": "dist/spam.js" } }`. */
function declaredModules({ co2 }: { readonly co2?: unknown }): DeclaredModule[] {
  const { package: packageName, modules } = isDict(co2) ? co2 : {};
  if (typeof packageName !== 'string' || !isDict(modules)) {
    throw new Error('its package.json needs a field such as "co2": { "package": "ham", "modules": { "spam": "dist/spam.js" } }');
  }
  return Object.entries(modules).map(([module, file]) => {
    if (typeof file !== 'string' || !EXTENSIONS.some((extension) => extname(file) === `.${extension}`)) {
      const endings = EXTENSIONS.map((extension) => `.${extension}`).join(', ');
      throw new Error(`co2.modules: "${clean(module, 60)}" must name a file of the package that ends with ${endings}`);
    }
    return { packageName, module, path: posix.normalize(file) };
  });
}

/** The directory in which Node finds the package: in the node_modules of the project, or of a directory above it (a workspace). */
async function findInstalled(from: string, name: string): Promise<string | undefined> {
  for (let directory = from; ; directory = dirname(directory)) {
    const candidate = join(directory, 'node_modules', name);
    const isThere = await stat(join(candidate, 'package.json')).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
    if (directory === dirname(directory)) return undefined;
  }
}

/** The content of a package.json. Undefined if there is none. */
async function readManifest(directory: string): Promise<unknown> {
  const file = join(directory, 'package.json');
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

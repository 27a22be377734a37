/**
 * Derives the name of a module from its file: the folder is the package, the file the module. Also reads the version that a package.json
 * declares. Nothing here accesses the disk.
 */
import satisfies from 'semver/functions/satisfies.js';
import valid from 'semver/functions/valid.js';
import validRange from 'semver/ranges/valid.js';
import { clean } from '../../core/core.ts';
import { isDict, showValue } from '../../values/values.ts';

/** A file that looks like a module. */
export interface ModuleFile {
  /** For people, with `/`: `ham/spam.ts` in the plugins directory, `node_modules/co2-ham/dist/spam.js` of an npm package. */
  readonly file: string;
  /** Its folder in the plugins directory, `''` for the directory itself. Modules of npm packages are configured there, too. */
  readonly folder: string;
  /** The name of the file without its extension: `my-spam`. */
  readonly stem: string;
  /** `ham` */
  readonly packageName: string;
  /** `spam` */
  readonly moduleName: string;
  /** `ham.spam` */
  readonly module: string;
  /** Why it must not be loaded. Undefined if it may be. */
  readonly refused?: string | undefined;
}

/** The package of files that are in the plugins directory itself. */
export const TOP_PACKAGE = 'plugins';
/** The extensions of modules. */
export const EXTENSIONS = ['ts', 'mts', 'js', 'mjs'] as const;

/** Prefixes of the methods of the relay. */
const RESERVED = new Set(['sys', 'system', 'co2', 'relay', 'web', 'work', 'plugin', 'recording', 'service']);
/** True if methods whose names begin with this word belong to the relay. */
export function isReserved(word: string): boolean {
  return RESERVED.has(word);
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FILE = new RegExp(`^(.+)\\.(?:${EXTENSIONS.join('|')})$`, 's');

/** The modules among `files` (paths relative to the plugins directory, with `/`), in order of their names. Helpers are skipped. */
export function nameModules(files: readonly string[]): readonly ModuleFile[] {
  const modules = files.flatMap((file) => moduleOf(file) ?? []);
  return withoutClashes(modules);
}

/** Where a package and a module get their names, in words for people. */
interface NamePlaces {
  readonly package: string;
  readonly module: string;
}

const PACKAGE_JSON: NamePlaces = { package: 'co2.package', module: 'co2.modules' };

/** The module of these two names, with the reason if they cannot be used. `places` names where they are declared. */
export function nameDeclared(file: string, folder: string, stem: string, places: NamePlaces = PACKAGE_JSON): ModuleFile {
  const packageName = folder.replaceAll('-', '_');
  const moduleName = stem.replaceAll('-', '_');
  const refused = refusal(packageName, moduleName, places);
  return { file, folder, stem, packageName, moduleName, module: `${packageName}.${moduleName}`, refused };
}

/** Compares by code unit, so that the order is the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function moduleOf(file: string): ModuleFile | undefined {
  const parts = file.split('/');
  const base = parts.pop() ?? '';
  const folder = parts.join('/');
  const stem = FILE.exec(base)?.[1];
  if (stem === undefined || parts.length > 1 || isHelper(base) || isHelperFolder(folder)) return undefined;
  const packageName = folder === '' ? TOP_PACKAGE : folder.replaceAll('-', '_');
  const moduleName = stem.replaceAll('-', '_');
  const refused = refusal(packageName, moduleName, { package: 'the folder name', module: 'the file name' });
  return { file, folder, stem, packageName, moduleName, module: `${packageName}.${moduleName}`, refused };
}

/**
 * True for files that editors and version control systems leave beside the one that is edited, for a moment or until a merge is done: Emacs
 * and flycheck, vim, JetBrains, Kate, Syncthing, `git mergetool` and `patch`.
 */
export function isTemporary(base: string): boolean {
  return TEMPORARY.test(base);
}

const TEMPORARY =
  /^(?:flycheck_|#|\.#|~|4913$)|_flymake\.|[~#]$|\.(?:sw[a-z]|tmp|temp|bak|orig|rej|kate-swp)$|___jb_(?:tmp|old)___|[._](?:BACKUP|BASE|LOCAL|REMOTE)[._]\d+\.|\.sync-conflict-|\.tmp\.\w+$/;

function isHelper(base: string): boolean {
  return isTemporary(base) || /^[_.]|\.(?:config|test)\.|\.d\.m?ts$/.test(base);
}

/** True for a folder that never holds modules. */
export function isHelperFolder(folder: string): boolean {
  return /^[_.]/.test(folder) || folder === 'node_modules';
}

function refusal(packageName: string, moduleName: string, places: NamePlaces): string | undefined {
  if (isReserved(packageName)) {
    const remedy = places.package.startsWith('the ') ? 'rename the folder' : `choose another ${places.package}`;
    return `package name "${packageName}" is reserved for the relay's own methods; ${remedy}`;
  }
  for (const [place, name] of [
    [places.package, packageName],
    [places.module, moduleName],
  ] as const) {
    if (!NAME.test(name))
      return `${place} "${clean(name, 60)}" cannot be part of a method name: letters, digits, "_" and "-", no digit first`;
  }
  return undefined;
}

/** The modules in order of their names. If two files have the same module name, both are refused, since the choice would be a guess. */
export function withoutClashes<File extends ModuleFile>(modules: readonly File[]): File[] {
  const claims = new Map<string, File[]>();
  for (const one of modules) claims.set(one.module, [...(claims.get(one.module) ?? []), one]);
  const checked = modules.map((candidate) => {
    const others = (claims.get(candidate.module) ?? []).filter((one) => one !== candidate).map(({ file }) => clean(file));
    if (others.length === 0 || candidate.refused !== undefined) return candidate;
    return {
      ...candidate,
      refused: `${clean(candidate.file)} and ${others.join(' and ')} would both be module ${candidate.module}; rename one`,
    };
  });
  return checked.sort((a, b) => compare(a.module, b.module) || compare(a.file, b.file));
}

/** What a plugin declares about its version. */
export interface StatedVersion {
  readonly version?: string | undefined;
  /** The range of versions of the relay that it works with. */
  readonly requires?: string | undefined;
}

/** Why a plugin that declares this does not work with this relay. Undefined if it does. */
export function incompatibility({ version, requires }: StatedVersion, relayVersion: string): string | undefined {
  if (requires === undefined || requires === '') return undefined;
  const own = version === undefined ? 'it' : `its version ${version}`;
  if (validRange(requires) === null) return `${own} requires the relay '${clean(requires)}', which is not a version range such as ^1.2.0`;
  if (satisfies(relayVersion, requires, { includePrerelease: true })) return undefined;
  return `${own} requires a relay ${clean(requires)}, and this one is ${relayVersion}`;
}

/** Reads `version` and `co2.requires` of a package.json. Invalid values are reported. */
export function readStatedVersion(manifest: unknown, report: (reason: string) => void): StatedVersion {
  const { version, co2 } = isDict(manifest) ? manifest : {};
  const { requires } = isDict(co2) ? co2 : {};
  const known = typeof version === 'string' && valid(version) !== null ? version : undefined;
  if (version !== undefined && known === undefined) report(`version: found ${showValue(version)}, expected a version such as "1.2.0"`);
  if (requires !== undefined && typeof requires !== 'string')
    report(`co2.requires: found ${showValue(requires)}, expected a range of versions of the relay such as "^0.1.0"`);
  return { version: known, requires: typeof requires === 'string' ? requires : undefined };
}

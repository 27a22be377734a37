/** From file names to module names: package = the folder, module = the file. Pure; the disk is find.ts's and packages.ts's. */
import { clean } from '../../core/core.ts';

/** A file that looks like a module. */
export interface ModuleFile {
  /** As people are told of it, with `/`: `ham/spam.ts` in the plugins directory, `node_modules/co2-ham/dist/spam.js` of an npm package. */
  readonly file: string;
  /** Its folder in the plugins directory, `''` for that itself; where an npm package's modules are configured, too. */
  readonly folder: string;
  /** Its name without the extension, as it stands on the disk: `my-spam`. */
  readonly stem: string;
  /** `ham` */
  readonly packageName: string;
  /** `spam` */
  readonly moduleName: string;
  /** `ham.spam` */
  readonly module: string;
  /** Why it is not loaded, if so. */
  readonly refused?: string | undefined;
}

/** Package of files that lie in the plugins directory itself. */
export const TOP_PACKAGE = 'plugins';
export const EXTENSIONS = ['ts', 'mts', 'js', 'mjs'] as const;

/** Prefixes of the relay's own methods. */
const RESERVED = new Set(['sys', 'system', 'co2', 'relay', 'web', 'work', 'plugin', 'recording', 'service']);
/** True if methods whose names begin with this word are the relay's own. */
export function isReserved(word: string): boolean {
  return RESERVED.has(word);
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FILE = new RegExp(`^(.+)\\.(?:${EXTENSIONS.join('|')})$`, 's');

/** The modules among `files` (paths relative to the plugins directory, with `/`), in order of their names; helpers are not among them. */
export function nameModules(files: readonly string[]): readonly ModuleFile[] {
  const modules = files.flatMap((file) => moduleOf(file) ?? []);
  return withoutClashes(modules);
}

/** The module that an npm package announces under these two names, with the reason if they cannot be used. */
export function nameAnnounced(file: string, folder: string, stem: string): ModuleFile {
  const packageName = folder.replaceAll('-', '_');
  const moduleName = stem.replaceAll('-', '_');
  const refused = refusal(packageName, moduleName, { package: 'co2.package', module: 'co2.modules' });
  return { file, folder, stem, packageName, moduleName, module: `${packageName}.${moduleName}`, refused };
}

/** By code unit: the same order on every machine. */
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
 * True for the name of a file that an editor or a version control system leaves beside the one that is edited, for a moment or until a
 * merge is done: of Emacs and flycheck,
 * vim, JetBrains, Kate, Syncthing, `git mergetool` and `patch`.
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

/** `places`: where the two names stand, in words. */
function refusal(packageName: string, moduleName: string, places: { package: string; module: string }): string | undefined {
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

/** In order of their names. Two files for one module: neither is loaded, since which one was meant is a guess. */
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

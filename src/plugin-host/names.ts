/** From file names to module names: package = the folder, module = the file. Pure; the disk is find.ts's. */
import { clean } from '../message/message.ts';

/** A file that looks like a module. */
export interface ModuleFile {
  /** Relative to the plugins directory, with `/`: `ham/spam.ts`. */
  readonly file: string;
  /** Its folder, `''` for the plugins directory itself. */
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
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FILE = new RegExp(`^(.+)\\.(?:${EXTENSIONS.join('|')})$`, 's');

/** The modules among `files` (paths relative to the plugins directory, with `/`), in order of their names; helpers are not among them. */
export function nameModules(files: readonly string[]): readonly ModuleFile[] {
  const modules = files.flatMap((file) => moduleOf(file) ?? []);
  return withoutClashes(modules).sort((a, b) => compare(a.module, b.module) || compare(a.file, b.file));
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
  return { file, folder, stem, packageName, moduleName, module: `${packageName}.${moduleName}`, refused: refusal(packageName, moduleName) };
}

function isHelper(base: string): boolean {
  return /^[_.]|\.(?:config|test)\.|\.d\.m?ts$/.test(base);
}

/** True for a folder that never holds modules. */
export function isHelperFolder(folder: string): boolean {
  return /^[_.]/.test(folder) || folder === 'node_modules';
}

function refusal(packageName: string, moduleName: string): string | undefined {
  if (RESERVED.has(packageName)) return `package name "${packageName}" is reserved for the relay's own methods; rename the folder`;
  for (const [kind, name] of [
    ['folder', packageName],
    ['file', moduleName],
  ] as const) {
    if (!NAME.test(name))
      return `the ${kind} name "${clean(name, 60)}" cannot be part of a method name: letters, digits, "_" and "-", no digit first`;
  }
  return undefined;
}

/** Two files for one module: neither is loaded, since which one was meant is a guess. */
function withoutClashes(modules: readonly ModuleFile[]): ModuleFile[] {
  const filesOf = new Map<string, string[]>();
  for (const { module, file } of modules) filesOf.set(module, [...(filesOf.get(module) ?? []), file]);
  return modules.map((candidate) => {
    const others = (filesOf.get(candidate.module) ?? []).filter((file) => file !== candidate.file).map((file) => clean(file));
    if (others.length === 0 || candidate.refused !== undefined) return candidate;
    return {
      ...candidate,
      refused: `${clean(candidate.file)} and ${others.join(' and ')} would both be module ${candidate.module}; rename one`,
    };
  });
}

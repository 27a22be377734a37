/** Makes the paths among the options absolute, each relative to where it was written. */
import { resolve } from 'node:path';
import { isFileName } from '../plugin-host/plugin-host.ts';

/** Raw options before they are checked. */
export type Tree = Readonly<Record<string, unknown>>;

/** True for an object that is not a list. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// `*` is every key, or every element of a list.
const PATHS: readonly (readonly string[])[] = [
  ['dataDir'],
  ['pluginsDir'],
  ['projectDir'],
  ['unixSocket'],
  ['log', 'file'],
  ['log', 'accessFile'],
  ['tls', 'certFile'],
  ['tls', 'keyFile'],
  ['tls', 'caFile'],
  ['clusterSecretFile'],
  ['access', 'tokens', '*', 'file'],
  ['programs', '*', 'cwd'],
  ['programs', '*', 'exec'],
];

/** `values` with its relative paths resolved against `baseDir`. */
export function absolutePaths(values: Tree, baseDir: string): Tree {
  const absolute = PATHS.reduce((tree, path) => absolutePath(tree, path, baseDir), values);
  return 'relayPlugins' in absolute ? { ...absolute, relayPlugins: absoluteUses(absolute.relayPlugins, baseDir) } : absolute;
}

function absolutePath(tree: Tree, [first = '', ...rest]: readonly string[], baseDir: string): Tree {
  const result: Record<string, unknown> = { ...tree };
  for (const key of first === '*' ? Object.keys(tree) : [first]) {
    const value = tree[key];
    if (rest.length > 0 && isTree(value)) result[key] = absolutePath(value, rest, baseDir);
    else if (rest.length > 0 && Array.isArray(value))
      result[key] = Object.values(absolutePath(Object.fromEntries(Object.entries(value)), rest, baseDir));
    else if (rest.length === 0 && typeof value === 'string' && isPath(key, value)) result[key] = resolve(baseDir, value);
  }
  return result;
}

/** The bare name of a program is looked up on the PATH instead. */
function isPath(key: string, value: string): boolean {
  return value !== '' && (key !== 'exec' || value.includes('/'));
}

/** `relayPlugins` with the paths in it made absolute. Module names stay, and so do invalid entries, since nothing has been checked yet. */
function absoluteUses(list: unknown, baseDir: string): unknown {
  if (!Array.isArray(list)) return list;
  const absolute = (use: unknown): unknown => (typeof use === 'string' && isFileName(use) ? resolve(baseDir, use) : use);
  return list.map((entry: unknown) =>
    typeof entry === 'object' && entry !== null && 'use' in entry ? { ...entry, use: absolute(entry.use) } : absolute(entry),
  );
}

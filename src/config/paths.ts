/** The paths among the options, each made absolute from where it was written. */
import { resolve } from 'node:path';
import { absoluteUses } from './relay-plugin-files.ts';
import { isTree } from './tree.ts';
import type { Tree } from './tree.ts';

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
  ['access', 'tokens', '*', 'file'],
  ['programs', '*', 'cwd'],
  ['programs', '*', 'exec'],
];

/** `values` with its relative paths started from `baseDir`. */
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

/** The bare name of a program is looked for on the PATH. */
function isPath(key: string, value: string): boolean {
  return value !== '' && (key !== 'exec' || value.includes('/'));
}

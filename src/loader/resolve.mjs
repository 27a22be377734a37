// @ts-check
/** Where an import leads: the package by its own name, and `./x.js` where only `x.ts` exists. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PACKAGE = 'co2-relay';
const loaderDirectory = dirname(fileURLToPath(import.meta.url));
const fromSource = basename(dirname(loaderDirectory)) === 'src';

/** The directory of the running relay's package.json. */
export const packageRoot = dirname(dirname(loaderDirectory));

/** @type {Record<string, unknown> | undefined} */
let exportsTable;

/**
 * For `co2-relay` and `co2-relay/x`: the URL of the running relay's public module, unless the importing module has a copy
 * of the package of its own, which Node then finds by itself.
 * @param {string} specifier
 * @param {string | undefined} parentURL
 * @returns {string | undefined}
 */
export function findPublicModule(specifier, parentURL) {
  if (specifier !== PACKAGE && !specifier.startsWith(`${PACKAGE}/`)) return undefined;
  if (parentURL?.startsWith('file:') && hasOwnCopy(dirname(fileURLToPath(parentURL)))) return undefined;
  exportsTable ??= readExports();
  const target = targetOf(exportsTable[`.${specifier.slice(PACKAGE.length)}`]);
  if (target === undefined) {
    const known = Object.keys(exportsTable).map((key) => PACKAGE + key.slice(1));
    const error = new Error(`the package has no module "${specifier}" (it has: ${known.join(', ')})`);
    throw Object.assign(error, { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
  }
  const file = fromSource ? target.replace(/^\.\/dist\/(.*)\.js$/, './src/$1.ts') : target;
  return pathToFileURL(join(packageRoot, file)).href;
}

/**
 * For a relative `./x.js` (`.mjs`) that does not exist while `./x.ts` (`.mts`) does: the specifier of the latter.
 * @param {string} specifier
 * @param {string | undefined} parentURL
 * @returns {string | undefined}
 */
export function findTypeScriptTwin(specifier, parentURL) {
  if (!/^(?:\.{0,2}\/|file:).*\.m?js(?:[?#]|$)/.test(specifier) || !parentURL?.startsWith('file:')) return undefined;
  if (parentURL.includes('/node_modules/') && !/\.m?ts(?:[?#]|$)/.test(parentURL)) return undefined;
  const url = new URL(specifier, parentURL);
  if (isFile(url)) return undefined;
  url.pathname = url.pathname.replace(/js$/, 'ts');
  return isFile(url) ? url.href : undefined;
}

/**
 * True for a file that may be reloaded where a plugin imports it, wherever it lies: not one of a package, and none of the running relay,
 * whose objects all plugins share.
 * @param {string} file
 */
export function isReloadable(file) {
  if (file.split(sep).includes('node_modules')) return false;
  return !file.startsWith(join(packageRoot, 'src', sep)) && !file.startsWith(join(packageRoot, 'dist', sep));
}

/** Looks for `node_modules/co2-relay` from a directory upwards, as far as our own package. @param {string} from */
function hasOwnCopy(from) {
  for (let directory = from; directory !== packageRoot; directory = dirname(directory)) {
    const copy = join(directory, 'node_modules', PACKAGE);
    if (basename(directory) !== 'node_modules' && isFile(join(copy, 'package.json'))) return realpathSync(copy) !== packageRoot;
    if (directory === dirname(directory)) return false;
  }
  return false;
}

/** @returns {Record<string, unknown>} */
function readExports() {
  const manifest = /** @type {unknown} */ (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')));
  return /** @type {{ exports: Record<string, unknown> }} */ (manifest).exports;
}

/** A target is a path, or `{ types, default }`. @param {unknown} entry @returns {string | undefined} */
function targetOf(entry) {
  const path = typeof entry === 'object' && entry !== null && 'default' in entry ? entry.default : entry;
  return typeof path === 'string' ? path : undefined;
}

/** @param {string | URL} path */
function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

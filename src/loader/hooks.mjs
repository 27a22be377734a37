// @ts-check
/** The two module hooks, `resolve` and `load`, which run in the main thread (`registerHooks`) or in the hooks thread (`register`). */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openCache } from './cache.mjs';
import { compileScript, compileTypeScript, compilerId } from './compile.mjs';
import { fingerprintSync } from './fingerprint.mjs';
import { ledgerOver } from './ledger.mjs';
import { findPublicModule, findTypeScriptTwin, isReloadable, packageRoot } from './resolve.mjs';
import { FOR_TYPES } from './type-imports.mjs';
import { whyNotExecutable } from './safety.mjs';
import { askedPath, fileIn, trackedFile, versionIn, withVersion } from './versions.mjs';

/** @typedef {{ file: string, source: string, compile: (source: string, file: string) => string }} Work */
/** @typedef {import('node:module').ResolveFnOutput} Resolved */

let cache = openCache(undefined);
/** @type {import('./module-graph.mjs').Ledger} */
let ledger = {
  ownerOf: () => undefined,
  ownerOfHelper: () => undefined,
  adopt: () => undefined,
  versionOf: () => 0,
  note: () => undefined,
};

/**
 * Sets the options of the loader. Node calls it in the hooks thread, where `ledger` is the port to the graph; `registerLoader` calls it in
 * the main thread.
 * @param {{ cacheDir: string | undefined, ledger: import('./module-graph.mjs').Ledger | import('node:worker_threads').MessagePort }}
 * options
 */
export function initialize(options) {
  cache = openCache(options.cacheDir);
  ledger = 'postMessage' in options.ledger ? ledgerOver(options.ledger) : options.ledger;
}

/**
 * Makes live reload work: an import of a tracked file by another one resolves to its current version, and is noted in the ledger.
 * @type {import('node:module').ResolveHook}
 */
export function resolve(specifier, context, nextResolve) {
  if (specifier.startsWith(FOR_TYPES)) return resolveForTypes(specifier.slice(FOR_TYPES.length), context, nextResolve);
  const target = findPublicModule(specifier, context.parentURL) ?? findTypeScriptTwin(specifier, context.parentURL) ?? specifier;
  const from = trackedFile(ledger, context.parentURL);
  // `require` has no queries, so CommonJS modules stay as they are until the relay is restarted.
  if (from === undefined || !context.conditions.includes('import')) return nextResolve(target, context);
  const note = (/** @type {string} */ asked, /** @type {string | undefined} */ found) => {
    ledger.note({ type: 'import', from, asked, found });
  };
  const found = (/** @type {Resolved} */ resolved) => {
    const asked = askedPath(target, context.parentURL);
    const usual = fileIn(resolved.url);
    if (usual === undefined) return resolved;
    // Node caches the target of a link forever.
    const isLast = asked === undefined || (ledger.ownerOf(usual) === undefined && !isReloadable(usual));
    const url = isLast ? resolved.url : pathToFileURL(realpathSync(asked)).href;
    const file = fileIn(url) ?? usual;
    if (ledger.ownerOf(file) === undefined) {
      if (asked !== undefined && ledger.ownerOf(asked) !== undefined)
        throw new Error(`${asked} is a link to a file outside the directory, so it is not executed`);
      if (!isReloadable(file)) {
        notePackage(from, file);
        return resolved;
      }
      ledger.adopt(file, ledger.ownerOf(from) ?? ledger.ownerOfHelper(from) ?? 0);
    }
    note(asked ?? file, file);
    return resolved.format === 'commonjs' ? resolved : { ...resolved, url: withVersion(url, ledger.versionOf(file)) };
  };
  const missing = (/** @type {unknown} */ error) => {
    const asked = askedPath(target, context.parentURL);
    if (asked !== undefined) note(asked, undefined);
    throw error;
  };
  try {
    // It is a promise in the hooks thread, but not in the main thread.
    const resolved = nextResolve(target, context);
    return resolved instanceof Promise ? resolved.then(found, missing) : found(resolved);
  } catch (error) {
    return missing(error);
  }
}

/** A module without exports, which replaces one that only has types. @type {Resolved} */
const NOTHING = { url: 'data:text/javascript,export{}', format: 'module', shortCircuit: true };
const NOT_FOUND = ['ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED'];

/**
 * Resolves an import whose names are only used as types: packages of types contain nothing to run.
 * @type {import('node:module').ResolveHook}
 */
function resolveForTypes(specifier, context, nextResolve) {
  const found = (/** @type {Resolved} */ resolved) => (/\.d\.[cm]?ts(?:[?#]|$)/.test(resolved.url) ? NOTHING : resolved);
  const missing = (/** @type {unknown} */ error) => {
    const { code = '' } = /** @type {NodeJS.ErrnoException} */ (error);
    if (NOT_FOUND.includes(code) && isDeclared(specifier, context.parentURL)) return NOTHING;
    throw error;
  };
  try {
    const resolved = resolve(specifier, context, nextResolve);
    return resolved instanceof Promise ? resolved.then(found, missing) : found(/** @type {Resolved} */ (resolved));
  } catch (error) {
    return missing(error);
  }
}

/**
 * True if there may be declarations: always for a package, where they may be anywhere; for a missing file if `x.d.ts` is next to it.
 * @param {string} specifier
 * @param {string | undefined} parentURL
 */
function isDeclared(specifier, parentURL) {
  const path = askedPath(specifier, parentURL);
  return path === undefined || statSync(path.replace(/\.([cm]?)[jt]s$/, '.d.$1ts'), { throwIfNoEntry: false }) !== undefined;
}

/** @type {import('node:module').LoadHook} */
export function load(url, context, nextLoad) {
  const tracked = trackedFile(ledger, url);
  if (tracked !== undefined) {
    // Taken before the file is read, so that a change during the read counts as another change.
    ledger.note({ type: 'read', file: tracked, version: versionIn(url), print: fingerprintSync(tracked) });
    requireSafe(tracked);
  }
  const loaded = loadSource(url, context, nextLoad);
  if (tracked === undefined) return loaded;
  /** @param {import('node:module').LoadFnOutput} result */
  const noteFormat = (result) => {
    if (result.format === 'commonjs') ledger.note({ type: 'commonjs', file: tracked });
    return result;
  };
  return loaded instanceof Promise ? loaded.then(noteFormat) : noteFormat(loaded);
}

/** @param {Parameters<import('node:module').LoadHook>} args */
function loadSource(...[url, context, nextLoad]) {
  const extension = /^file:[^?#]*(\.m?[tj]s)(?:[?#]|$)/.exec(url)?.[1];
  if (extension === '.ts' || extension === '.mts') {
    const file = fileURLToPath(url);
    const source = compiled({ file, source: readSource(file), compile: compileTypeScript });
    return { format: 'module', shortCircuit: true, source };
  }
  const script = extension === undefined ? undefined : readScriptWithDocs(url, extension, context.format);
  if (script === undefined) return nextLoad(url, context);
  return { format: 'module', shortCircuit: true, source: compiled(script) };
}

/** Throws an Error with the reason if the file must not be executed. Imported helpers are checked, too. @param {string} file */
function requireSafe(file) {
  const status = statSync(file, { throwIfNoEntry: false });
  const reason = status && whyNotExecutable(status, ledger.ownerOf(file) ?? ledger.ownerOfHelper(file) ?? status.uid);
  if (reason !== undefined) throw new Error(`${file} is not executed: ${reason}`);
}

/** @param {Work} work */
function compiled({ file, source, compile }) {
  const key = cache.key(compilerId(), compile.name, file, source);
  const known = cache.get(key);
  if (known !== undefined) return known;
  const output = compile(source, file);
  cache.put(key, output);
  return output;
}

/** Reads a `.js` module with satellites, whose doc comments are needed, too. Node handles everything else.
 * @param {string} url
 * @param {string} extension
 * @param {string | null | undefined} format
 * @returns {Work | undefined} */
function readScriptWithDocs(url, extension, format) {
  if (format === 'commonjs') return undefined;
  const file = fileURLToPath(url);
  if (url.includes('/node_modules/') && !isOfPluginPackage(file)) return undefined;
  if (file.startsWith(`${packageRoot}/dist/`) || file.startsWith(`${packageRoot}/src/`)) return undefined;
  const source = readSource(file);
  if (!source.includes('/**') || !source.includes('Satellite') || !source.includes('co2-relay')) return undefined;
  // Without a "type" in package.json Node decides by the syntax, and so do we: by a statement that only an ES module can have.
  const isModule = format === 'module' || extension === '.mjs' || /^\s*(?:import\s*[\w{*'"]|export\s*[\w{*])/m.test(source);
  return isModule ? { file, source, compile: compileScript } : undefined;
}

/** Maps a package directory to whether its package.json has the keyword of plugins. @type {Map<string, boolean>} */
const pluginPackages = new Map();

/**
 * Maps a file of a package to its fingerprint at the first import, whose code runs until the process ends.
 * @type {Map<string, import('./fingerprint.mjs').Fingerprint>}
 */
const packageFiles = new Map();

/** Records the package that a tracked file imports. @param {string} from @param {string} file */
function notePackage(from, file) {
  const directory = packageOf(file);
  if (directory === '') return;
  const prints = [file, join(directory, 'package.json')].map((path) => {
    const print = packageFiles.get(path) ?? fingerprintSync(path);
    packageFiles.set(path, print);
    return /** @type {[string, typeof print]} */ ([path, print]);
  });
  ledger.note({ type: 'package', from, directory, prints });
}

/** The directory of the package in a node_modules that the file belongs to; empty for any other file. @param {string} file */
function packageOf(file) {
  return /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file)?.[0] ?? '';
}

/** Node handles installed packages. Only those with the keyword of plugins are read again. @param {string} file */
function isOfPluginPackage(file) {
  const directory = packageOf(file);
  const known = pluginPackages.get(directory) ?? hasPluginKeyword(directory);
  pluginPackages.set(directory, known);
  return known;
}

/** @param {string} directory */
function hasPluginKeyword(directory) {
  try {
    const manifest = /** @type {unknown} */ (JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')));
    const { keywords } = /** @type {{ keywords?: unknown }} */ (manifest);
    return Array.isArray(keywords) && keywords.includes('co2-relay-plugin');
  } catch {
    return false;
  }
}

/** @param {string} file */
function readSource(file) {
  return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
}

// @ts-check
/** The two module hooks, written once for both kinds: in the main thread (`registerHooks`) and in the hooks thread (`register`). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCache } from './cache.mjs';
import { compileScript, compileTypeScript, compilerId } from './compile.mjs';
import { findPublicModule, findTypeScriptTwin, packageRoot } from './resolve.mjs';

/** @typedef {{ file: string, source: string, compile: (source: string, file: string) => string }} Work */

let cache = openCache(undefined);

/** Takes the options of the loader; Node calls it in the hooks thread, `registerLoader` calls it in the main thread.
 * @param {{ cacheDir: string | undefined }} options */
export function initialize(options) {
  cache = openCache(options.cacheDir);
}

/** @type {import('node:module').ResolveHook} */
export function resolve(specifier, context, nextResolve) {
  // Live reload will stand here: a query `?v=N` of context.parentURL is to be handed on to the modules of the same plugin.
  const target = findPublicModule(specifier, context.parentURL) ?? findTypeScriptTwin(specifier, context.parentURL);
  return nextResolve(target ?? specifier, context);
}

/** @type {import('node:module').LoadHook} */
export function load(url, context, nextLoad) {
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

/** @param {Work} work */
function compiled({ file, source, compile }) {
  const key = cache.key(compilerId(), compile.name, file, source);
  const known = cache.get(key);
  if (known !== undefined) return known;
  const output = compile(source, file);
  cache.put(key, output);
  return output;
}

/** A `.js` module with satellites, whose doc comments are wanted too; anything else is left to Node.
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
  // Without a "type" in package.json Node looks at the syntax; so do we: a statement that only an ES module can have.
  const isModule = format === 'module' || extension === '.mjs' || /^\s*(?:import\s*[\w{*'"]|export\s*[\w{*])/m.test(source);
  return isModule ? { file, source, compile: compileScript } : undefined;
}

/** Package directory -> whether its package.json has the keyword of plugins. @type {Map<string, boolean>} */
const pluginPackages = new Map();

/** What npm installs is left to Node, and read once more only if it says that it has plugins. @param {string} file */
function isOfPluginPackage(file) {
  const directory = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file)?.[0] ?? '';
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

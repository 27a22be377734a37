// @ts-check
/** The public file of the loader, which compiles every `.ts` module that this process imports and records its doc comments. */
import { statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { MessageChannel } from 'node:worker_threads';
import { COMPILE_ERROR } from './compile-error.mjs';
import { DOC_COMMENTS, emptyTable } from './doc-comments.mjs';
import { initialize, load, resolve } from './hooks.mjs';
import { hooksChannelOver } from './ledger.mjs';
import { ModuleGraph } from './module-graph.mjs';
import { urlOf } from './versions.mjs';

export { frameOf } from './compile-error.mjs';
export { isWritableByAll, whyNotExecutable } from './safety.mjs';

/**
 * @typedef {object} LoaderOptions
 * @property {string | undefined} [cacheDir] Directory of compiled modules, created if missing, mode 0700. Default: none, so that modules
 * are compiled at each start.
 */

/**
 * The error of an import of a module that does not compile.
 * @typedef {Error & { file: string, line: number, column: number, reason: string, frame: string }} CompileError
 *   `file` is an absolute path, `line` and `column` count from 1, `reason` is one sentence, `frame` has the lines around the place.
 */

/** @typedef {import('./module-graph.mjs').ModuleSnapshot} ModuleSnapshot */
/** @typedef {import('./module-graph.mjs').RetainedVersions} RetainedVersions */
/** @typedef {import('./module-graph.mjs').StaleModule} StaleModule */

/** Class name -> method name -> the text of its doc comment. @typedef {Record<string, Record<string, string>>} DocComments */

const GRAPH = Symbol.for('co2-relay.loader');
const HOOKS = Symbol.for('co2-relay.loader.hooks');
const shared = /** @type {Record<symbol, unknown>} */ (/** @type {unknown} */ (globalThis));

/**
 * Registers the loader for this process (in a worker: for this thread). Only the first call has an effect.
 * @param {LoaderOptions} [options]
 */
export function registerLoader(options = {}) {
  prepareLoader(options);
  installHooks();
}

/**
 * Like {@link registerLoader}, but the hooks are installed when {@link moduleUrl} is first called: before Node 22.15 they take a thread,
 * which costs 100 ms and 11 MB.
 * @param {LoaderOptions} [options]
 */
export function prepareLoader({ cacheDir } = {}) {
  if (shared[GRAPH] !== undefined) return;
  const api = /** @type {{ registerHooks?: (hooks: object) => void, register: typeof nodeModule.register }} */ (nodeModule);
  if (api.registerHooks) {
    const graph = new ModuleGraph(undefined, forgetDocComments);
    shared[GRAPH] = graph;
    shared[HOOKS] = () => {
      initialize({ cacheDir, ledger: graph });
      api.registerHooks?.({ resolve, load });
    };
  } else {
    // Before Node 22.15 the hooks run in a thread of their own, which Node starts with hooks.mjs and `initialize(data)`.
    const { port1, port2 } = new MessageChannel();
    shared[GRAPH] = new ModuleGraph(hooksChannelOver(port1), forgetDocComments);
    shared[HOOKS] = () => {
      api.register('./hooks.mjs', { parentURL: import.meta.url, data: { cacheDir, ledger: port2 }, transferList: [port2] });
    };
  }
}

function installHooks() {
  const install = /** @type {(() => void) | undefined} */ (shared[HOOKS]);
  if (!install) return;
  shared[HOOKS] = undefined;
  process.setSourceMapsEnabled(true);
  install();
}

/**
 * Tracks the modules below a directory, and the files outside it that they import, except those in a node_modules: from now on they have
 * versions and must be safe to execute.
 * @param {string} root Without symbolic links.
 */
export function trackModules(root) {
  graph().track(root, statSync(root).uid);
}

/**
 * The URL under which the current version of a tracked module is imported. From the first call on, the loader compiles what is imported.
 * @param {string} file Without symbolic links.
 */
export function moduleUrl(file) {
  registerLoader();
  return urlOf(file, graph().versionOf(file));
}

/**
 * Checks all tracked modules below a directory that were imported: those that have changed since, and their importers, get a new version.
 * @param {string} root Without symbolic links.
 * @param {{ isWholeOnly?: boolean }} [options] `isWholeOnly`: skip the files for which {@link isShorter} holds.
 */
export function renewChanged(root, options) {
  return graph().renewChanged(root, options);
}

/**
 * True if a tracked module below a directory is gone, or has changed and is shorter than when it last ran: it may be in the middle of a
 * save.
 * @param {string} root Without symbolic links.
 */
export function isShorter(root) {
  return graph().isShorter(root);
}

/**
 * Gives a new version to a tracked module and to all tracked ones that it imports, changed or not.
 * @param {string} file Without symbolic links.
 */
export function renewModule(file) {
  return graph().renewModule(file);
}

/**
 * Marks the last imported version of a tracked module as running, so that all its files were complete.
 * @param {string} file Without symbolic links.
 */
export function acceptModule(file) {
  graph().accept(file);
}

/**
 * The files of a tracked module and its imports that were written during their last import, so that half of them may have been read. They
 * count as changed until the next {@link renewChanged}.
 * @param {string} file Without symbolic links.
 */
export function tornFiles(file) {
  return graph().tornFiles(file);
}

/**
 * The files of a tracked module and its imports that had content and are empty now, because a save is incomplete.
 * @param {string} file Without symbolic links.
 */
export function emptiedFiles(file) {
  return graph().emptiedFiles(file);
}

/**
 * What is known about a tracked module and the tracked ones that it imports, for {@link mergeSnapshot} in another process.
 * @param {string} file Without symbolic links.
 * @returns {ModuleSnapshot}
 */
export function snapshotOf(file) {
  return graph().snapshotOf(file);
}

/**
 * Tracks the files that another process imported.
 * @param {ModuleSnapshot} snapshot
 */
export function mergeSnapshot(snapshot) {
  graph().mergeSnapshot(snapshot);
}

/**
 * The files outside the tracked directories that tracked modules import, and the paths by which they import them.
 * @returns {ReadonlySet<string>}
 */
export function helperPaths() {
  return graph().helperPaths();
}

/**
 * What this process retains of older versions of tracked modules and of all their imports; of all imported modules if none are named.
 * @param {readonly string[]} [files] Without symbolic links.
 */
export function retainedVersions(files) {
  return graph().retainedVersions(files);
}

/**
 * Files among a tracked module and all its imports that have changed but still run as this process first imported them: CommonJS modules
 * and packages.
 * @param {string} file Without symbolic links.
 */
export function staleImports(file) {
  return graph().staleImports(file);
}

/**
 * True for a file that a tracked module imported, or tried to.
 * @param {string} file
 */
export function isImported(file) {
  return graph().isKnown(file);
}

/**
 * True if the source of a module has no syntax error.
 * @param {string} source
 * @param {string} file Its extension tells the language.
 */
export async function isSyntaxSound(source, file) {
  // Imported on demand, since it loads the compiler, which this thread rarely needs.
  const { parses } = await import('./compile.mjs');
  return parses(source, /\.m?ts$/.test(file));
}

/** The module graph of whichever copy of the package registered the hooks. */
function graph() {
  prepareLoader();
  return /** @type {ModuleGraph} */ (shared[GRAPH]);
}

/** @param {string} file @param {number} version */
function forgetDocComments(file, version) {
  const recorded = shared[DOC_COMMENTS];
  if (recorded instanceof Map) recorded.delete(urlOf(file, version));
}

/**
 * The doc comments above the class methods of an imported module, by the exact URL that was imported (with its query).
 * Both levels are null-prototype objects; empty when the module has none or was not loaded through the loader.
 * @param {string} url
 * @returns {DocComments}
 */
export function docCommentsOf(url) {
  /** @type {DocComments} */
  const result = emptyTable();
  const recorded = shared[DOC_COMMENTS];
  const docs = recorded instanceof Map ? /** @type {Map<string, DocComments>} */ (recorded).get(url) : undefined;
  for (const [className, methods] of Object.entries(docs ?? {})) {
    result[className] = Object.assign(emptyTable(), methods);
  }
  return result;
}

/**
 * True for an error that says that a module does not compile, from any copy of the package.
 * @param {unknown} error
 * @returns {error is CompileError}
 */
export function isCompileError(error) {
  return typeof error === 'object' && error !== null && /** @type {Record<symbol, unknown>} */ (error)[COMPILE_ERROR] === true;
}

// @ts-check
/** The loader's face: every `.ts` module that this process imports is compiled on the fly, and its doc comments are kept. */
import * as nodeModule from 'node:module';
import { COMPILE_ERROR } from './compile-error.mjs';
import { DOC_COMMENTS, emptyTable } from './doc-comments.mjs';
import { initialize, load, resolve } from './hooks.mjs';

/**
 * @typedef {object} LoaderOptions
 * @property {string | undefined} [cacheDir] Directory of compiled modules, made when missing, mode 0700. Default: none, compile at each start.
 */

/**
 * What an import of a module that does not compile rejects with.
 * @typedef {Error & { file: string, line: number, column: number, reason: string, frame: string }} CompileError
 *   `file` is an absolute path, `line` and `column` count from 1, `reason` is one sentence, `frame` the lines around the place.
 */

/** Class name -> method name -> the text of its doc comment. @typedef {Record<string, Record<string, string>>} DocComments */

const REGISTERED = Symbol.for('co2-relay.loader');
const shared = /** @type {Record<symbol, unknown>} */ (/** @type {unknown} */ (globalThis));

/**
 * Registers the loader for this process (in a worker: for this thread). The first call wins, later ones do nothing.
 * @param {LoaderOptions} [options]
 */
export function registerLoader(options = {}) {
  if (shared[REGISTERED] !== undefined) return;
  shared[REGISTERED] = true;
  process.setSourceMapsEnabled(true);
  const data = { cacheDir: options.cacheDir };
  const api = /** @type {{ registerHooks?: (hooks: object) => void, register: typeof nodeModule.register }} */ (nodeModule);
  if (api.registerHooks) {
    initialize(data);
    api.registerHooks({ resolve, load });
  } else {
    // Before Node 22.15 the hooks live in a thread of their own, which Node starts with hooks.mjs and `initialize(data)`.
    api.register('./hooks.mjs', { parentURL: import.meta.url, data });
  }
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
 * True for an error that says that a module does not compile, whichever copy of the package made it.
 * @param {unknown} error
 * @returns {error is CompileError}
 */
export function isCompileError(error) {
  return typeof error === 'object' && error !== null && /** @type {Record<symbol, unknown>} */ (error)[COMPILE_ERROR] === true;
}

// @ts-check
/** The compiler swc, as the native module of this platform. `@swc/core` only wraps it, with an install script that npm warns about. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** @typedef {import('@swc/types').Options} Options */
/** @typedef {import('@swc/types').ParserConfig} ParserConfig */
/** @typedef {import('@swc/types').Output} Output */

/**
 * The functions of the native module that are used. Options are JSON as bytes, and a syntax tree is JSON.
 * @typedef {object} Binding
 * @property {(source: string, isTree: boolean, options: Uint8Array) => Output} transformSync
 * @property {(source: string, options: Uint8Array, file: undefined) => string} parseSync
 */

const require = createRequire(import.meta.url);

/** What follows the processor in the name of a package. npm installs the one that fits the C library; an old npm installs both. */
const VARIANTS = {
  darwin: [''],
  win32: ['-msvc'],
  linux: process.arch === 'arm' ? ['-gnueabihf'] : ['-gnu', '-musl'],
};

/** @type {Binding | undefined} */
let loaded;

/**
 * Compiles a module. Throws an Error with the report of the compiler if it has a syntax error.
 * @param {string} source
 * @param {Options} options
 */
export function transformSync(source, options) {
  return binding().transformSync(source, false, bytesOf(options));
}

/**
 * Returns the syntax tree of a module. Throws as {@link transformSync}.
 * @param {string} source
 * @param {ParserConfig & { target: string }} options
 * @returns {unknown}
 */
export function parseSync(source, options) {
  const tree = /** @type {unknown} */ (JSON.parse(binding().parseSync(source, bytesOf(options), undefined)));
  return /** @type {{ program?: unknown }} */ (tree).program ?? tree;
}

/** A text that differs between versions of the compiler. It does not load the compiler. */
export function compilerVersion() {
  for (const name of packages()) {
    try {
      return readFileSync(require.resolve(`${name}/package.json`), 'utf8');
    } catch {
      // Another variant may be installed.
    }
  }
  throw new Error(notInstalled([]));
}

/** Takes about 40 MB and 50 ms, which a warm start saves. @returns {Binding} */
function binding() {
  if (loaded) return loaded;
  /** @type {string[]} */
  const reasons = [];
  for (const name of packages()) {
    try {
      const native = /** @type {unknown} */ (require(name));
      loaded = /** @type {Binding} */ (native);
      return loaded;
    } catch (error) {
      // Node's text for a missing module continues with the stack of the import.
      reasons.push(String(error instanceof Error ? error.message : error).split('\n', 1)[0] ?? '');
    }
  }
  throw new Error(notInstalled(reasons));
}

/** The packages that may hold the native module of this platform. */
function packages() {
  const { platform, arch } = process;
  const variants = platform in VARIANTS ? VARIANTS[/** @type {keyof typeof VARIANTS} */ (platform)] : [];
  return variants.map((variant) => `@swc/core-${platform}-${arch}${variant}`);
}

/** @param {string[]} reasons */
function notInstalled(reasons) {
  const names = packages();
  const what = `no TypeScript compiler for ${process.platform}-${process.arch}`;
  if (names.length === 0) return `${what}: plugins can be JavaScript only`;
  const why = reasons.length > 0 ? ` (${reasons.join('; ')})` : '';
  return `${what}: ${names.join(' or ')} is not installed${why}; run npm install without --omit=optional`;
}

/** @param {object} options */
function bytesOf(options) {
  return Buffer.from(JSON.stringify(options));
}

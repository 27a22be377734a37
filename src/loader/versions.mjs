// @ts-check
/** The versions of tracked files in URLs: `file:///plugins/ham/spam.ts?v=2` is the third version that was imported. */
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * The file of a module URL, if it is tracked: it is below a root, or imported by such a file.
 * @param {Pick<import('./module-graph.mjs').Ledger, 'ownerOf' | 'ownerOfHelper'>} ledger
 * @param {string | undefined} url
 */
export function trackedFile(ledger, url) {
  const file = fileIn(url);
  return file === undefined || (ledger.ownerOf(file) ?? ledger.ownerOfHelper(file)) === undefined ? undefined : file;
}

/** @param {string | undefined} url */
export function fileIn(url) {
  return url?.startsWith('file:') ? fileURLToPath(url) : undefined;
}

/** @param {string | undefined} url */
export function versionIn(url) {
  return Number(/[?&]v=(\d+)(?:#.*)?$/.exec(url ?? '')?.[1] ?? 0);
}

/** Adds the version to a URL; the first version only has the query that the author wrote. @param {string} url @param {number} version */
export function withVersion(url, version) {
  if (version === 0) return url;
  const [, base = url, fragment = ''] = /^([^#]*)(#.*)?$/s.exec(url) ?? [];
  return `${base}${base.includes('?') ? '&' : '?'}v=${version}${fragment}`;
}

/** The URL of a version of a file. @param {string} file @param {number} version */
export function urlOf(file, version) {
  return withVersion(pathToFileURL(file).href, version);
}

/** The path that an import of a file names; undefined for a package. @param {string} specifier @param {string | undefined} parentURL */
export function askedPath(specifier, parentURL) {
  if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return undefined;
  try {
    return fileURLToPath(new URL(specifier, parentURL));
  } catch {
    return undefined;
  }
}

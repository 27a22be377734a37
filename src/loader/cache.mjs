// @ts-check
/** A cache of compiled modules on disk, by content. It only saves time: if it fails, modules are compiled. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Limits the entries, so that the directory does not grow with every edit: some forty versions of 50 files, about 20 MB.
 */
const MAX_ENTRIES = 2000;
/** An entry that has not been read for so long belongs to a version that is gone. */
const MAX_UNUSED_MS = 30 * 24 * 60 * 60 * 1000;
/** The precision of the time of the last use, so that a warm start does not write. */
const TOUCH_MS = 24 * 60 * 60 * 1000;

/**
 * @typedef {{ key: (...parts: string[]) => string, get: (key: string) => string | undefined, put: (key: string, text: string) => void }}
 * Cache
 */

/**
 * Opens the cache in a directory. `undefined` gives a cache that stores nothing.
 * @param {string | undefined} directory
 * @returns {Cache}
 */
export function openCache(directory) {
  if (directory === undefined) return { key: () => '', get: () => undefined, put: () => undefined };
  /** @type {boolean | undefined} */
  let trusted;
  let pruned = false;
  return {
    key: keyOf,
    get(key) {
      trusted ??= isTrusted(directory);
      return trusted ? silently(() => read(join(directory, key))) : undefined;
    },
    put(key, text) {
      silently(() => {
        if (!trusted) {
          mkdirSync(directory, { recursive: true, mode: 0o700 });
          trusted = isTrusted(directory);
        }
        if (!trusted) return;
        write(directory, key, text);
        if (!pruned) prune(directory);
        pruned = true;
      });
    },
  };
}

/** @param {string[]} parts */
function keyOf(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex');
}

/** The files in the directory are executed, so no other user may be able to write there. @param {string} directory */
function isTrusted(directory) {
  const stat = silently(() => statSync(directory));
  if (!stat?.isDirectory()) return false;
  return process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o022) === 0);
}

/** An entry is the checksum of its text, a line end, and the text, so that truncated and damaged files are ignored. @param {string} file */
function read(file) {
  const content = readFileSync(file, 'utf8');
  const text = content.slice(65);
  if (content[64] !== '\n' || content.slice(0, 64) !== keyOf(text)) return undefined;
  const now = Date.now();
  if (now - statSync(file).mtimeMs > TOUCH_MS) silently(() => utimesSync(file, now / 1000, now / 1000));
  return text;
}

/** @param {string} directory @param {string} key @param {string} text */
function write(directory, key, text) {
  const temporary = join(directory, `${key}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    writeFileSync(temporary, `${keyOf(text)}\n${text}`, { flag: 'wx', mode: 0o600 });
    renameSync(temporary, join(directory, key));
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** Removes old entries, then the oldest above the limit. @param {string} directory */
function prune(directory) {
  const entries = readdirSync(directory)
    .filter((name) => /^[0-9a-f]{64}(?:\.|$)/.test(name))
    .map((name) => join(directory, name))
    .map((file) => ({ file, usedAt: silently(() => statSync(file).mtimeMs) ?? 0 }))
    .sort((a, b) => b.usedAt - a.usedAt);
  const oldest = Date.now() - MAX_UNUSED_MS;
  for (const [index, { file, usedAt }] of entries.entries()) {
    if (index >= MAX_ENTRIES || usedAt < oldest) silently(() => rmSync(file, { force: true }));
  }
}

/** @template T @param {() => T} action @returns {T | undefined} */
function silently(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}

// @ts-check
/** The current version of each tracked file, and which file imports which. */
import { stat, realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { ABSENT, CHANGED, fingerprint, fingerprintSync, isSame, isUnchanged, sizeNow, sizeOf } from './fingerprint.mjs';
import { isReloadable } from './resolve.mjs';

/** @typedef {import('./fingerprint.mjs').Fingerprint} Fingerprint */

/**
 * What the hooks report: a file is read, or an import is resolved. `asked` is the path as it was written, `found` the file without symbolic
 * links, undefined if there is none.
 * @typedef {{ type: 'read', file: string, version: number, print: Fingerprint }
 *   | { type: 'import', from: string, asked: string, found: string | undefined }
 *   | { type: 'adopt', file: string, owner: number, print: Fingerprint }
 *   | { type: 'commonjs', file: string }
 *   | { type: 'package', from: string, directory: string, prints: [string, Fingerprint][] }} Note
 */

/** Module versions that a process retains although newer ones have replaced them, and an estimate of their memory.
 * @typedef {{ versions: number, bytes: number }} RetainedVersions
 */

/**
 * A file that runs as it was when it was first imported: CommonJS, or the directory of a package. @typedef {{ path: string, kind:
 * 'commonjs' | 'package' }} StaleModule
 */

/**
 * What the hooks need to know: directories with their owners' user ids, and files with their versions.
 * @typedef {{ roots?: [string, number][], versions?: [string, number][] }} Update
 */

/**
 * The part of the graph that the hooks use, in whichever thread they run. `ownerOf` returns the owner of the tracked directory, undefined
 * for a file that is not tracked. `adopt` begins to track a file outside the roots that a tracked one imports; `ownerOfHelper` returns the
 * user id that such a file may belong to.
 * @typedef {{ ownerOf(file: string): number | undefined, ownerOfHelper(file: string): number | undefined, adopt(file: string, owner:
 * number): void,
 *   versionOf(file: string): number, note(note: Note): void }} Ledger
 */

/** The connection to hooks in a thread of their own. @typedef {{ send(update: Update): void, receive(): Note | undefined }} HooksChannel */

/**
 * @typedef {{ version: number, print: Fingerprint, importsOf: number, imports: Map<string, string | undefined>, packages: Set<string>,
 * hadContent: boolean,
 *   isCommonJs: boolean, isStale: boolean, reads: number, readBytes: number, looked: Fingerprint | undefined, wholeSize: number }} Entry */

/**
 * What a process knows about a module that it imported: each file as it was when it was read, and the targets of its imports.
 * @typedef {{ file: string, print: Fingerprint, imports: [asked: string, found: string | undefined][] }[]} ModuleSnapshot
 */

// Measured with plugins of 1 to 50 KB: for each byte of source its compiled text, source map and code; for each version the module itself.
const BYTES_PER_SOURCE_BYTE = 21;
const BYTES_PER_VERSION = 8 * 1024;

/** Limits the files outside the roots that other processes report, since all of them are checked at each save. */
const MAX_REPORTED = 5_000;

/** @implements {Ledger} */
export class ModuleGraph {
  /** @type {Map<string, number>} */
  #roots = new Map();
  /** @type {Map<string, Entry>} */
  #files = new Map();
  /** Tracked files outside the roots. @type {Map<string, number>} */
  #helpers = new Map();
  /** Directory of a package -> its files that were imported, as they were then. @type {Map<string, Map<string, Fingerprint>>} */
  #packages = new Map();
  /** @type {HooksChannel | undefined} */
  #channel;
  /** @type {(file: string, version: number) => void} */
  #onOutdated;

  /**
   * @param {HooksChannel | undefined} channel undefined: the hooks run in this thread
   * @param {(file: string, version: number) => void} onOutdated Called for each version of a file that is replaced by another.
   */
  constructor(channel, onOutdated) {
    this.#channel = channel;
    this.#onOutdated = onOutdated;
  }

  /**
   * From now on, the files below `root` have versions, except those in a node_modules below it.
   * @param {string} root
   * @param {number} owner
   */
  track(root, owner) {
    if (this.#roots.get(root) === owner) return;
    this.#roots.set(root, owner);
    this.#channel?.send({ roots: [[root, owner]] });
  }

  /** @param {string} file */
  ownerOf(file) {
    return ownerAmong(this.#roots, file);
  }

  /** @param {string} file */
  ownerOfHelper(file) {
    return this.#helpers.get(file);
  }

  /** @param {string} file @param {number} owner */
  adopt(file, owner) {
    if (!this.#helpers.has(file)) this.note({ type: 'adopt', file, owner, print: fingerprintSync(file) });
  }

  /** The tracked files outside the roots, and the paths by which they are imported. */
  helperPaths() {
    this.#pull();
    const paths = new Set(this.#helpers.keys());
    for (const { imports } of this.#files.values())
      for (const asked of imports.keys()) if (this.ownerOf(asked) === undefined && isReloadable(asked)) paths.add(asked);
    return paths;
  }

  /** True for a file that a tracked one imported, or tried to import. @param {string} file */
  isKnown(file) {
    this.#pull();
    if (this.#files.has(file)) return true;
    return [...this.#files.values()].some(({ imports }) => imports.has(file));
  }

  /** 0 for a file that never changed. @param {string} file */
  versionOf(file) {
    return this.#files.get(file)?.version ?? 0;
  }

  /** @param {Note} note */
  note(note) {
    switch (note.type) {
      case 'import':
        this.#entry(note.from).imports.set(note.asked, note.found);
        break;
      case 'adopt':
        this.#helpers.set(note.file, note.owner);
        // Another module may have imported it before; then it is not read again.
        if (!this.#files.has(note.file)) {
          setPrint(this.#entry(note.file), note.print);
          this.#entry(note.file).wholeSize = sizeOf(note.print);
        }
        break;
      case 'commonjs':
        this.#entry(note.file).isCommonJs = true;
        break;
      case 'package':
        this.#entry(note.from).packages.add(note.directory);
        this.#packages.set(note.directory, new Map([...note.prints, ...(this.#packages.get(note.directory) ?? [])]));
        break;
      case 'read':
        this.#noteRead(note);
    }
  }

  /** @param {Note & { type: 'read' }} note */
  #noteRead({ file, print, version }) {
    const entry = this.#entry(file);
    // It was written between the check and the import, so half of it may have been read.
    setPrint(entry, entry.looked === undefined || isSame(entry.looked, print) ? print : CHANGED);
    if (entry.reads === 0) entry.wholeSize = sizeOf(print);
    entry.reads += 1;
    entry.readBytes += sizeOf(print);
    if (version <= entry.importsOf) return;
    // A version is read before its imports are resolved.
    entry.imports = new Map();
    entry.packages = new Set();
    entry.importsOf = version;
  }

  /**
   * What this process retains of older versions of files and of all their imports; of all files if none are named.
   * @param {readonly string[]} [files]
   * @returns {RetainedVersions}
   */
  retainedVersions(files) {
    this.#pull();
    const entries = files ? new Set(files.flatMap((file) => [...this.#withImports(file)])) : this.#files.keys();
    const retained = { versions: 0, bytes: 0 };
    for (const file of entries) {
      const { reads = 0, readBytes = 0, print = ABSENT } = this.#files.get(file) ?? {};
      if (reads < 2) continue;
      retained.versions += reads - 1;
      retained.bytes += (reads - 1) * BYTES_PER_VERSION + Math.max(0, readBytes - sizeOf(print)) * BYTES_PER_SOURCE_BYTE;
    }
    return retained;
  }

  /**
   * Modules among a file and all its imports that have changed, but cannot be reloaded.
   * @param {string} file
   * @returns {Promise<StaleModule[]>}
   */
  async staleImports(file) {
    const entries = [...this.#withImports(file)].map((path) => /** @type {const} */ ([path, this.#entry(path)]));
    const files = entries.filter(([, { isStale }]) => isStale).map(([path]) => /** @type {StaleModule} */ ({ path, kind: 'commonjs' }));
    const packages = new Set(entries.flatMap(([, entry]) => [...entry.packages]));
    for (const directory of packages) {
      const prints = [...(this.#packages.get(directory) ?? [])];
      const areSame = await Promise.all(prints.map(([path, print]) => isUnchanged(path, print)));
      if (areSame.includes(false)) files.push({ path: directory, kind: 'package' });
    }
    return files;
  }

  /**
   * Gives a new version to each file below `root`, or outside all roots, that has changed since it was read, and to all its importers.
   * @param {string} root
   * @param {{ isWholeOnly?: boolean }} [options]
   */
  async renewChanged(root, { isWholeOnly = false } = {}) {
    this.#pull();
    const changed = this.#below(root).map(async ([file, entry]) => {
      if (isWholeOnly && (await isShorter(file, entry))) return [];
      return (await this.#isChanged(file, entry)) ? [file] : [];
    });
    await this.#renew(this.#withImporters((await Promise.all(changed)).flat()));
  }

  /**
   * True if a file below `root`, or outside all roots, is gone, or has changed and is shorter than when it last ran.
   * @param {string} root
   */
  async isShorter(root) {
    this.#pull();
    return (await Promise.all(this.#below(root).map(([file, entry]) => isShorter(file, entry)))).includes(true);
  }

  /** Notes that the last versions of a file and all its imports are running, so that each file was complete. @param {string} file */
  accept(file) {
    for (const one of this.#withImports(file)) {
      const entry = this.#files.get(one);
      if (entry && entry.print !== CHANGED) entry.wholeSize = sizeOf(entry.print);
    }
  }

  /** The files among a file and all its imports that were written while they were imported. @param {string} file */
  tornFiles(file) {
    return [...this.#withImports(file)].filter((one) => this.#files.get(one)?.print === CHANGED);
  }

  /** The files among a file and all its imports that had content and are empty now. @param {string} file */
  emptiedFiles(file) {
    return [...this.#withImports(file)].filter((one) => {
      const { hadContent = false, print = ABSENT } = this.#files.get(one) ?? {};
      return hadContent && print.stamp !== ABSENT.stamp && sizeOf(print) === 0;
    });
  }

  /** Gives a new version to a file and to all its imports. @param {string} file */
  async renewModule(file) {
    this.#entry(file);
    await this.#renew(this.#withImports(file));
  }

  /** What is known about a file and all its imports. @param {string} file @returns {ModuleSnapshot} */
  snapshotOf(file) {
    return [...this.#withImports(file)].flatMap((one) => {
      const entry = this.#files.get(one);
      return entry ? [{ file: one, print: entry.print, imports: [...entry.imports] }] : [];
    });
  }

  /**
   * Adds what another process that imported a module knows about its tracked files. A file that differs from what is known here is marked
   * as changed.
   * @param {ModuleSnapshot} snapshot
   */
  mergeSnapshot(snapshot) {
    this.#pull();
    const owner = this.ownerOf(snapshot[0]?.file ?? '');
    for (const { file, print, imports } of snapshot) {
      if (this.ownerOf(file) === undefined && !this.#adoptReported(file, owner)) continue;
      const known = this.#files.get(file);
      const entry = this.#entry(file);
      setPrint(entry, known === undefined || isSame(known.print, print) ? print : CHANGED);
      if (known === undefined) entry.wholeSize = sizeOf(print);
      entry.imports = new Map(imports);
    }
  }

  /** @param {string} root */
  #below(root) {
    return [...this.#files].filter(([file]) => file.startsWith(root + sep) || this.#helpers.has(file));
  }

  /** False if the file cannot be tracked. @param {string} file @param {number | undefined} owner */
  #adoptReported(file, owner) {
    if (owner === undefined || !isAbsolute(file) || !isReloadable(file)) return false;
    if (!this.#helpers.has(file) && this.#helpers.size >= MAX_REPORTED) return false;
    this.#helpers.set(file, owner);
    return true;
  }

  /** A file and all that it imports, directly or not. @param {string} file */
  #withImports(file) {
    this.#pull();
    const files = new Set([file]);
    for (const from of files) {
      for (const found of this.#files.get(from)?.imports.values() ?? [])
        if (found !== undefined && this.#files.has(found)) files.add(found);
    }
    return files;
  }

  /** @param {string} file @param {Entry} entry */
  async #isChanged(file, entry) {
    if (!(await isUnchanged(file, entry.print))) return true;
    for (const [asked, found] of entry.imports) {
      if (asked === found || (await targetOf(asked)) === found) continue;
      // Reported once: the next version of the file records the new target.
      entry.imports.delete(asked);
      return true;
    }
    return false;
  }

  /** @param {readonly string[]} changed */
  #withImporters(changed) {
    const files = new Set(changed);
    /** @type {Map<string, string[]>} */
    const importers = new Map();
    for (const [from, { imports }] of this.#files) {
      for (const found of imports.values()) if (found !== undefined) importers.set(found, [...(importers.get(found) ?? []), from]);
    }
    for (const file of files) for (const importer of importers.get(file) ?? []) files.add(importer);
    return files;
  }

  /** @param {Set<string>} files */
  async #renew(files) {
    /** @type {[string, number][]} */
    const versions = [];
    for (const file of files) {
      const entry = this.#entry(file);
      // Each change is reported once, whether the new version is ever read or not.
      const print = await fingerprint(file);
      if (entry.isCommonJs && !isSame(entry.print, print)) entry.isStale = true;
      entry.looked = print;
      setPrint(entry, print);
      this.#onOutdated(file, entry.version);
      entry.version += 1;
      versions.push([file, entry.version]);
    }
    if (versions.length > 0) this.#channel?.send({ versions });
  }

  /** @param {string} file */
  #entry(file) {
    const known = this.#files.get(file);
    if (known) return known;
    /** @type {Entry} */
    const entry = { version: 0, print: ABSENT, importsOf: 0, imports: new Map(), packages: new Set(), hadContent: false, ...UNREAD };
    this.#files.set(file, entry);
    return entry;
  }

  #pull() {
    for (let note = this.#channel?.receive(); note; note = this.#channel?.receive()) this.note(note);
  }
}

const UNREAD = { isCommonJs: false, isStale: false, reads: 0, readBytes: 0, looked: undefined, wholeSize: 0 };

/** @param {Entry} entry @param {Fingerprint} print */
function setPrint(entry, print) {
  entry.print = print;
  entry.hadContent ||= sizeOf(print) > 0;
}

/** @param {string} file @param {Entry} entry */
async function isShorter(file, { wholeSize, print }) {
  return (await sizeNow(file)) < wholeSize && !(await isUnchanged(file, print));
}

/**
 * The owner of the root that contains the file; undefined if none does, or if the file is in a node_modules below it.
 * @param {ReadonlyMap<string, number>} roots
 * @param {string} file
 */
export function ownerAmong(roots, file) {
  for (const [root, owner] of roots) {
    if (file.startsWith(root + sep) && !file.slice(root.length).split(sep).includes('node_modules')) return owner;
  }
  return undefined;
}

/** The file that an import of this path would find, without symbolic links; undefined if there is none. @param {string} asked */
async function targetOf(asked) {
  // The same candidates as in resolve.mjs.
  const candidates = /\.m?js$/.test(asked) ? [asked, asked.replace(/js$/, 'ts')] : [asked];
  for (const candidate of candidates) {
    try {
      if ((await stat(candidate)).isFile()) return await realpath(candidate);
    } catch {
      // The next candidate may exist.
    }
  }
  return undefined;
}

// @ts-check
/** Which version of each plugin's file is the current one, and which file imports which. */
import { stat, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { ABSENT, CHANGED, fingerprint, isSame, isUnchanged, sizeNow, sizeOf } from './fingerprint.mjs';

/** @typedef {import('./fingerprint.mjs').Fingerprint} Fingerprint */

/**
 * What the hooks saw: a file is read, or an import leads somewhere. `asked` is the path as it was written, `found` the file without symbolic links,
 * undefined if there is none.
 * @typedef {{ type: 'read', file: string, version: number, print: Fingerprint }
 *   | { type: 'import', from: string, asked: string, found: string | undefined }} Note
 */

/** What the hooks must know: directories with their owners' user ids, files with their versions. @typedef {{ roots?: [string, number][], versions?: [string, number][] }} Update */

/** What the hooks see of it, in whichever thread they run. `ownerOf` is that of the directory, undefined for a file that is not tracked.
 * @typedef {{ ownerOf(file: string): number | undefined, versionOf(file: string): number, note(note: Note): void }} Ledger
 */

/** The way to hooks in a thread of their own. @typedef {{ send(update: Update): void, receive(): Note | undefined }} Line */

/** @typedef {{ version: number, print: Fingerprint, importsOf: number, imports: Map<string, string | undefined>, hadContent: boolean }} Entry */

/**
 * What a process knows of a module that it imported: each file as it was when it was read, and where its imports led.
 * @typedef {{ file: string, print: Fingerprint, imports: [asked: string, found: string | undefined][] }[]} Account
 */

/** @implements {Ledger} */
export class ModuleGraph {
  /** @type {Map<string, number>} */
  #roots = new Map();
  /** @type {Map<string, Entry>} */
  #files = new Map();
  /** @type {Line | undefined} */
  #line;
  /** @type {(file: string, version: number) => void} */
  #onOutdated;

  /**
   * @param {Line | undefined} line undefined: the hooks run in this thread and call us
   * @param {(file: string, version: number) => void} onOutdated Told of each file's version that another takes the place of.
   */
  constructor(line, onOutdated) {
    this.#line = line;
    this.#onOutdated = onOutdated;
  }

  /** From now on the files below `root`, but for those in a node_modules below it, have versions. @param {string} root @param {number} owner */
  track(root, owner) {
    if (this.#roots.get(root) === owner) return;
    this.#roots.set(root, owner);
    this.#line?.send({ roots: [[root, owner]] });
  }

  /** @param {string} file */
  ownerOf(file) {
    return ownerAmong(this.#roots, file);
  }

  /** True for a file that was read, or looked for, on behalf of a tracked one. @param {string} file */
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
    if (note.type === 'import') {
      this.#entry(note.from).imports.set(note.asked, note.found);
      return;
    }
    const entry = this.#entry(note.file);
    setPrint(entry, note.print);
    if (note.version <= entry.importsOf) return;
    // A version is read before its imports are resolved.
    entry.imports = new Map();
    entry.importsOf = note.version;
  }

  /** Gives a new version to each file below `root` that is not as it was read, and to all that import it. @param {string} root */
  async renewChanged(root) {
    this.#pull();
    const changed = await Promise.all(this.#below(root).map(async ([file, entry]) => ((await this.#isChanged(file, entry)) ? [file] : [])));
    await this.#renew(this.#withImporters(changed.flat()));
  }

  /** True if a file below `root` is shorter than when it was read, or gone. @param {string} root */
  async isShorter(root) {
    this.#pull();
    const sizes = await Promise.all(this.#below(root).map(async ([file, { print }]) => (await sizeNow(file)) < sizeOf(print)));
    return sizes.includes(true);
  }

  /** Among a file and all that it imports those that had content and are empty by now. @param {string} file */
  emptiedBehind(file) {
    return [...this.#behind(file)].filter((one) => {
      const { hadContent = false, print = ABSENT } = this.#files.get(one) ?? {};
      return hadContent && print.stamp !== ABSENT.stamp && sizeOf(print) === 0;
    });
  }

  /** Gives a new version to a file and to all that it imports. @param {string} file */
  async renewBehind(file) {
    this.#entry(file);
    await this.#renew(this.#behind(file));
  }

  /** What is known of a file and of all that it imports. @param {string} file @returns {Account} */
  accountOf(file) {
    return [...this.#behind(file)].flatMap((one) => {
      const entry = this.#files.get(one);
      return entry ? [{ file: one, print: entry.print, imports: [...entry.imports] }] : [];
    });
  }

  /**
   * Learns what another process that imported a module knows of it; of tracked files alone, and of those that are not as they are known here it only keeps that they changed.
   * @param {Account} account
   */
  learn(account) {
    this.#pull();
    for (const { file, print, imports } of account) {
      if (this.ownerOf(file) === undefined) continue;
      const known = this.#files.get(file);
      const entry = this.#entry(file);
      setPrint(entry, known === undefined || isSame(known.print, print) ? print : CHANGED);
      entry.imports = new Map(imports);
    }
  }

  /** @param {string} root */
  #below(root) {
    return [...this.#files].filter(([file]) => file.startsWith(root + sep));
  }

  /** A file and all that it imports. @param {string} file */
  #behind(file) {
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
      if (asked === found || (await leadsTo(asked)) === found) continue;
      // Told once: the next version of the file notes where it leads now.
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
      // The change is told once, and the next one is one from here on, whether the new version is ever read or not.
      setPrint(entry, await fingerprint(file));
      this.#onOutdated(file, entry.version);
      entry.version += 1;
      versions.push([file, entry.version]);
    }
    if (versions.length > 0) this.#line?.send({ versions });
  }

  /** @param {string} file */
  #entry(file) {
    const known = this.#files.get(file);
    if (known) return known;
    /** @type {Entry} */
    const entry = { version: 0, print: ABSENT, importsOf: 0, imports: new Map(), hadContent: false };
    this.#files.set(file, entry);
    return entry;
  }

  #pull() {
    for (let note = this.#line?.receive(); note; note = this.#line?.receive()) this.note(note);
  }
}

/** @param {Entry} entry @param {Fingerprint} print */
function setPrint(entry, print) {
  entry.print = print;
  entry.hadContent ||= sizeOf(print) > 0;
}

/** The owner of the root that the file lies below, if it does, and in no node_modules there. @param {ReadonlyMap<string, number>} roots @param {string} file */
export function ownerAmong(roots, file) {
  for (const [root, owner] of roots) {
    if (file.startsWith(root + sep) && !file.slice(root.length).split(sep).includes('node_modules')) return owner;
  }
  return undefined;
}

/** The file that an import of this path would find, without symbolic links; undefined if there is none. @param {string} asked */
async function leadsTo(asked) {
  // As resolve.mjs has it.
  const candidates = /\.m?js$/.test(asked) ? [asked, asked.replace(/js$/, 'ts')] : [asked];
  for (const candidate of candidates) {
    try {
      if ((await stat(candidate)).isFile()) return await realpath(candidate);
    } catch {
      // The next one may be there.
    }
  }
  return undefined;
}

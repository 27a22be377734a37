/**
 * A disk of the machine: LevelDB in a directory. LevelDB opens damaged files without an error, with data missing, and deletes what it no
 * longer knows; so every start keeps the files as they were until what is in them is verified.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { appendFile, copyFile, link, mkdir, open, readFile, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { ClassicLevel } from 'classic-level';
import { RelayError, reasonOf } from '../core/core.ts';
import type { Disk, Engine, EngineOperation, KeyRange, Pair } from './engine.ts';
import { nextFileNumber } from './manifest.ts';

// The files below the directory of the store:
//   level/            LevelDB
//   unverified/       level/ as it was before it was opened, mostly hard links; removed once the content is verified
//   damaged/<time>/   level/ as it was when damage was found
//   damaged/records.jsonl  single records whose checksum was wrong
//   synced            the number of the newest synced commit
const COMMIT_BYTES = 8;
const NOTE_BYTES = COMMIT_BYTES + 4;
// Large enough that the cost of a page does not show, small enough to hold many at once.
const PAGE_BYTES = 256 * 1024;
const PAGE_PAIRS = 1_024;
// Compaction of small tables would be most of the work. A start replays as much at most.
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
// No damage, and nothing that a repair could change.
const SYSTEM_FAILURE = /no space left|permission denied|read-only|too many open files|input\/output error|quota|cannot allocate/i;

/** The store in this directory (absolute), which is created if it does not exist; its parent exists. */
export function levelDisk(directory: string): Disk {
  return new LevelDisk(directory);
}

class LevelDisk implements Disk {
  readonly #level: string;
  readonly #unverified: string;
  readonly #damaged: string;

  constructor(private readonly directory: string) {
    this.#level = join(directory, 'level');
    this.#unverified = join(directory, 'unverified');
    this.#damaged = join(directory, 'damaged');
  }

  exists(): Promise<boolean> {
    return exists(this.directory);
  }

  async open(): Promise<Engine> {
    await this.#attempt(async () => {
      await mkdir(this.directory, { mode: 0o700 }).catch(unlessExists);
      if (await exists(this.#unverified)) await this.#restore();
      else await this.#keep();
    });
    // LevelDB would make a new database, and delete the tables of this one.
    const names = (await filesIn(this.#level)).map(({ name }) => name);
    if (names.length > 0 && !names.includes('CURRENT')) throw new Error('the file CURRENT is missing');
    const { ClassicLevel } = await import('classic-level');
    // Uncompressed, so that a flipped bit damages one record, and not the block around it.
    const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false, writeBufferSize: WRITE_BUFFER_BYTES } as const;
    const level = new ClassicLevel<Buffer, Buffer>(this.#level, options);
    try {
      await level.open();
    } catch (error) {
      throw this.#openFailure(error);
    }
    return new LevelEngine(this.directory, level, join(this.#damaged, 'records.jsonl'), () => this.#makeDamaged());
  }

  async accept(): Promise<void> {
    await this.#attempt(() => rm(this.#unverified, { recursive: true, force: true }));
  }

  async repair(how: 'repair' | 'replace'): Promise<string> {
    const kept = join(this.#damaged, new Date().toISOString().replaceAll(':', '-'));
    await this.#attempt(async () => {
      await this.#makeDamaged();
      if (how === 'replace') {
        await rename(this.#unverified, kept);
        await rm(this.#level, { recursive: true, force: true });
        return;
      }
      await this.#restore();
      await rename(this.#unverified, kept);
      const { ClassicLevel } = await import('classic-level');
      // What it cannot repair fails at the next open.
      await ClassicLevel.repair(this.#level).catch(() => undefined);
      // The repair moves what it replaces there; it is in `kept` too.
      await rm(join(this.#level, 'lost'), { recursive: true, force: true });
    });
    return kept;
  }

  /** Keeps the files as they are before LevelDB deletes any. */
  async #keep(): Promise<void> {
    const incomplete = `${this.#unverified}.new`;
    await rm(incomplete, { recursive: true, force: true });
    // With a manifest that is cut LevelDB uses numbers again, and so would change what a link names too.
    await linkAll(this.#level, incomplete, await this.#nextFile(this.#level));
    await rename(incomplete, this.#unverified);
  }

  async #nextFile(directory: string): Promise<number> {
    const names = (await filesIn(directory)).map(({ name }) => name).filter((name) => name.startsWith('MANIFEST-'));
    const numbers = names.map(async (name) => nextFileNumber(await readFile(join(directory, name))));
    return Math.min(...(await Promise.all(numbers)));
  }

  /** Puts the files back as they were; nothing was written since then. */
  async #restore(): Promise<void> {
    await rm(this.#level, { recursive: true, force: true });
    await linkAll(this.#unverified, this.#level, await this.#nextFile(this.#unverified));
  }

  async #makeDamaged(): Promise<void> {
    await mkdir(this.#damaged, { mode: 0o700 }).catch(unlessExists);
  }

  #openFailure(error: unknown): unknown {
    const { code, cause } = error as { readonly code?: unknown; readonly cause?: { readonly code?: unknown } };
    const reason = reasonOf(cause ?? error);
    const isDamage = code === 'LEVEL_DATABASE_NOT_OPEN' && cause?.code !== 'LEVEL_LOCKED' && !SYSTEM_FAILURE.test(reason);
    return isDamage ? error : this.#unusable(cause?.code === 'LEVEL_LOCKED' ? 'another process uses it' : reason, error);
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#unusable(reasonOf(error), error);
    }
  }

  #unusable(reason: string, cause: unknown): RelayError {
    return new RelayError('STATE_DIRECTORY', `the store ${this.directory} cannot be used: ${reason}`, { cause });
  }
}

class LevelEngine implements Engine {
  readonly noted: number;
  readonly #note: number;
  readonly #noteBuffer = Buffer.alloc(NOTE_BYTES);
  #hasSetAside = false;

  constructor(
    private readonly directory: string,
    private readonly level: ClassicLevel<Buffer, Buffer>,
    private readonly records: string,
    private readonly prepareRecords: () => Promise<void>,
  ) {
    const path = join(directory, 'synced');
    this.#note = openNote(path);
    this.noted = readNote(this.#note);
  }

  async batch(operations: readonly EngineOperation[], sync: boolean): Promise<void> {
    // The records that are removed must not be lost before their copies are on the disk.
    if (this.#hasSetAside && sync) await this.#syncSetAside();
    // An array of operations would take three times as long: the library copies each as an object first.
    const batch = this.level.batch();
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
    await batch.write({ sync });
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return this.level.get(key);
  }

  async *pages(range: KeyRange): AsyncGenerator<readonly Pair[], void, undefined> {
    const iterator = this.level.iterator({ ...range, fillCache: false, highWaterMarkBytes: PAGE_BYTES });
    try {
      // The next page is read while the caller works on this one.
      for (let next = iterator.nextv(PAGE_PAIRS); ;) {
        const page = await next;
        if (page.length === 0) return;
        next = iterator.nextv(PAGE_PAIRS);
        // It is awaited above, unless the caller wants no more.
        next.catch(() => undefined);
        yield page;
      }
    } finally {
      await iterator.close();
    }
  }

  async clear(range: KeyRange): Promise<void> {
    await this.level.clear(range);
  }

  note(commit: number): void {
    const buffer = this.#noteBuffer;
    buffer.writeBigUInt64BE(BigInt(commit), 0);
    buffer.writeUInt32BE(crc32(buffer.subarray(0, COMMIT_BYTES)), COMMIT_BYTES);
    writeSync(this.#note, buffer, 0, NOTE_BYTES, 0);
  }

  async setAside([key, value]: Pair, reason: string): Promise<string> {
    const line = { at: new Date().toISOString(), reason, key: key.toString('base64'), value: value.toString('base64') };
    await this.prepareRecords();
    await appendFile(this.records, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    this.#hasSetAside = true;
    return this.records;
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    const { bavail, blocks, bsize } = await statfs(this.directory);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  }

  async close(): Promise<void> {
    if (this.#hasSetAside) await this.#syncSetAside();
    await this.level.close();
    closeSync(this.#note);
  }

  async #syncSetAside(): Promise<void> {
    const file = await open(this.records, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    this.#hasSetAside = false;
  }
}

function openNote(path: string): number {
  try {
    return openSync(path, 'r+');
  } catch {
    return openSync(path, 'w+', 0o600);
  }
}

/** The commit in the file; 0 if there is none. */
function readNote(file: number): number {
  const buffer = Buffer.alloc(NOTE_BYTES);
  const length = readSync(file, buffer, 0, NOTE_BYTES, 0);
  const isWhole = length === NOTE_BYTES && buffer.readUInt32BE(COMMIT_BYTES) === crc32(buffer.subarray(0, COMMIT_BYTES));
  return isWhole ? Number(buffer.readBigUInt64BE(0)) : 0;
}

/** Makes the directory `to` with hard links to the files in `from`, or with copies of those numbered from `firstCopied` on. */
async function linkAll(from: string, to: string, firstCopied: number): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const { name } of await filesIn(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if (Number.parseInt(name, 10) >= firstCopied) await copyFile(source, target);
    else
      await link(source, target).catch(async (error: unknown) => {
        if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
        await copyFile(source, target);
      });
  }
}

const NO_LINKS = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']);

/** The files of a directory that may not exist. */
async function filesIn(directory: string) {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isFile());
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function unlessExists(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
}

/** A file of frames, one line of JSON each, of bounded size: when it is full, it is renamed and a new one is begun. */
import { constants } from 'node:fs';
import { lstat, mkdir, open, opendir, realpath, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { RelayError, clean } from '../core/core.ts';
import { frameLine } from '../json/json.ts';
import type { Frame } from '../plugin-host/plugin-host.ts';
import { isCode, systemReason } from '../state/state.ts';
import type { RecordingLimits } from './options.ts';
import type { FrameTarget } from './targets.ts';

export type FileLimits = Pick<RecordingLimits, 'directories' | 'maxFileBytes' | 'keepFiles' | 'maxFiles'>;

const NAME = /^\w[\w.-]{0,99}\.ndjson$/;
// Never through a link that somebody else made, and only what nobody else may read. Opening a pipe that nobody reads must not wait.
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MODE = 0o600;

/**
 * The absolute path of a file that a recording may write: a name is a file in `own`, and an absolute path must be in one of the
 * directories. Throws a RelayError INVALID_PARAMS.
 */
export function pathOfFile(file: string, own: string, directories: readonly string[]): string {
  const refuse = (reason: string): never => {
    throw new RelayError('INVALID_PARAMS', `the file '${clean(file, 200)}' cannot be written: ${reason}`);
  };
  if (!isAbsolute(file)) return NAME.test(file) ? join(own, file) : refuse("expected a name such as 'load.ndjson', or an absolute path");
  const path = normalize(file);
  if (path !== file || !NAME.test(path.slice(path.lastIndexOf(sep) + 1))) return refuse("its path must be plain and end with '.ndjson'");
  const isAllowed = directories.some((directory) => path.startsWith(normalize(directory).replace(/\/*$/, sep)));
  return isAllowed ? path : refuse(`it is in none of recordingLimits.directories (${directories.join(', ') || 'none'})`);
}

/**
 * Opens the file for appending. Rejects with a RelayError STATE_DIRECTORY, INVALID_PARAMS if the file is not permitted, or LIMIT if it
 * would be one too many.
 */
export async function openFrameFile(file: string, own: string, limits: FileLimits): Promise<FrameTarget> {
  const path = pathOfFile(file, own, limits.directories);
  try {
    if (!isAbsolute(file)) await mkdir(own, { recursive: true, mode: 0o700 });
    await requireInside(dirname(path), isAbsolute(file) ? limits.directories : [own]);
    await requireRoom(path, limits);
    return await FrameFile.open(path, limits);
  } catch (error) {
    if (RelayError.is(error)) throw error;
    throw new RelayError('STATE_DIRECTORY', `the file '${clean(file, 200)}' cannot be opened: ${systemReason(error)}`, { cause: error });
  }
}

/** Each file is bounded, so their number must be, too. Full files count with the one that they were. */
async function requireRoom(path: string, { maxFiles }: FileLimits): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  let count = 0;
  for await (const { name } of await opendir(dirname(path))) {
    if (!name.endsWith('.ndjson') || ++count < maxFiles) continue;
    const remedy = 'remove some, write to one of them, or raise recordingLimits.maxFiles';
    throw new RelayError('LIMIT', `the directory of the file has ${maxFiles} files of recordings already: ${remedy}`);
  }
}

/** A link among the directories of a path could lead anywhere. */
async function requireInside(directory: string, allowed: readonly string[]): Promise<void> {
  const real = await realpath(directory);
  for (const one of allowed) {
    const root = await realpath(one).catch(() => undefined);
    if (root !== undefined && (real === root || real.startsWith(root + sep))) return;
  }
  throw new RelayError('INVALID_PARAMS', 'the directory of the file is a link to somewhere else');
}

class FrameFile implements FrameTarget {
  private constructor(
    private readonly path: string,
    private readonly limits: FileLimits,
    private file: FileHandle,
    private bytes: number,
  ) {}

  static async open(path: string, limits: FileLimits): Promise<FrameFile> {
    const file = await open(path, FLAGS, MODE);
    const info = await file.stat();
    if (info.isFile()) return new FrameFile(path, limits, file, info.size);
    await file.close();
    throw new RelayError('INVALID_PARAMS', 'the file is not a regular one');
  }

  async write(frames: readonly Frame[]): Promise<void> {
    let lines: string[] = [];
    let waiting = 0;
    for (const frame of frames) {
      const line = `${frameLine(frame)}\n`;
      const bytes = Buffer.byteLength(line);
      if (this.bytes + waiting > 0 && this.bytes + waiting + bytes > this.limits.maxFileBytes) {
        await this.#append(lines, waiting);
        await this.#rotate();
        [lines, waiting] = [[], 0];
      }
      lines.push(line);
      waiting += bytes;
    }
    await this.#append(lines, waiting);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async #append(lines: readonly string[], bytes: number): Promise<void> {
    if (lines.length === 0) return;
    try {
      await this.file.appendFile(lines.join(''));
      this.bytes += bytes;
    } catch (error) {
      throw new RelayError('STATE_DIRECTORY', `its file cannot be written: ${systemReason(error)}`, { cause: error });
    }
  }

  async #rotate(): Promise<void> {
    const { path } = this;
    const { keepFiles } = this.limits;
    for (let number = keepFiles; number >= 2; number--) await rename(`${path}.${number - 1}`, `${path}.${number}`).catch(() => undefined);
    try {
      await (keepFiles === 0 ? rm(path, { force: true }) : rename(path, `${path}.1`));
    } catch (error) {
      // The process that removed the file has done the same. Otherwise it must not grow.
      if (!isCode(error, 'ENOENT'))
        throw new RelayError('STATE_DIRECTORY', `its file is full and cannot be renamed: ${systemReason(error)}`, { cause: error });
    }
    await this.file.close();
    this.file = await open(path, FLAGS, MODE);
    this.bytes = (await this.file.stat()).size;
  }
}

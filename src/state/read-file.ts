/** Reads small files that somebody else may have put there: a FIFO does not hold the relay, and a file without end does not fill its memory. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';

/** The file has more bytes than are read. */
export class FileTooLarge extends Error {}

export interface Reading {
  readonly maxBytes: number;
  /** What an operator names may be a symbolic link; what lies in the state directory is none. */
  readonly links: 'follow' | 'refuse';
  /** Throws what is wrong with the owner or the mode of the opened file. Default: nothing is. */
  readonly check?: (stats: Stats) => void;
}

const CHUNK_BYTES = 64 * 1024;

/** The text of `file`. Throws what `check` throws, a {@link FileTooLarge}, the system's error (ENOENT where there is none), or an Error for what is no file. */
export function readSmallFile(file: string, { maxBytes, links, check }: Reading): string {
  // Windows lacks the last two, and they count as 0 there. Without O_NONBLOCK the open of a FIFO waits for a writer, for ever.
  const handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | (links === 'refuse' ? constants.O_NOFOLLOW : 0));
  try {
    const stats = fstatSync(handle);
    if (stats.isDirectory()) throw new Error('a directory stands where a file is needed');
    if (!stats.isFile()) throw new Error('it is no file');
    check?.(stats);
    return readAtMost(handle, maxBytes);
  } finally {
    closeSync(handle);
  }
}

/** The size in the stats may be that of a moment ago, so what comes is counted. */
function readAtMost(handle: number, maxBytes: number): string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = readSync(handle, chunk);
    if (count === 0) return Buffer.concat(chunks).toString('utf8');
    bytes += count;
    if (bytes > maxBytes) throw new FileTooLarge(`it is larger than ${maxBytes} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}

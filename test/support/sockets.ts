/** Reads the sockets of a process from Linux's /proc, to observe a relay from outside. */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Returns the inodes of the sockets of a process. */
export function socketsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).flatMap((name) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(directory, name)))?.[1] ?? [];
    } catch {
      // The descriptor was closed after the directory was read.
      return [];
    }
  });
}

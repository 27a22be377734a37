/** Reads the sockets of a process from Linux's /proc, to observe a relay from outside. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Returns the port that a process listens on. */
export function listeningPort(pid: number): number {
  const inodes = new Set(socketsOf(pid));
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/ +/);
    if (state === '0A' && inodes.has(inode)) return Number.parseInt(local.split(':')[1] ?? '', 16);
  }
  throw new Error(`process ${pid} does not listen on any port`);
}

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

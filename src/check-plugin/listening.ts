/** Where the processes of a group listen, as Linux tells it in /proc; other systems do not tell. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** `0.0.0.0:8080` for each address that is not one of this machine alone; undefined where that cannot be seen. */
export function openToOthers(group: number): readonly string[] | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const sockets = new Set(processesOf(group).flatMap(socketsOf));
    return [...listening('/proc/net/tcp', 4), ...listening('/proc/net/tcp6', 16)]
      .filter(({ inode, bytes }) => sockets.has(inode) && !isLoopback(bytes))
      .map(({ bytes, port }) => `${shown(bytes)}:${port}`);
  } catch {
    return undefined;
  }
}

interface Listener {
  readonly bytes: readonly number[];
  readonly port: number;
  readonly inode: string;
}

const LISTEN = '0A';

function processesOf(group: number): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    // What stands before the last bracket is the name of the process, which may hold anything.
    const fields = textOf(`/proc/${pid}/stat`).replace(/^.*\)/s, '').trim().split(' ');
    return Number(fields[2]) === group;
  });
}

function socketsOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? []);
  } catch {
    return [];
  }
}

function listening(file: string, bytes: number): readonly Listener[] {
  const rows = textOf(file).split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/ +/);
    const [address = '', port = ''] = local.split(':');
    if (state !== LISTEN || address.length !== 2 * bytes) return [];
    return [{ bytes: bytesOf(address), port: parseInt(port, 16), inode }];
  });
}

/** The kernel writes words of four bytes, each in the order of the machine, which is the smallest first wherever this runs. */
function bytesOf(address: string): readonly number[] {
  const bytes = Buffer.from(address, 'hex');
  return [...bytes.swap32()];
}

function isLoopback(bytes: readonly number[]): boolean {
  if (bytes.length === 4) return bytes[0] === 127;
  const isMapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isMapped ? bytes[12] === 127 : bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1;
}

function shown(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  return bytes.every((byte) => byte === 0)
    ? '[::]'
    : `[${Buffer.from(bytes)
        .toString('hex')
        .replace(/(.{4})(?=.)/g, '$1:')}]`;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

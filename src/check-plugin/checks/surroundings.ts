/** Checks of a program and its machine: where it listens, several processes at once, future versions of the protocol, a lost relay. */
import type { Check } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';
import { greetAnother, startAnother } from './starting.ts';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** The check of the addresses on which it listens. */
export const LISTENS: Check = {
  name: 'it only listens on this machine',
  section: 'The first line',
  expected: 'no address but 127.0.0.1',
  advice: 'bind the server to 127.0.0.1, not to all addresses',
  needsMain: true,
  run: async ({ main }) => {
    const open = main.pid === undefined ? undefined : openToOthers(main.pid);
    if (open === undefined) return ok('unknown: this system does not show it');
    return open.length === 0 ? ok() : failed(open.slice(0, 5).join(', '));
  },
};

const TWICE: Check = {
  name: 'two processes of it run at the same time',
  section: 'Starting',
  expected: 'a second process that becomes ready while the first one is running',
  advice: 'use any free port (0), and keep files in the working directory',
  needsMain: true,
  run: async (exam) => {
    exam.second = await startAnother(exam);
    return ok();
  },
};

const HANDOVER: Check = {
  name: 'plugin.handover and plugin.restore transfer its state',
  section: 'What the relay calls',
  expected: 'any value from plugin.handover, which plugin.restore of another process accepts',
  advice: 'return the state, and accept it as the only parameter; or remove handover from the capabilities',
  needsMain: true,
  when: ({ description }) => description?.capabilities.has('handover') === true,
  run: async (exam) => {
    const { stopMs, setupMs } = exam.parts.limits;
    const state = await exam.main.call('plugin.handover', [], stopMs);
    const successor = await startAnother(exam, (another) => another.call('plugin.restore', [state], setupMs));
    await successor.kill();
    return ok();
  },
};

const TERMINATED: Check = {
  name: 'SIGTERM ends it',
  section: 'What the relay calls',
  expected: 'its end within 5 s after SIGTERM',
  advice: 'do not handle SIGTERM, or end when it comes: SIGKILL follows one to five seconds later',
  when: ({ second }) => second !== undefined,
  run: async ({ second, parts: { limits } }) => {
    second?.signal('SIGTERM');
    const end = await second?.endWithin(limits.stopMs);
    await second?.kill();
    return end ? ok(end.reason) : failed(`it was still running ${limits.stopMs} ms later`);
  },
};

/** Checks that need more than one process of the program. */
export const MORE_PROCESSES: readonly Check[] = [TWICE, HANDOVER, TERMINATED];

const VERSIONS: Check = {
  name: 'it chooses a version of the protocol that it speaks',
  section: 'The first line',
  expected: 'co2|1|... if CO2_PROTOCOL_VERSIONS is 2,1',
  advice: 'split CO2_PROTOCOL_VERSIONS at its commas and choose the version that the program supports, 1',
  when: ({ isHttp, isPoll }) => isHttp || isPoll,
  run: async (exam) => {
    exam.third = await greetAnother(exam, { CO2_PROTOCOL_VERSIONS: '2,1' });
    return ok();
  },
};

const ALONE: Check = {
  name: 'it ends when the relay is gone',
  section: 'What the relay calls',
  expected: 'its end, by itself or by SIGTERM, when the relay is gone',
  advice: 'end when the relay can no longer be reached, and do not handle SIGTERM',
  when: ({ third }) => third !== undefined,
  run: async ({ third, isPoll, parts: { limits, relay } }) => {
    await relay.stop();
    // A program with a server need not notice it.
    const endedAlone = isPoll ? await third?.endWithin(limits.stopMs) : undefined;
    if (endedAlone) return ok('it ended by itself');
    third?.signal('SIGTERM');
    const end = await third?.endWithin(limits.stopMs);
    await third?.kill();
    if (!end) return failed(`it was still running ${limits.stopMs} ms after SIGTERM`);
    return isPoll ? note('it continued until SIGTERM', 'end when plugin.next fails') : ok(end.reason);
  },
};

/** Checks after which the fake relay is gone. */
export const WITHOUT_RELAY: readonly Check[] = [VERSIONS, ALONE];

/**
 * The addresses other than loopback on which a process group listens, such as `0.0.0.0:8080`; undefined on systems where they cannot be
 * read.
 */
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
    // The text up to the last bracket contains the name of the process, which may be anything.
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

/** The kernel writes words of four bytes in the byte order of the machine, which is little-endian wherever this runs. */
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

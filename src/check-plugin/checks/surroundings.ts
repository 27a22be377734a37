/** The program and its machine: where it listens, two of it at once, versions of the protocol that are still to come. */
import type { Check } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';
import { greetAnother, startAnother } from './starting.ts';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

export const LISTENS: Check = {
  name: 'it listens on this machine alone',
  section: 'The first line',
  expected: 'no address but 127.0.0.1',
  advice: 'bind the server to 127.0.0.1, not to all addresses',
  needsMain: true,
  look: async ({ main }) => {
    const open = main.pid === undefined ? undefined : openToOthers(main.pid);
    if (open === undefined) return ok('not seen: this system does not tell');
    return open.length === 0 ? ok() : failed(open.slice(0, 5).join(', '));
  },
};

const TWICE: Check = {
  name: 'two of it run at the same time',
  section: 'Starting',
  expected: 'that the second process gets ready while the first one works',
  advice: 'take any free port (0), and keep files in the working directory',
  needsMain: true,
  look: async (exam) => {
    exam.second = await startAnother(exam);
    return ok();
  },
};

const HANDOVER: Check = {
  name: 'plugin.handover and plugin.restore pass its state on',
  section: 'What the relay calls',
  expected: 'any value from plugin.handover, which plugin.restore of another process takes',
  advice: 'answer the state, and take it as the one parameter; or leave handover out of the capabilities',
  needsMain: true,
  when: ({ description }) => description?.capabilities.has('handover') === true,
  look: async (exam) => {
    const { stopMs, setupMs } = exam.parts.limits;
    const state = await exam.main.call('plugin.handover', [], stopMs);
    const heir = await startAnother(exam, (another) => another.call('plugin.restore', [state], setupMs));
    await heir.kill();
    return ok();
  },
};

const TERMINATED: Check = {
  name: 'SIGTERM ends it',
  section: 'What the relay calls',
  expected: 'its end within 5 s after SIGTERM',
  advice: 'leave SIGTERM as it is, or end when it comes: a second later, or five, comes SIGKILL',
  when: ({ second }) => second !== undefined,
  look: async ({ second, parts: { limits } }) => {
    second?.signal('SIGTERM');
    const end = await second?.endWithin(limits.stopMs);
    await second?.kill();
    return end ? ok(end.reason) : failed(`it still ran ${limits.stopMs} ms later`);
  },
};

export const BESIDE: readonly Check[] = [TWICE, HANDOVER, TERMINATED];

const VERSIONS: Check = {
  name: 'it chooses a version of the protocol that it speaks',
  section: 'The first line',
  expected: 'co2|1|..., where CO2_PROTOCOL_VERSIONS is 2,1',
  advice: 'split CO2_PROTOCOL_VERSIONS at its commas and take the one that the program is written for, 1',
  when: ({ isHttp, isPoll }) => isHttp || isPoll,
  look: async (exam) => {
    exam.third = await greetAnother(exam, { CO2_PROTOCOL_VERSIONS: '2,1' });
    return ok();
  },
};

const ALONE: Check = {
  name: 'without the relay it can be ended',
  section: 'What the relay calls',
  expected: 'its end, by itself or by SIGTERM, when the relay is gone',
  advice: 'end when the relay cannot be reached any more, and leave SIGTERM as it is',
  when: ({ third }) => third !== undefined,
  look: async ({ third, isPoll, parts: { limits, relay } }) => {
    await relay.stop();
    // Who has a server need not notice.
    const alone = isPoll ? await third?.endWithin(limits.stopMs) : undefined;
    if (alone) return ok('it ended by itself');
    third?.signal('SIGTERM');
    const end = await third?.endWithin(limits.stopMs);
    await third?.kill();
    if (!end) return failed(`it still ran ${limits.stopMs} ms after SIGTERM`);
    return isPoll ? note('it went on until SIGTERM came', 'end when plugin.next fails') : ok(end.reason);
  },
};

export const AT_LAST: readonly Check[] = [VERSIONS, ALONE];

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

/** The start of a relay from the published build and from source, memory at rest, client commands, and a start with many plugins. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSeconds, residentMiB } from './peers.ts';
import { save } from './plugin-files.ts';
import type { Aim, Figure, Report } from './table.ts';

export interface StartOptions {
  readonly isQuick: boolean;
  /** Called with what is being measured. */
  readonly say: (text: string) => void;
}

const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** What the package has and a relay reads. */
const PUBLISHED = ['bin', 'dist', 'plugins', 'templates', 'web', 'package.json'];
/** GNU time, which reports what a command has used. */
const TIME = '/usr/bin/time';
const [FEW, MANY] = [5, 200];
/** Until the garbage of a start is collected and its timers have run. */
const REST_MS = 1_500;

/** One start, or one run of a command. */
interface Sample {
  /** Until the ready line, or the end of a command. */
  readonly wallMs: number;
  readonly cpuMs: number;
  /** At rest, or the most that a command had. */
  readonly residentMiB: number;
}

/** Takes a minute, or half of it with `isQuick`. The best of several rounds is shown: other work only adds to it. */
export async function start({ isQuick, say }: StartOptions): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'co2-bench-start-'));
  try {
    if (!existsSync(TIME)) return { figures: [], skipped: [`all: ${TIME} is not installed`] };
    say('building the package ...');
    const installed = install(directory);
    const checkout = join(ROOT, 'bin/co2.mjs');
    for (const count of [FEW, MANY]) for (let n = 0; n < count; n++) await savePlugin(directory, count, n);
    const pluginsOf = (count: number): readonly string[] => ['--plugins', join(directory, `plugins-${count}`)];
    const relay =
      (command: string, ...args: readonly string[]) =>
      () =>
        startOnce(directory, [command, 'start', ...args]);
    const command =
      (...args: readonly string[]) =>
      () =>
        Promise.resolve(runOnce(directory, args));
    say('starts and commands, in turns ...');
    const running = await runningRelay(directory, installed);
    const measured = await inTurns(isQuick ? 3 : 9, {
      package: relay(installed),
      checkout: relay(checkout),
      few: relay(installed, ...pluginsOf(FEW)),
      many: relay(installed, ...pluginsOf(MANY)),
      bare: command('-e', '0'),
      version: command(installed, '--version'),
      ping: command(installed, 'ping', '--url', running.url),
    });
    await running.end();
    const { few, many } = measured;
    return {
      figures: [
        ...figuresOf('Start of the package, until the ready line', measured.package, { wall: { most: 400 }, resident: { most: 80 } }),
        ...figuresOf('Start of a checkout, until the ready line', measured.checkout, { wall: { most: 700 } }),
        ...figuresOf(`Start of the package with ${FEW} plugins`, few, {}),
        ...figuresOf(`Start of the package with ${MANY} plugins`, many, {}),
        {
          group: `Start of the package with ${MANY} plugins`,
          what: `processor time beside that with ${FEW}`,
          value: many.cpuMs / few.cpuMs,
          unit: 'x',
          aim: { most: 2 },
        },
        ...figuresOf('node -e 0', measured.bare, {}),
        ...figuresOf('co2 --version', measured.version, {}),
        ...figuresOf('co2 ping --url', measured.ping, { cpu: { most: 150 }, resident: { most: 50 } }),
      ],
      skipped: [],
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Builds the package and installs it below a directory, with the dependencies of this checkout; returns its command. */
function install(directory: string): string {
  execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: 'ignore' });
  const modules = join(directory, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((entry) => !entry.startsWith('.')))
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  for (const name of PUBLISHED) cpSync(join(ROOT, name), join(modules, 'co2-relay', name), { recursive: true });
  return join(modules, 'co2-relay/bin/co2.mjs');
}

function savePlugin(directory: string, count: number, n: number): Promise<void> {
  const source = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Box${n} extends Plugin {
  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a: number, b: number) { return a + b; }
}
`;
  return save(join(directory, `plugins-${count}`), `pack${n % 20}/box${n}.ts`, source);
}

/** A relay that is ready. */
async function runningRelay(cwd: string, command: string): Promise<{ readonly url: string; readonly end: () => Promise<void> }> {
  return spawnRelay(cwd, [command, 'start', '--data', join(cwd, 'running')]);
}

async function spawnRelay(cwd: string, args: readonly string[]) {
  const child = spawn(process.execPath, [...args, '--port', '0'], { cwd, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const failed = ended.then(() => Promise.reject(new Error('a relay ended before it was ready')));
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed])) as [string];
  failed.catch(() => undefined);
  const end = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  return { url: /(http:\S+) as /.exec(line)?.[1] ?? '', server: { name: 'co2-relay', port: 0, pid: child.pid ?? 0 }, end };
}

async function startOnce(cwd: string, args: readonly string[]): Promise<Sample> {
  const began = performance.now();
  const { server, end } = await spawnRelay(cwd, args);
  const wallMs = performance.now() - began;
  const cpuMs = (cpuSeconds(server) ?? NaN) * 1000;
  await delay(REST_MS);
  const resident = residentMiB(server) ?? NaN;
  await end();
  return { wallMs, cpuMs, residentMiB: resident };
}

/** Runs a command to its end. */
function runOnce(cwd: string, args: readonly string[]): Sample {
  const began = performance.now();
  const timed = ['-f', '%U %S %M', process.execPath, ...args];
  const { status, stderr } = spawnSync(TIME, timed, { cwd, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  const [user = NaN, system = NaN, kib = NaN] = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  return { wallMs: performance.now() - began, cpuMs: (user + system) * 1000, residentMiB: kib / 1024 };
}

/** Takes a sample of each in every round; returns the best of each figure. The round before the first fills caches. */
async function inTurns<Name extends string>(
  rounds: number,
  samplers: Readonly<Record<Name, () => Promise<Sample>>>,
): Promise<Readonly<Record<Name, Sample>>> {
  const best = new Map<string, Sample>();
  for (let round = -1; round < rounds; round++) {
    for (const [name, take] of Object.entries<() => Promise<Sample>>(samplers)) {
      const sample = await take();
      const before = round < 1 ? sample : (best.get(name) ?? sample);
      best.set(name, {
        wallMs: Math.min(before.wallMs, sample.wallMs),
        cpuMs: Math.min(before.cpuMs, sample.cpuMs),
        residentMiB: Math.min(before.residentMiB, sample.residentMiB),
      });
    }
  }
  return Object.fromEntries(best) as Record<Name, Sample>;
}

interface Aims {
  readonly wall?: Aim;
  readonly cpu?: Aim;
  readonly resident?: Aim;
}

function figuresOf(group: string, sample: Sample, { wall, cpu, resident }: Aims): Figure[] {
  return [
    { group, what: 'time', value: sample.wallMs, unit: 'ms', aim: wall },
    { group, what: 'processor time', value: sample.cpuMs, unit: 'ms', aim: cpu },
    { group, what: 'resident', value: sample.residentMiB, unit: 'MiB', aim: resident },
  ];
}

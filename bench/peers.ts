/** The servers under load, each in a process that ends with the benchmark; those that this machine lacks are skipped and named. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Server {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

/** A relay of ours that can be stopped before the others. */
export interface RunningRelay extends Server {
  /** The admin token. */
  readonly token: string;
  readonly end: () => Promise<void>;
}

/** The servers that ours is compared with. */
export const BARE = 'bare fastify';
export const NPM = 'npm xmlrpc';
export const PYTHON = "Python's xmlrpc";
export const ABYSS = "xmlrpc-c's Abyss";

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('../', import.meta.url));
const FROM_SOURCE = ['--import', './src/loader/from-source.mjs'];

/** Starts servers, and stops them all. */
export class Peers {
  /** What is not available, and why. */
  readonly skipped: string[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), 'co2-bench-'));
  readonly #children: ChildProcess[] = [];
  #isEnded = false;

  /** Our relay: the command with one plugin, with warnings logged only, and limits that no load reaches. */
  async relay(): Promise<Server> {
    // The first start in a checkout compiles, and the compiler stays in memory.
    const plugins = join(HERE, 'plugins');
    await (await this.relayOf(plugins)).end();
    return this.relayOf(plugins);
  }

  /** Our relay with the plugins of a directory. */
  async relayOf(plugins: string): Promise<RunningRelay> {
    const state = join(this.directory, 'state');
    const args = ['--port', '0', '--plugins', plugins, '--data', state, '--log-level', 'warn', '--config', join(HERE, 'relay.config.ts')];
    const { server, child } = await this.#start('co2-relay', process.execPath, ['bin/co2.mjs', 'start', ...args]);
    return { ...server, token: readFileSync(join(state, 'admin.token'), 'utf8').trim(), end: () => this.#end(child) };
  }

  async bareFastify(): Promise<Server> {
    return (await this.#start(BARE, process.execPath, [...FROM_SOURCE, join(HERE, 'peers/fastify.ts')])).server;
  }

  /** Starts all servers that are available. */
  async others(): Promise<Server[]> {
    const found: Server[] = [];
    const starts: [string, () => readonly [string, ...string[]]][] = [
      [NPM, () => [process.execPath, ...FROM_SOURCE, join(HERE, 'peers/xmlrpc.ts')]],
      [PYTHON, () => ['python3', join(HERE, 'peers/server.py')]],
      [ABYSS, () => [this.#compiledAbyss()]],
    ];
    for (const [name, commandOf] of starts) {
      try {
        const [command, ...args] = commandOf();
        found.push((await this.#start(name, command, args)).server);
      } catch (error) {
        this.skipped.push(`${name}: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`);
      }
    }
    return found;
  }

  /** Stops them all and deletes their files. None can be started afterwards. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    await Promise.all(this.#children.map((child) => this.#end(child)));
    rmSync(this.directory, { recursive: true, force: true });
  }

  // An interrupted benchmark leaves no servers behind; after the clean-up the signal has its default effect.
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    void this.stop().finally(() => process.kill(process.pid, signal));
  };

  #compiledAbyss(): string {
    const program = join(this.directory, 'abyss');
    const libraries = ['-lxmlrpc_server_abyss', '-lxmlrpc_server', '-lxmlrpc_abyss', '-lxmlrpc_util', '-lxmlrpc', '-lpthread'];
    try {
      execFileSync('cc', ['-O2', '-o', program, join(HERE, 'peers/abyss.c'), ...libraries], { stdio: 'pipe' });
    } catch (error) {
      throw new Error('it cannot be compiled (cc and libxmlrpc-core-c3-dev are needed)', { cause: error });
    }
    return program;
  }

  /** Starts a program, and reads the port from its first line. */
  async #start(name: string, command: string, args: readonly string[]): Promise<{ server: Server; child: ChildProcess }> {
    if (this.#isEnded) throw new Error('the benchmark has ended');
    // Only once there is a server: measurements before that leave the event loop no turn for a handler.
    if (this.#children.length === 0) for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } });
    this.#children.push(child);
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('it ended before it listened')));
    const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed])) as [string];
    failed.catch(() => undefined);
    const port = Number(/(?:^|:)(\d+)(?: as .*)?$/.exec(line)?.[1]);
    return { server: { name, port, pid: child.pid ?? 0 }, child };
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  }
}

/** MiB of memory that a process uses; undefined without /proc. */
export function residentMiB({ pid }: Server): number | undefined {
  const kib = /^VmRSS:\s*(\d+)/m.exec(procFile(pid, 'status'))?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

/** Seconds of processor time that a process has used; undefined without /proc. */
export function cpuSeconds({ pid }: Pick<Server, 'pid'>): number | undefined {
  // The name of the program, in parentheses, may contain spaces. Times are in hundredths of a second.
  const fields = procFile(pid, 'stat').split(') ')[1]?.split(' ');
  return fields && (Number(fields[11]) + Number(fields[12])) / 100;
}

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

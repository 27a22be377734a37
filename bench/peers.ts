/** The servers under load, each in a process that ends with the benchmark; those that this machine lacks are skipped and named. */
import { execFileSync, fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
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

// What the build needs, and what is in the package.
const PACKAGE = ['bin', 'src', 'scripts', 'plugins', 'templates', 'web', 'bench', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
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
  readonly #pin: readonly string[];
  /** The root of the built package. */
  #package: string | undefined;
  #isEnded = false;

  /** `pin` comes before the command of every server: `taskset -c 0`. */
  constructor(pin: readonly string[] = []) {
    this.#pin = pin;
  }

  /**
   * Our relay as it is published: the command with one plugin, or those of a directory, with warnings logged only, and limits that no load
   * reaches.
   */
  async relay(plugins?: string): Promise<RunningRelay> {
    const isBuilt = this.#package !== undefined;
    const root = (this.#package ??= this.#builtPackage());
    const directory = plugins ?? join(root, 'bench', 'plugins');
    // The first start compiles the plugins and the configuration, and the compiler stays in memory.
    if (!isBuilt) await (await this.relayOf(directory, root)).end();
    return this.relayOf(directory, root);
  }

  /** Our relay with the plugins of a directory, from the checkout or the package at `root`. */
  async relayOf(plugins: string, root = ROOT): Promise<RunningRelay> {
    const state = join(this.directory, 'state');
    const config = join(root, 'bench', 'relay.config.ts');
    const args = ['--port', '0', '--plugins', plugins, '--data', state, '--log-level', 'warn', '--config', config];
    const { server, child } = await this.#start('co2-relay', process.execPath, [join(root, 'bin', 'co2.mjs'), 'start', ...args]);
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

  /** Starts a program of `peers/` that reports through the IPC channel. */
  fork(file: string, args: readonly string[]): ChildProcess {
    // Its temporary files are deleted with those of the benchmark.
    const env = { ...process.env, NODE_OPTIONS: '', TMPDIR: this.directory };
    const child = fork(join(HERE, 'peers', file), args, { cwd: ROOT, execArgv: FROM_SOURCE, env });
    this.#add(child);
    return child;
  }

  /** Starts a server that does not print its port, and waits until it listens; undefined, and skipped, if it is not installed. */
  async installed(name: string, port: number, command: string, args: readonly string[]): Promise<Server | undefined> {
    // Debian installs servers where only root's path leads to.
    const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin` };
    const child = spawn(command, args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'inherit'], env });
    this.#add(child);
    const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${command} ended with ${String(code)}`)));
    try {
      await Promise.race([listening(port, child), failed]);
      failed.catch(() => undefined);
      return { name, port, pid: child.pid ?? 0 };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.skipped.push(`${name}: ${code === 'ENOENT' ? `${command} is not installed` : message}`);
      return undefined;
    }
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

  /** Builds the package in a copy of the checkout, which loses its sources then, as the published one. */
  #builtPackage(): string {
    const root = join(this.directory, 'package');
    mkdirSync(root);
    for (const name of PACKAGE) cpSync(join(ROOT, name), join(root, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'pipe' });
    rmSync(join(root, 'src'), { recursive: true });
    return root;
  }

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
    const [first = '', ...rest] = [...this.#pin, command, ...args];
    const child = spawn(first, rest, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } });
    this.#add(child);
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('it ended before it listened')));
    const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed])) as [string];
    failed.catch(() => undefined);
    const port = Number(/(?:^|:)(\d+)(?: as .*)?$/.exec(line)?.[1]);
    return { server: { name, port, pid: child.pid ?? 0 }, child };
  }

  #add(child: ChildProcess): void {
    // Only once there is a server: measurements before that leave the event loop no turn for a handler.
    if (this.#children.length === 0) for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#children.push(child);
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  }
}

/** Resolves when something listens on the port; rejects after ten seconds, or when the server has ended. */
async function listening(port: number, server: ChildProcess): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (performance.now() > end || server.pid === undefined || server.exitCode !== null) throw error;
    } finally {
      socket.destroy();
    }
    await pause(20);
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

/** As {@link cpuSeconds}, with the processes that it has started and that still run. */
export function cpuSecondsOfAll({ pid }: Pick<Server, 'pid'>): number | undefined {
  const children = procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  const own = cpuSeconds({ pid });
  return own === undefined ? undefined : children.reduce((sum, child) => sum + (cpuSeconds({ pid: child }) ?? 0), own);
}

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

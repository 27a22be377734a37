/** Runs real programs for a test, above all the `co2` command: their lines as they come, their end, and nothing left when the test ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Sendable, Value } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { pluginsDir } from './relays.ts';

/** The root of the project. */
export const PROJECT_DIR = fileURLToPath(new URL('../../', import.meta.url));
const CO2 = join(PROJECT_DIR, 'bin', 'co2.mjs');
const TIME_LIMIT_MS = 50_000;
const READY = /^co2-relay (\S+) listening on (https?:\/\/\S+) as (\S+)$/;

/** The lines of one output, each awaitable before and after it came. */
export class Lines {
  readonly all: string[] = [];
  readonly #watchers = new Set<() => void>();
  #isEnded = false;

  constructor(output: Readable) {
    const reader = createInterface({ input: output });
    reader.on('line', (line) => {
      this.all.push(line);
      this.#tell();
    });
    // An output that is closed from here ends without an end.
    output.once('close', () => {
      reader.close();
    });
    reader.on('close', () => {
      this.#isEnded = true;
      this.#tell();
    });
  }

  /** The first line, past or to come, that matches; rejects if the output ends without one. */
  async line(pattern: RegExp): Promise<string> {
    const [line] = await this.lines(pattern, 1);
    return line!;
  }

  /** The first `count` lines that match, once there are so many; rejects if the output ends before. */
  async lines(pattern: RegExp, count: number): Promise<readonly string[]> {
    for (;;) {
      const found = this.all.filter((line) => pattern.test(line));
      if (found.length >= count) return found.slice(0, count);
      if (this.#isEnded) throw new Error(`the output ended without ${count} lines like ${String(pattern)}:\n${this.all.join('\n')}`);
      await this.#change();
    }
  }

  /** All lines, once the output has ended. */
  async ended(): Promise<readonly string[]> {
    while (!this.#isEnded) await this.#change();
    return this.all;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  #tell(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const resolve of watchers) resolve();
  }
}

/** How a program ended, and all that it said. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

export interface Program {
  readonly pid: number;
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** Resolves when it has ended and its outputs are read. */
  readonly exit: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Reads its stderr no more: what it writes there fails from now on. */
  closeStderr(): void;
  /** Stops reading its stderr, and goes on when the answer is called. */
  stallStderr(): () => void;
}

export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** What it reads on stdin. Default: nothing. */
  readonly input?: string | undefined;
}

/** Starts a program; if it still runs when the test ends, it is killed. */
export function run(t: ExecutionContext, command: string, args: readonly string[], { cwd, env, input = '' }: RunOptions = {}): Program {
  // Before ava's own limit, after which no teardown would end the program.
  t.timeout(TIME_LIMIT_MS);
  const child = spawn(command, args, { cwd, env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: 'pipe' });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const stdout = new Lines(child.stdout);
  const stderr = new Lines(child.stderr);
  const exit = (async (): Promise<Exit> => {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return { code, signal, stdout: await stdout.ended(), stderr: await stderr.ended() };
  })();
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    // A program that is not there never exits; the test that awaits it fails by that error.
    await exit.catch(() => undefined);
  });
  return {
    ...{ stdout, stderr, exit, pid: child.pid ?? 0 },
    kill: (signal) => child.kill(signal),
    closeStderr: () => child.stderr.destroy(),
    stallStderr: () => {
      child.stderr.pause();
      return () => child.stderr.resume();
    },
  };
}

export interface Co2Options {
  readonly args?: readonly string[];
  /** Path below the working directory -> source: config.ts, plugins. */
  readonly files?: Readonly<Record<string, string>>;
  /** Default: a fresh temporary directory with `files`. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `co2` with exactly these arguments, in a working directory of its own, where its state directory will be. */
export function runCo2(t: ExecutionContext, { args = [], files = {}, cwd = pluginsDir(t, files), env }: Co2Options = {}): Program {
  return run(t, process.execPath, [CO2, ...args], { cwd, env });
}

export interface RelayProcess extends Program {
  readonly url: string;
  readonly port: number;
  readonly hostId: string;
  readonly version: string;
  /** Its working directory; the state directory is `.co2` in it, if the arguments do not say otherwise. */
  readonly cwd: string;
  /** Calls a method over HTTP. */
  call(method: string, ...params: Sendable[]): Promise<Value>;
}

/** Starts `co2` on a free port (if `args` do not name one) and waits until it says that it is ready. */
export async function startCo2(t: ExecutionContext, options: Co2Options = {}): Promise<RelayProcess> {
  const { args = [], cwd = pluginsDir(t, options.files ?? {}) } = options;
  const program = runCo2(t, { ...options, cwd, args: args.includes('--port') ? args : [...args, '--port', '0'] });
  const line = await program.stdout.line(/./).catch(async (error: unknown) => {
    throw new Error(`co2 did not start:\n${(await program.exit).stderr.join('\n')}`, { cause: error });
  });
  const [, version = '', url = '', hostId = ''] = READY.exec(line) ?? [];
  if (url === '') throw new Error(`no ready line, but: ${line}`);
  const client = new XmlRpcClient(new URL(url));
  t.teardown(() => client.close());
  return {
    ...program,
    ...{ url, hostId, version, cwd, port: Number(new URL(url).port) },
    call: (method, ...params) => client.call(method, params),
  };
}

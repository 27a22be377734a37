/** Runs real programs for a test, above all the `co2` command, with their output line by line; kills what still runs when the test ends. */
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

/** The root directory of the project. */
export const PROJECT_DIR = fileURLToPath(new URL('../../', import.meta.url));
/** The root directory of the package under test: that of the build of the tests, or the project if the tests run from source. */
export const PACKAGE_DIR = fileURLToPath(new URL('.', import.meta.resolve('co2-relay/package.json')));
const CO2 = join(PACKAGE_DIR, 'bin', 'co2.mjs');
const TIME_LIMIT_MS = 50_000;
const READY = /^co2-relay (\S+) listening on (https?:\/\/\S+) as (\S+)$/;

/** The lines of one output; each can be awaited before and after it is written. */
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
    // An output that is closed on our side never emits `end`.
    output.once('close', () => {
      reader.close();
    });
    reader.on('close', () => {
      this.#isEnded = true;
      this.#tell();
    });
  }

  /** Resolves with the first matching line, past or future; rejects if the output ends without one. */
  async line(pattern: RegExp): Promise<string> {
    const [line] = await this.lines(pattern, 1);
    return line!;
  }

  /** Resolves with the first `count` matching lines; rejects if the output ends before. */
  async lines(pattern: RegExp, count: number): Promise<readonly string[]> {
    for (;;) {
      const found = this.all.filter((line) => pattern.test(line));
      if (found.length >= count) return found.slice(0, count);
      if (this.#isEnded) throw new Error(`the output ended without ${count} lines like ${String(pattern)}:\n${this.all.join('\n')}`);
      await this.#change();
    }
  }

  /** All lines; resolves when the output has ended. */
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

/** How a program ended, and its complete output. */
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
  /** Resolves when the program has exited and its outputs are read. */
  readonly exit: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Closes our end of its stderr: the program's further writes to it fail. */
  closeStderr(): void;
  /** Stops reading its stderr; the returned function resumes. */
  stallStderr(): () => void;
}

export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Its stdin. Default: empty. */
  readonly input?: string | undefined;
}

/** Starts a program; it is killed if it still runs when the test ends. */
export function run(t: ExecutionContext, command: string, args: readonly string[], { cwd, env, input = '' }: RunOptions = {}): Program {
  // Must come before ava's own time limit, after which no teardown would end the program.
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
    // A program that does not exist never exits; the test that awaits it fails with this error.
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
  /** Path below the working directory -> content: config.ts, plugins. */
  readonly files?: Readonly<Record<string, string>>;
  /** Default: a fresh temporary directory with `files`. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Its stdin. Default: empty. */
  readonly input?: string;
}

/** Starts `co2` with exactly these arguments, in a working directory of its own, which also contains its state directory. */
export function runCo2(t: ExecutionContext, { args = [], files = {}, cwd = pluginsDir(t, files), env, input }: Co2Options = {}): Program {
  return run(t, process.execPath, [CO2, ...args], { cwd, env, input });
}

export interface RelayProcess extends Program {
  readonly url: string;
  readonly port: number;
  readonly hostId: string;
  readonly version: string;
  /** Its working directory; the state directory is `.co2` in it unless the arguments say otherwise. */
  readonly cwd: string;
  /** Calls a method over HTTP. */
  call(method: string, ...params: Sendable[]): Promise<Value>;
}

/** Starts `co2` on a free port (unless `args` name one) and waits until it reports that it is ready. */
export async function startCo2(t: ExecutionContext, options: Co2Options = {}): Promise<RelayProcess> {
  const { args = [], cwd = pluginsDir(t, options.files ?? {}) } = options;
  const program = runCo2(t, { ...options, cwd, args: args.includes('--port') ? args : [...args, '--port', '0'] });
  const line = await program.stdout.line(/./).catch(async (error: unknown) => {
    throw new Error(`co2 did not start:\n${(await program.exit).stderr.join('\n')}`, { cause: error });
  });
  const [, version = '', url = '', hostId = ''] = READY.exec(line) ?? [];
  if (url === '') throw new Error(`expected the ready line, got: ${line}`);
  const client = new XmlRpcClient(new URL(url));
  t.teardown(() => client.close());
  return {
    ...program,
    ...{ url, hostId, version, cwd, port: Number(new URL(url).port) },
    call: (method, ...params) => client.call(method, params),
  };
}

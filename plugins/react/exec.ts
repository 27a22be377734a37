/**
 * A reactor that runs a program for each change, which gets the nodes as JSON on its stdin, such as one that writes the configuration of a
 * proxy. It does nothing until the operator lists the programs that may run.
 */
import { spawn } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { Plugin, Reactor, Satellite, type EndpointContext, type ServiceEvent, type ServiceNode } from 'co2-relay';
import { z } from 'zod';

const path = z.string().refine(isAbsolute, 'expected an absolute path');

/** `plugins: { 'react.exec': { allow: ['/usr/local/bin/update-proxy'] } }` in config.ts. */
const globalSchema = z.strictObject({
  /** The programs that may run. Default none: every service that wants one is refused. */
  allow: z.array(path).max(1_000).default([]),
});
type Global = z.infer<typeof globalSchema>;

/** `reactors: { proxy: { type: 'react.exec', cfg: { exec: '/usr/local/bin/update-proxy' } } }` in config.ts. */
const configSchema = z.strictObject({
  /** One of the programs that are allowed. It runs without a shell. */
  exec: path,
  args: z.array(z.string()).max(1_000).default([]),
  /** Environment variables in addition to PATH, HOME and LANG. */
  env: z.record(z.string().regex(/^\w{1,100}$/), z.string()).default({}),
  /** ms after which the program is ended, with its process group; then the reactor starts again. Default 30,000. */
  timeoutMs: z.int().min(100).max(3_600_000).default(30_000),
});
type Config = z.infer<typeof configSchema>;

const INHERITED = ['PATH', 'HOME', 'LANG'] as const;
// Enough for a message; the rest of what a program writes is dropped.
const MAX_OUTPUT = 4_096;
const KILL_AFTER_MS = 2_000;
// As many as a service knows by default. Those that are up are as many as there are.
const MAX_DOWN = 10_000;

@Satellite({ config: globalSchema })
export class Exec extends Plugin<Global> {
  #allowed: readonly string[] = [];

  override setup({ allow }: Global) {
    this.#allowed = allow;
  }

  /** Runs a program for each change; its stdin is {service, changes, nodes}: what has changed, and all nodes. */
  @Reactor({ config: configSchema })
  run(config: Config, { service }: EndpointContext) {
    if (!this.#allowed.includes(config.exec))
      throw new Error(`${config.exec} is not allowed; list it: plugins: { 'react.exec': { allow: ['${config.exec}'] } }`);
    const known = new Map<string, ServiceNode>();
    const closing = new AbortController();
    return {
      react: async (changes: ServiceEvent) => {
        note(known, changes);
        const nodes = Object.fromEntries(known);
        await runOnce(config, `${JSON.stringify({ service, changes, nodes })}\n`, closing.signal);
      },
      close: () => {
        closing.abort();
      },
    };
  }
}

/** Nobody says which nodes the service has forgotten, so the ones that went down first are forgotten here, too. */
function note(known: Map<string, ServiceNode>, changes: ServiceEvent): void {
  for (const [name, node] of Object.entries(changes)) {
    // Deleted first, so that it becomes the latest.
    known.delete(name);
    known.set(name, node);
  }
  let down = 0;
  for (const { status } of known.values()) down += Number(status === 'down');
  for (const [name, { status }] of known) {
    if (down <= MAX_DOWN) return;
    if (status === 'down' && known.delete(name)) down--;
  }
}

/** Rejects if the program cannot be started, takes too long, or its exit code is not 0. */
function runOnce({ exec, args, env, timeoutMs }: Config, input: string, closing: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const inherited = Object.fromEntries(INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
    // A group of its own, so that what it starts ends with it.
    const child = spawn(exec, args, { env: { ...inherited, ...env }, stdio: ['pipe', 'ignore', 'pipe'], detached: true });
    let said = '';
    let ending: string | undefined;
    const signalGroup = (signal: 'SIGTERM' | 'SIGKILL'): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // It has ended.
      }
    };
    let killing: NodeJS.Timeout | undefined;
    const end = (reason: string): void => {
      ending ??= reason;
      signalGroup('SIGTERM');
      killing ??= setTimeout(() => {
        signalGroup('SIGKILL');
      }, KILL_AFTER_MS);
    };
    const timer = setTimeout(() => {
      end(`it did not end in ${timeoutMs} ms (cfg.timeoutMs)`);
    }, timeoutMs);
    const onClosing = (): void => {
      end('the reactor is closed');
    };
    closing.addEventListener('abort', onClosing);
    const settle = (problem: string | undefined): void => {
      clearTimeout(timer);
      clearTimeout(killing);
      closing.removeEventListener('abort', onClosing);
      if (problem === undefined) resolve();
      else reject(new Error(`${exec}: ${problem}`));
    };
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString('utf8')).slice(-MAX_OUTPUT);
    });
    child.once('error', (error) => {
      settle(error.message);
    });
    child.once('exit', (code, signal) => {
      const last = said.trim().split('\n').at(-1) ?? '';
      if (code === 0) settle(undefined);
      else settle(ending ?? `it ended with ${signal ?? `code ${code ?? ''}`}${last === '' ? '' : `: ${last}`}`);
    });
    // A program need not read its input.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

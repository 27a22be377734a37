/** A relay of the mesh as a process of the built package, on an address of its own: started, killed and suspended as often as one likes. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { XmlRpcClient } from '../../src/client/internal.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { freePorts } from '../support/relays.ts';
import { PROJECT_DIR } from '../support/processes.ts';

export interface ChaosRelayParts {
  readonly index: number;
  /** Where the directory of this relay is made. */
  readonly directory: string;
  /** The program `co2`. */
  readonly co2: string;
  readonly port: number;
  readonly peers: readonly string[];
  readonly others: readonly string[];
  readonly trust: 'pin' | 'clusterSecret';
  /** A module that is loaded into it first, in `test/fixtures`. */
  readonly sabotage: string | undefined;
}

/** Between two messages of a sender. */
export const EVERY_MS = 120;
const STOP_MS = 15_000;
// All relays of a run know it.
const SECRET = randomBytes(32).toString('hex');

/** The address of a relay; each has one, as on a network. */
export const hostOf = (index: number): string => `127.0.0.${11 + index}`;
export const urlOf = (index: number, port: number): string => `http://${hostOf(index)}:${port}`;
export const nickOf = (index: number): string => `n${index}`;

/** Ports that are free on the addresses of so many relays. */
export async function portsFor(nodes: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let index = 0; index < nodes; index++) ports.push(...(await freePorts(1, hostOf(index))));
  return ports;
}

export class ChaosRelay {
  readonly url: string;
  /** Where it, and what is recorded of it, is kept. */
  readonly directory: string;
  /** How often it was started. */
  lives = 0;
  /** How often it ended without being asked to, or was cut off from its work. */
  kills = 0;
  readonly #parts: ChaosRelayParts;
  #process: ChildProcess | undefined;
  #exit: Promise<unknown> = Promise.resolve();
  readonly #client: XmlRpcClient;
  #admin: XmlRpcClient | undefined;

  constructor(parts: ChaosRelayParts) {
    this.#parts = parts;
    const { index, directory, port, peers, others, trust } = parts;
    this.url = urlOf(index, port);
    this.directory = join(directory, nickOf(index));
    this.#client = new XmlRpcClient(new URL(this.url), { timeoutMs: 30_000 });
    mkdirSync(this.directory, { recursive: true });
    const dir = this.directory;
    const config = {
      ...{ host: hostOf(index), port, nick: nickOf(index), peers, trust, drainMs: 2000 },
      ...(trust === 'clusterSecret' && { clusterSecretFile: './cluster.secret' }),
      pluginsDir: join(PROJECT_DIR, 'test/fixtures/chaos'),
      plugins: { 'chaos.ledger': { dir }, 'chaos.sender': { dir, name: `p${index}`, everyMs: EVERY_MS, others } },
    };
    for (const file of ['durable', 'ordinary', 'sent']) writeFileSync(join(dir, `${file}.jsonl`), '');
    writeFileSync(join(dir, 'cluster.secret'), SECRET, { mode: 0o600 });
    writeFileSync(join(dir, 'config.ts'), `export default ${JSON.stringify(config, undefined, 2)};\n`);
  }

  get index(): number {
    return this.#parts.index;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** Starts it and waits until it listens. Rejects if it ends before, unless it was killed by {@link kill}. */
  async start(): Promise<void> {
    const { co2, sabotage } = this.#parts;
    const life = ++this.lives;
    const hook = sabotage === undefined ? '' : `--import=${pathToFileURL(join(PROJECT_DIR, 'test/fixtures', sabotage)).href}`;
    const log = openSync(join(this.directory, 'log.txt'), 'a');
    const child = spawn(process.execPath, [co2, 'start'], {
      cwd: this.directory,
      env: { ...process.env, NODE_OPTIONS: hook, CHAOS_LIFE: String(life) },
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
    this.#process = child;
    this.#exit = once(child, 'exit');
    const lines = createInterface({ input: child.stdout as Readable });
    const ready = new Promise<boolean>((resolve) => {
      lines.once('line', () => {
        resolve(true);
      });
      child.once('exit', () => {
        resolve(false);
      });
    });
    if (!(await ready) && this.#process === child)
      throw new Error(`${nickOf(this.index)} did not start; see ${join(this.directory, 'log.txt')}`);
  }

  /** kill -9, and waits until the process is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.kills++;
    child?.kill('SIGKILL');
    await this.#exit;
  }

  /** Asks it to end, as a system does that shuts down. Rejects if it does not. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await this.#exit;
    clearTimeout(timer);
    if (child.signalCode === 'SIGKILL') throw new Error(`${nickOf(this.index)} did not end within ${STOP_MS} ms of SIGTERM`);
  }

  suspend(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  call(method: string, ...params: Sendable[]): Promise<Value> {
    return this.#client.call(method, params);
  }

  /** Calls a method with the admin token of the relay, which has started. */
  callAsAdmin(method: string, ...params: Sendable[]): Promise<Value> {
    this.#admin ??= new XmlRpcClient(new URL(this.url), { token: readFileSync(join(this.directory, '.co2/admin.token'), 'utf8').trim() });
    return this.#admin.call(method, params);
  }

  /** Removes everything that its store has, while it does not run. */
  loseStore(): void {
    rmSync(join(this.directory, '.co2/store'), { recursive: true, force: true });
  }

  /** Ends it at once, for good. */
  async end(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await Promise.all([this.#exit, this.#client.close(), this.#admin?.close()]);
  }
}

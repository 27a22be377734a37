/** The relays that receive the random requests: real processes with all their listeners. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectSecurely } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { writeCertificate } from '../support/certificate.ts';
import type { Place } from './http-case.ts';

const CO2 = fileURLToPath(new URL('../../bin/co2.mjs', import.meta.url));
// Short, so that a client which waits for the end of a connection does not wait for long.
const REQUEST_TIMEOUT_MS = 3000;
// Far longer than a relay takes, on a machine that has other things to do.
const PING_MS = 20_000;

const PLUGIN = `
import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Target extends Plugin {
  /** Answers a few turns later. */
  @Exposed()
  async wait() { await new Promise((resolve) => setTimeout(resolve, 5)); return true; }
  /** An answer that does not fit into the buffers of the system. */
  @Exposed()
  large() { return 'x'.repeat(300_000); }
  /** The process that it runs in. */
  @Exposed()
  pid() { return process.pid; }
}`;

/** A listener, as a client sees it. */
export interface Target extends Place {
  readonly name: string;
  readonly connect: () => Socket;
  /** True if a client can reset its connections. */
  readonly isTcp: boolean;
  /** A plain call that ends its connection; `lines` are further headers. */
  readonly ping: (lines?: string) => Buffer;
  /** Answers whether a plain call is answered. */
  readonly answers: () => Promise<boolean>;
  /** How often it is chosen, beside the others. */
  readonly weight: number;
}

/** Relays in processes of their own, with plain HTTP, HTTPS, unix sockets, the listener for programs and the server of a child. */
export class HttpRelays {
  readonly targets: Target[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), 'co2-fuzz-'));
  readonly #relays: ChildProcess[] = [];
  readonly #pids: number[] = [];
  #output = '';

  async start(): Promise<void> {
    await this.#startOne('plain', {});
    await this.#startOne('secure', { acceptGzip: true, tls: writeCertificate(this.#dir) });
  }

  /** Processes of which there must be as many at the end: the relays and their children. */
  get pids(): readonly number[] {
    return this.#pids;
  }

  /** What is wrong by now; undefined if nothing is. */
  trouble(): string | undefined {
    if (this.#relays.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null))
      return `a relay has ended: ${this.#output.slice(-2000)}`;
    const said = /^.*(?:nobody caught|a request failed|did not stop cleanly|has ended|crashed).*$/m.exec(this.#output);
    return said ? `a relay logged: ${this.#output.slice(said.index, said.index + 1500)}` : undefined;
  }

  /** Ends the relays with SIGTERM; answers their exit codes. */
  async stop(): Promise<(number | null)[]> {
    const ends = this.#relays.map(async (relay) => {
      if (relay.exitCode === null && relay.signalCode === null) {
        const exit = once(relay, 'exit');
        relay.kill('SIGTERM');
        await exit;
      }
      return relay.exitCode;
    });
    const codes = await Promise.all(ends);
    rmSync(this.#dir, { recursive: true, force: true });
    return codes;
  }

  async #startOne(name: string, options: Readonly<Record<string, unknown>>): Promise<void> {
    const dir = join(this.#dir, name);
    mkdirSync(join(dir, 'plugins', 'fuzz'), { recursive: true });
    writeFileSync(join(dir, 'plugins', 'fuzz', 'target.ts'), PLUGIN);
    writeFileSync(join(dir, 'plugins', 'fuzz', 'child.ts'), PLUGIN);
    const plenty = { perSecond: 1_000_000, burst: 1_000_000 };
    const config = {
      ...{ port: 0, unixSocket: join(dir, 's'), requestTimeoutMs: REQUEST_TIMEOUT_MS, maxWrongCredentials: 1_000_000 },
      ...{ isolation: { 'fuzz.child': 'child' }, limits: { local: plenty, anonymous: plenty } },
      ...options,
    };
    writeFileSync(join(dir, 'config.ts'), `export default ${JSON.stringify(config)};`);
    const relay = spawn(process.execPath, [CO2, 'start'], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#relays.push(relay);
    for (const output of [relay.stdout, relay.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        // Enough of it to see why a relay ended.
        this.#output = (this.#output + text).slice(-100_000);
      });
    }
    const port = await new Promise<number>((resolve, reject) => {
      relay.stdout.on('data', () => {
        const ready = /listening on https?:\/\/\S+:(\d+) as/.exec(this.#output.slice(this.#output.lastIndexOf('co2-relay ')));
        if (ready) resolve(Number(ready[1]));
      });
      relay.once('exit', () => {
        reject(new Error(`the relay did not start: ${this.#output}`));
      });
    });
    await this.#addTargets(name, { dir, port, pid: relay.pid!, isSecure: options.tls !== undefined });
  }

  async #addTargets(
    name: string,
    { dir, port, pid, isSecure }: { readonly dir: string; readonly port: number; readonly pid: number; readonly isSecure: boolean },
  ): Promise<void> {
    const here = { host: `127.0.0.1:${port}`, path: '/RPC2' };
    const overTcp = (): Socket => connect({ port, host: '127.0.0.1' });
    const overUnix = (): Socket => connect({ path: join(dir, 's') });
    const client = new XmlRpcClient(new URL('http://localhost/RPC2'), { socketPath: join(dir, 's') });
    const childPid = (await client.call('fuzz.child.pid', [])) as number;
    await client.close();
    this.#pids.push(pid, childPid);
    if (isSecure) {
      const overTls = (): Socket => connectSecurely({ port, host: '127.0.0.1', rejectUnauthorized: false });
      this.#add({ ...here, name: `${name} tls`, connect: overTls, weight: 2 });
      // Bytes that are no TLS.
      this.#add({ ...here, name: `${name} tcp`, connect: overTcp, weight: 1 }, overTls);
      this.#add({ ...here, name: `${name} unix`, connect: overUnix, weight: 10 });
      return;
    }
    this.#add({ ...here, name: `${name} tcp`, connect: overTcp, weight: 10 });
    this.#add({ ...here, name: `${name} unix`, connect: overUnix, weight: 4 });
    const environment = readFileSync(`/proc/${childPid}/environ`, 'utf8').split('\0');
    const valueOf = (key: string): string => environment.find((entry) => entry.startsWith(`${key}=`))?.slice(key.length + 1) ?? '';
    const token = valueOf('CO2_PLUGIN_TOKEN');
    const programs = Number(new URL(valueOf('CO2_RELAY_URL')).port);
    this.#add({
      ...{ name: 'programs', host: `127.0.0.1:${programs}`, path: '/RPC2', authorization: `Bearer ${token}`, weight: 5 },
      connect: () => connect({ port: programs, host: '127.0.0.1' }),
    });
  }

  #add(target: Omit<Target, 'ping' | 'answers' | 'isTcp'>, pingBy = target.connect): void {
    const { host, path, authorization, name } = target;
    const body = serialiseCall('ping', []);
    const headers = {
      ...{ Host: host, 'Content-Type': 'text/xml', 'Content-Length': String(body.length), Connection: 'close' },
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
    const own = Object.entries(headers).map(([key, value]) => `${key}: ${value}\r\n`);
    const head = `POST ${path} HTTP/1.1\r\n${own.join('')}`;
    const ping = (lines = ''): Buffer => Buffer.concat([Buffer.from(`${head}${lines}\r\n`), body]);
    const answers = async (): Promise<boolean> => (await answerTo(pingBy(), ping())).startsWith('HTTP/1.1 200 ');
    this.targets.push({ ...target, ping, answers, isTcp: !/ (?:tls|unix)$/.test(name) });
  }
}

/** The whole response; empty if there is none. */
export function answerTo(socket: Socket, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => (text += part));
    socket.on('error', () => undefined);
    socket.setTimeout(PING_MS, () => socket.destroy());
    socket.on('close', () => {
      resolve(text);
    });
    socket.write(bytes);
  });
}

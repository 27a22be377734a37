/** Further addresses and a unix socket for one server: each hands its connections to it, so that every rule and limit is the server's, counted over all. */
import { lookup } from 'node:dns/promises';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { RelayError, reasonOf } from '../core/core.ts';
import { addressBlock, canonicalAddress, isLoopback } from '../message/message.ts';
import type { Bound } from './own-address.ts';

/** The HTTP server that serves what comes; one with TLS takes what needs none as `secureConnection`. */
export interface Target {
  emit(event: 'connection' | 'secureConnection', socket: Socket): boolean;
  listeners(event: 'connection'): unknown[];
  removeAllListeners(event: 'connection'): unknown;
  on(event: 'connection', listener: (socket: Socket) => void): unknown;
}

export interface ListenersOptions {
  /** Connections at once, over all addresses and the unix socket, from another machine half of them; what is more is closed. */
  readonly maxConnections: number;
  readonly isTls: boolean;
  /** Called with the error of an accept that failed. Default: nothing is called. */
  readonly onError?: ((error: Error) => void) | undefined;
}

export class Listeners {
  readonly #servers: Server[] = [];
  readonly #fromUnix = new WeakSet<object>();
  /** Every connection that was let in and is not closed, whatever it is at: a handshake, a request, nothing. */
  readonly #open = new Set<Socket>();
  readonly #openFrom = new Map<string, number>();

  constructor(
    private readonly target: Target,
    private readonly options: ListenersOptions,
  ) {
    // Its own connections, and what is handed to it. One that is refused never gets as far as the server.
    const serve = target.listeners('connection') as ((socket: Socket) => void)[];
    target.removeAllListeners('connection');
    target.on('connection', (socket) => {
      if (this.#admit(socket)) for (const listener of serve) listener.call(target, socket);
    });
  }

  /** True for a connection that came over the unix socket: it is of this machine and has no address. */
  isUnix(socket: object): boolean {
    return this.#fromUnix.has(socket);
  }

  /** Listens on a further address; answers where. Throws a RelayError LISTEN_FAILED. */
  async add(host: string, port: number): Promise<Bound> {
    try {
      const server = await this.#listen({ host, port }, (socket) => this.target.emit('connection', socket));
      const bound = server.address();
      const address = typeof bound === 'object' && bound !== null ? canonicalAddress(bound.address) : undefined;
      return { address: address ?? host, port };
    } catch (error) {
      throw listenError(error, host, port);
    }
  }

  /** Listens, without TLS, on a unix socket that nobody but this user may open. Throws a RelayError LISTEN_FAILED; a file of anything else, or of a living server, stays. */
  async addUnix(path: string): Promise<void> {
    await removeStale(path);
    // Closed to others from its first moment on.
    const before = process.umask(0o177);
    try {
      const listening = this.#listen({ path }, (socket) => {
        this.#fromUnix.add(socket);
        if (!this.options.isTls) this.target.emit('connection', socket);
        else if (this.#admit(socket)) this.target.emit('secureConnection', socket);
      });
      process.umask(before);
      await listening;
      chmodSync(path, 0o600);
    } catch (error) {
      throw unixError(error, path);
    } finally {
      process.umask(before);
    }
  }

  /** Takes no new connection, and waits until those that are open have ended; a socket file goes. */
  async stop(): Promise<void> {
    const closing = this.#servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve)));
    await Promise.all(closing);
  }

  /** Ends every connection that is still open: the last step of a stop, for clients that never close. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #admit(socket: Socket): boolean {
    const { maxConnections } = this.options;
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const isHere = address === undefined || isLoopback(address);
    const place = isHere ? 'this machine' : addressBlock(address);
    const from = this.#openFrom.get(place) ?? 0;
    // This machine may have them all: whoever runs programs here can stop the relay by simpler means.
    const share = isHere ? maxConnections : Math.ceil(maxConnections / 2);
    if (this.#open.size >= maxConnections || from >= share) {
      socket.destroy();
      return false;
    }
    this.#open.add(socket);
    this.#count(place, 1);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#count(place, -1);
    });
    return true;
  }

  #count(place: string, change: 1 | -1): void {
    const from = (this.#openFrom.get(place) ?? 0) + change;
    if (from === 0) this.#openFrom.delete(place);
    else this.#openFrom.set(place, from);
  }

  async #listen(where: { host: string; port: number } | { path: string }, take: (socket: Socket) => void): Promise<Server> {
    // As Node's own HTTP server makes them.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, take);
    await listening(server, where);
    server.on('error', (error) => this.options.onError?.(error));
    this.#servers.push(server);
    return server;
  }
}

/**
 * `hosts`, with `localhost` replaced by the addresses that it has here. The HTTP framework would listen on the second of them with a server of its own, to
 * which none of our rules applies.
 */
export async function addressesOf(hosts: readonly string[]): Promise<readonly string[]> {
  const resolved = hosts.map(async (host) => (host.toLowerCase() === 'localhost' ? loopbackAddresses(host) : [host]));
  return [...new Set((await Promise.all(resolved)).flat())];
}

async function loopbackAddresses(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true }).catch(() => []);
  const addresses: string[] = [];
  for (const { address } of found) if (await isListenable(address)) addresses.push(address);
  // With none of them, listening says why.
  return addresses.length > 0 ? addresses : ['127.0.0.1'];
}

/** False for an address that the hosts file names and this machine lacks, as `::1` often is. */
async function isListenable(host: string): Promise<boolean> {
  const probe = createServer();
  try {
    await listening(probe, { host, port: 0 });
    await new Promise((resolve) => probe.close(resolve));
    return true;
  } catch {
    return false;
  }
}

// A port that the system gives away on one address is in use on another one about once in a thousand times.
const PORT_TRIES = 20;

/** A port that is free on all `hosts`, as far as one can tell beforehand; 0 if there are none such, or the hosts cannot be listened on at all. */
export async function freePort(hosts: readonly string[]): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const probes: Server[] = [];
    let port = 0;
    try {
      for (const host of hosts) {
        const probe = createServer();
        probes.push(probe);
        await listening(probe, { host, port });
        port = (probe.address() as AddressInfo).port;
      }
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return 0;
    } finally {
      await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
    }
  }
  return 0;
}

function listening(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** A relay that was killed leaves its socket's file behind, and nobody could listen there again. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new RelayError('LISTEN_FAILED', `${path} (unixSocket) is there and no socket; choose another path`);
  if (await answers(path)) throw new RelayError('LISTEN_FAILED', `${path} (unixSocket) is in use; is another relay running?`);
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => {
      end(true);
    });
    // Only a refusal says that nobody is there; whatever else is wrong, it is not ours to remove.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED');
    });
  });
}

function unixError(error: unknown, path: string): RelayError {
  return new RelayError('LISTEN_FAILED', `cannot listen on ${path} (unixSocket): ${reasonOf(error)}; choose another path`, {
    cause: error,
  });
}

/** Why `host`:`port` cannot be listened on, and what to do. */
export function listenError(error: unknown, host: string, port: number): RelayError {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const where = `${host}:${port}`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} on ${host} is in use; is another relay running? Choose another with --port`,
    EACCES: `listening on ${where} is not permitted; ports below 1024 need rights, choose another with --port`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose another with --host`,
    EAFNOSUPPORT: `this machine has no addresses like ${host}; choose another with --host`,
    ENOTFOUND: `the name ${host} cannot be resolved; choose another with --host`,
    EAI_AGAIN: `the name ${host} cannot be resolved; choose another with --host`,
  };
  const text = reasons[code ?? ''] ?? `cannot listen on ${where}: ${reasonOf(error)}`;
  return new RelayError('LISTEN_FAILED', text, { cause: error });
}

/** Where the server listens: further addresses and a Unix socket for one HTTP server, and limits on connections over all of them. */
import { lookup } from 'node:dns/promises';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { RelayError, reasonOf } from '../core/core.ts';
import { addressBlock, canonicalAddress, isLoopback, isUnspecified } from '../message/message.ts';
import { networkInterfaces } from 'node:os';
import { hostsOf } from './options.ts';
import type { HttpOptions } from './options.ts';

/** The HTTP server that gets the connections. A server with TLS takes connections without TLS as `secureConnection`. */
export interface Target {
  emit(event: 'connection' | 'secureConnection', socket: Socket): boolean;
  listeners(event: 'connection'): unknown[];
  removeAllListeners(event: 'connection'): unknown;
  on(event: 'connection', listener: (socket: Socket) => void): unknown;
}

export interface ListenersOptions {
  /** Open connections over all addresses and the Unix socket; one other machine may hold half of them. Further ones are closed. */
  readonly maxConnections: number;
  readonly isTls: boolean;
  /** Called when an accept fails. Default: the error is ignored. */
  readonly onError?: ((error: Error) => void) | undefined;
}

export class Listeners {
  readonly #servers: Server[] = [];
  readonly #fromUnix = new WeakSet<object>();
  /** Every accepted connection that is still open, also during its TLS handshake. */
  readonly #open = new Set<Socket>();
  readonly #openFrom = new Map<string, number>();

  constructor(
    private readonly target: Target,
    private readonly options: ListenersOptions,
  ) {
    // Both its own connections and those of the further listeners pass here; the server never sees a refused one.
    const serve = target.listeners('connection') as ((socket: Socket) => void)[];
    target.removeAllListeners('connection');
    target.on('connection', (socket) => {
      if (this.#admit(socket)) for (const listener of serve) listener.call(target, socket);
    });
  }

  /** True for a connection over the Unix socket: it is local and has no address. */
  isUnix(socket: object): boolean {
    return this.#fromUnix.has(socket);
  }

  /** Listens on a further address. Rejects with a RelayError LISTEN_FAILED. */
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

  /**
   * Listens without TLS on a Unix socket that only this user may open. A file that is not a socket, or belongs to a running server, is left
   * alone. Rejects with a RelayError LISTEN_FAILED.
   */
  async addUnix(path: string): Promise<void> {
    await removeStale(path);
    // Private from the moment it exists.
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

  /** Accepts no new connection, removes the socket file, and waits for the open connections to end. */
  async stop(): Promise<void> {
    const closing = this.#servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve)));
    await Promise.all(closing);
  }

  /** Closes every connection that is still open: the last step of a stop, for clients that never close. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #admit(socket: Socket): boolean {
    const { maxConnections } = this.options;
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const isHere = address === undefined || isLoopback(address);
    const place = isHere ? 'this machine' : addressBlock(address);
    const from = this.#openFrom.get(place) ?? 0;
    // This machine may use all of them: local users have simpler means to stop the relay.
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

  async #listen(where: { host: string; port: number } | { path: string }, onConnection: (socket: Socket) => void): Promise<Server> {
    // The options of Node's own HTTP server.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
    await listening(server, where);
    server.on('error', (error) => this.options.onError?.(error));
    this.#servers.push(server);
    return server;
  }
}

/**
 * Replaces `localhost` in `hosts` by its addresses on this machine. The HTTP framework would listen on the second one with a server of its
 * own, to which none of our limits applies.
 */
export async function addressesOf(hosts: readonly string[]): Promise<readonly string[]> {
  const resolved = hosts.map(async (host) => (host.toLowerCase() === 'localhost' ? loopbackAddresses(host) : [host]));
  return [...new Set((await Promise.all(resolved)).flat())];
}

async function loopbackAddresses(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true }).catch(() => []);
  const addresses: string[] = [];
  for (const { address } of found) if (await isListenable(address)) addresses.push(address);
  // If there are none, listening reports why.
  return addresses.length > 0 ? addresses : ['127.0.0.1'];
}

/** False for an address that is in the hosts file but not on this machine, as `::1` often is. */
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

// A port that the system picks for one address is in use on another one about once in a thousand times.
const PORT_TRIES = 20;

/** A port that is free on all `hosts` at this moment; 0 if none was found, or the hosts cannot be listened on. */
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

/** Removes the socket file that a killed relay left behind, since nothing could listen there again. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new RelayError('LISTEN_FAILED', `${path} (unixSocket) exists and is not a socket; choose another path`, {
      data: { reason: 'unwritable', path },
    });
  if (await isAnswered(path))
    throw new RelayError('LISTEN_FAILED', `${path} (unixSocket) is in use; is another relay running?`, {
      data: { reason: 'locked', path },
    });
  rmSync(path, { force: true });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => {
      end(true);
    });
    // Only ECONNREFUSED proves that nothing listens there; after any other error the file is not ours to remove.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED');
    });
  });
}

function unixError(error: unknown, path: string): RelayError {
  return new RelayError('LISTEN_FAILED', `cannot listen on ${path} (unixSocket): ${reasonOf(error)}; choose another path`, {
    cause: error,
    data: { reason: 'unwritable', path },
  });
}

/** The error that says why `host`:`port` cannot be listened on, and what to do. */
export function listenError(error: unknown, host: string, port: number): RelayError {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const where = `${host}:${port}`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} on ${host} is in use; is another relay running? Choose another with --port`,
    EACCES: `listening on ${where} is not permitted; ports below 1024 need rights, choose another with --port`,
    EADDRNOTAVAIL: `${host} is not an address of this machine; choose another with --host`,
    EAFNOSUPPORT: `this machine does not support addresses like ${host}; choose another with --host`,
    ENOTFOUND: `the name ${host} cannot be resolved; choose another with --host`,
    EAI_AGAIN: `the name ${host} cannot be resolved; choose another with --host`,
  };
  const text = reasons[code ?? ''] ?? `cannot listen on ${where}: ${reasonOf(error)}`;
  return new RelayError('LISTEN_FAILED', text, { cause: error, data: code === undefined ? {} : { systemCode: code } });
}

/** An address and port that the server is bound to. */
export interface Bound {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}

type AddressOptions = Pick<HttpOptions, 'host' | 'publicAddress'>;

/** The address in our host_id: the configured one, the one we listen on, or, if we listen on all, the first that others can reach. */
export function ownAddress({ publicAddress }: AddressOptions, bound: Bound): string {
  const configured = publicAddress === undefined ? undefined : canonicalAddress(publicAddress);
  if (configured !== undefined) return configured;
  if (!isUnspecified(bound.address)) return bound.address;
  const outward = Object.values(networkInterfaces())
    .flat()
    .find((net) => net !== undefined && !net.internal && net.family === 'IPv4');
  return outward?.address ?? '127.0.0.1';
}

/** True if a call to `address` (canonical) and `port` reaches this relay. */
export function isOwnAddress(options: AddressOptions, bound: Bound, address: string, port: number): boolean {
  if (port !== bound.port) return false;
  if (address === bound.address || address === ownAddress(options, bound) || hostsOf(options).includes(address)) return true;
  if (!isUnspecified(bound.address)) return false;
  const ours = Object.values(networkInterfaces()).flatMap((nets) => (nets ?? []).map((net) => canonicalAddress(net.address)));
  return isLoopback(address) || ours.includes(address);
}

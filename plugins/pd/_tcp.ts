/**
 * Pure Data over TCP: incoming connections of netsend, and a persistent connection to a netreceive. Both carry messages in both directions.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FudiReader } from './_fudi.ts';
import { nameOf } from './_hub.ts';
import type { Endpoint, Hub, Listener, Outlet, Target } from './_hub.ts';

/** The first bytes of a browser: any web page can make it connect to this machine, and could send messages to the network that way. */
const BROWSER = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \//;

/** Listens for netsend objects and `pdsend`. Rejects if the port is not available. */
export async function listenTcp(endpoint: Endpoint, hub: Hub): Promise<Listener> {
  const connections = new Set<Connection>();
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    const connection = new Connection(socket, hub);
    connections.add(connection);
    void connection.run(true).then(() => connections.delete(connection));
  });
  server.maxConnections = hub.maxConnections;
  server.on('drop', () => {
    hub.refuse(`a connection beyond ${hub.maxConnections} (maxConnections)`);
  });
  server.listen(endpoint.port, endpoint.host);
  await once(server, 'listening');
  server.on('error', ({ message }) => {
    hub.refuse(`a connection: ${message}`);
  });
  return {
    endpoint: { ...endpoint, port: (server.address() as AddressInfo).port },
    outlets: connections,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.close();
      await closed;
    },
  };
}

/** Keeps a connection to a netreceive object or `pdreceive`, whichever side is started first. */
export class TcpTarget implements Target {
  readonly endpoint: Endpoint;
  readonly #hub: Hub;
  readonly #stop = new AbortController();
  #connection: Connection | undefined;
  /** The missing connection has been logged. */
  #isReported = false;

  constructor(endpoint: Endpoint, hub: Hub) {
    this.endpoint = endpoint;
    this.#hub = hub;
    void this.#keepUp(this.#stop.signal);
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  write(message: Buffer): boolean {
    return this.#connection?.write(message) ?? false;
  }

  close(): void {
    this.#stop.abort();
    this.#connection?.close();
  }

  async #keepUp(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#connectOnce(signal);
      await sleep(this.#hub.retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Connects and waits until the connection ends. Never rejects. */
  async #connectOnce(signal: AbortSignal): Promise<void> {
    const { host, port } = this.endpoint;
    const socket = connect({ host, port, noDelay: true, keepAlive: true });
    try {
      await once(socket, 'connect', { signal });
      // If no program listens, the system may connect a socket in its own port range with itself: our messages would come back.
      if (socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress)
        throw new Error('no program listens there');
      this.#connection = new Connection(socket, this.#hub);
      this.#isReported = false;
      this.#hub.logger.info('connected to Pure Data at %s', nameOf(this.endpoint));
      await this.#connection.run(false);
    } catch (error) {
      if (!this.#isReported && !signal.aborted) this.#report(error);
    } finally {
      this.#connection = undefined;
      socket.destroy();
    }
  }

  #report(error: unknown): void {
    this.#isReported = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.#hub.logger.info('Pure Data is not at %s yet, tried again every %d ms: %s', nameOf(this.endpoint), this.#hub.retryMs, reason);
  }
}

/** One connection, in either direction. */
class Connection implements Outlet {
  readonly #socket: Socket;
  readonly #hub: Hub;
  /** The reader is slower than we write, and this has been logged; reset when it has caught up. */
  #isLagging = false;

  constructor(socket: Socket, hub: Hub) {
    this.#socket = socket;
    this.#hub = hub;
    // An error is followed by `close`, which is handled.
    socket.on('error', () => undefined);
  }

  /** Reads until the connection ends, no faster than the network accepts messages. Never rejects. */
  async run(isAccepted: boolean): Promise<void> {
    const reader = new FudiReader(this.#hub);
    let mayBeBrowser = isAccepted;
    try {
      for await (const chunk of this.#socket as AsyncIterable<Buffer>) {
        if (mayBeBrowser && BROWSER.test(chunk.toString('latin1', 0, 10))) {
          this.#hub.refuse('a connection that speaks HTTP, as a web page does');
          return;
        }
        mayBeBrowser = false;
        await this.#hub.take(reader.read(chunk));
      }
    } catch {
      // As above.
    }
    reader.end();
  }

  write(message: Buffer): boolean {
    const { writable, writableLength } = this.#socket;
    const isTaken = writable && writableLength + message.length <= this.#hub.maxPendingBytes;
    if (writableLength === 0) this.#isLagging = false;
    if (isTaken) this.#socket.write(message);
    else if (writable && !this.#isLagging) {
      this.#isLagging = true;
      const { remoteAddress, remotePort } = this.#socket;
      this.#hub.logger.warn(
        'Pure Data at %s:%d does not read: what is beyond %d bytes is dropped',
        remoteAddress,
        remotePort,
        writableLength,
      );
    }
    return isTaken;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Pure Data over UDP: a message never spans two datagrams, and delivery is not confirmed. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { FudiReader } from './_fudi.ts';
import type { Endpoint, Hub, Listener, Target } from './_hub.ts';

/** Datagrams that wait to be read or sent: some ms of a flood, and at most some 100 kB. */
const MAX_WAITING = 64;

/** Listens for `netsend -u` objects and `pdsend ... udp`; it never sends to them. Rejects if the port is not available. */
export async function listenUdp(endpoint: Endpoint, hub: Hub): Promise<Listener> {
  const socket = socketFor(endpoint);
  let waiting = 0;
  let last = Promise.resolve();
  const read = async (datagram: Buffer): Promise<void> => {
    const reader = new FudiReader(hub);
    await hub.take(reader.read(datagram));
    reader.end();
    waiting--;
  };
  socket.on('message', (datagram) => {
    if (waiting >= MAX_WAITING) {
      hub.refuse('a datagram of a flood');
      return;
    }
    waiting++;
    last = last.then(() => read(datagram));
  });
  try {
    socket.bind(endpoint.port, endpoint.host);
    await once(socket, 'listening');
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.on('error', ({ message }) => {
    hub.refuse(`a datagram: ${message}`);
  });
  return {
    endpoint: { ...endpoint, port: socket.address().port },
    outlets: new Set(),
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

/** Sends to a `netreceive -u` object or `pdreceive ... udp`. */
export class UdpTarget implements Target {
  readonly endpoint: Endpoint;
  /** UDP needs no connection. */
  readonly isConnected = true;
  readonly #socket: Socket;
  readonly #hub: Hub;
  #waiting = 0;

  constructor(endpoint: Endpoint, hub: Hub) {
    this.endpoint = endpoint;
    this.#hub = hub;
    this.#socket = socketFor(endpoint);
    // Each send reports its own errors.
    this.#socket.on('error', () => undefined);
  }

  write(message: Buffer): boolean {
    if (this.#waiting >= MAX_WAITING) return false;
    this.#waiting++;
    this.#socket.send(message, this.endpoint.port, this.endpoint.host, (error) => {
      this.#waiting--;
      if (error) this.#hub.drop();
    });
    return true;
  }

  close(): void {
    this.#socket.close();
  }
}

function socketFor({ host }: Endpoint): Socket {
  return createSocket(isIPv6(host) ? 'udp6' : 'udp4');
}

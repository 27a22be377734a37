/** A TCP proxy that delays every byte, each way: a network with a round trip, over real sockets. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** The port of a proxy on 127.0.0.1 whose bytes take `delayMs` to `port` and back, each way. */
export async function delayProxy(t: ExecutionContext, port: () => number, delayMs: number): Promise<number> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.setNoDelay(true);
    return socket;
  };
  const server = createServer((client) => {
    const target = keep(connect(port(), '127.0.0.1'));
    carry(keep(client), target, delayMs);
    carry(target, client, delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Timers of one length end in the order in which they began, so the bytes keep theirs. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  from.on('data', (chunk) => {
    setTimeout(() => {
      if (!to.destroyed) to.write(chunk);
    }, delayMs);
  });
  from.on('close', () => {
    setTimeout(() => to.destroy(), delayMs);
  });
}

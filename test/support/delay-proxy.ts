/** A TCP proxy that delays every byte in both directions, to simulate a network with latency over real sockets. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** Returns the port of a proxy on 127.0.0.1 that forwards to `port` with a delay of `delayMs` in each direction. */
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

/** Timers of equal length fire in the order in which they were set, so the bytes keep their order. */
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

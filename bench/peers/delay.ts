/**
 * Forwards TCP connections and holds back everything that it forwards, as a network with this delay each way would. Arguments: the delay
 * in ms, and the ports on loopback to forward to. Reports the ports that it listens on through the IPC channel.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { HopReport } from './hop-messages.ts';

const [ms, ...targets] = process.argv.slice(2).map(Number);

/** Passes on what `from` receives, `ms` later. Timers of the same length expire in the order in which they were set. */
function forward(from: Socket, to: Socket): void {
  const later = (work: () => void): unknown => setTimeout(work, ms);
  from.setNoDelay(true);
  from.on('data', (bytes: Buffer) => later(() => to.write(bytes)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => later(() => to.destroy()));
}

const ports = targets.map(async (target) => {
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true });
    forward(near, far);
    forward(far, near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
});
process.send?.({ ports: await Promise.all(ports) } satisfies HopReport);
// Also when the benchmark was killed.
process.on('disconnect', () => process.kill(process.pid));

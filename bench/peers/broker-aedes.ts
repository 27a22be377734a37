/** aedes, an MQTT broker in Node, as the benchmark starts it. Argument: the port. Needs the package `aedes` (see optional-package.ts). */
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { optionalPackage } from '../optional-package.ts';

/** The part of aedes that is used here. */
interface Aedes {
  readonly default: { createBroker(): { readonly handle: (socket: Socket) => void } };
}

const url = optionalPackage('aedes');
if (url === undefined) throw new Error('aedes is not installed');
const { default: aedes } = (await import(url)) as Aedes;
const { handle } = aedes.createBroker();
const server = createServer({ noDelay: true }, handle);
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.send?.({ ports: [] }));
process.on('disconnect', () => process.kill(process.pid));

/** A hop between nodes of Moleculer over its TCP transporter: the sender broadcasts an event, each receiver is a node with a service. */
import { freePort } from '../free-port.ts';
import { optionalPackage } from '../optional-package.ts';
import type { Hop, HopDict } from './hop.ts';

/** The part of Moleculer that is used here. */
interface ServiceBroker {
  readonly registry: { readonly nodes: { readonly localNode: { hostname: string } } };
  createService(schema: { readonly name: string; readonly events: Readonly<Record<string, () => void>> }): unknown;
  start(): Promise<void>;
  waitForServices(names: readonly string[], timeoutMs: number, intervalMs: number): Promise<unknown>;
  broadcast(event: string, payload: unknown): Promise<void>;
}

interface Moleculer {
  readonly ServiceBroker: new (options: object) => ServiceBroker;
}

const EVENT = 'bench';
const READY_MS = 20_000;
const nodeAt = (port: number): string => `node-${port}`;

/** A node that listens on `port` and knows the nodes that listen on `others`. */
async function brokerAt(port: number, others: readonly number[]): Promise<ServiceBroker> {
  const url = optionalPackage('moleculer');
  if (url === undefined) throw new Error('moleculer is not installed');
  const { default: moleculer } = (await import(url)) as { readonly default: Moleculer };
  const urls = others.map((other) => `127.0.0.1:${other}/${nodeAt(other)}`);
  const options = { port, urls, udpDiscovery: false, gossipPeriod: 1 };
  const broker = new moleculer.ServiceBroker({ nodeID: nodeAt(port), logger: false, transporter: { type: 'TCP', options } });
  // Other nodes connect to the host name that a node tells them.
  broker.registry.nodes.localNode.hostname = '127.0.0.1';
  return broker;
}

export const hop: Hop = {
  concurrency: 16,
  receive: async ({ count, port: sender, onDict }) => {
    const ports: number[] = [];
    for (let n = 0; n < count; n++) {
      const port = await freePort();
      const broker = await brokerAt(port, [sender]);
      broker.createService({ name: nodeAt(port), events: { [EVENT]: onDict } });
      await broker.start();
      ports.push(port);
    }
    return ports;
  },
  send: async ({ port, receivers }) => {
    const broker = await brokerAt(port, receivers);
    await broker.start();
    await broker.waitForServices(receivers.map(nodeAt), READY_MS, 50);
    return (dict: HopDict) => broker.broadcast(EVENT, dict);
  },
};

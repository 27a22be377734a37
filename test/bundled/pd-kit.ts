/** Fakes of Pure Data's netsend and netreceive over TCP and UDP that record what they receive line by line, and a relay with the bridge. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Dict, Value } from '../../src/values/values.ts';
import { Gate } from '../support/gate.ts';
import { PROJECT_DIR } from '../support/processes.ts';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/** The result of `pd.bridge.status`. */
export interface Status {
  readonly listening: readonly Endpoint[];
  readonly send_to: readonly (Endpoint & { readonly connected: boolean })[];
  readonly connections: number;
  readonly received: number;
  readonly refused: number;
  readonly sent: number;
  readonly dropped: number;
}

export interface BridgeRelay {
  readonly relay: TestRelay;
  /** The port of each entry of `listen`. */
  readonly ports: readonly number[];
  /** Registers a remote satellite; returns the dicts that it receives. */
  readonly hear: () => Promise<Gate<Dict>>;
  readonly status: () => Promise<Status>;
  /** Resolves with the first matching status. */
  readonly until: (fits: (status: Status) => boolean) => Promise<Status>;
}

/** Starts a relay with the bundled bridge. */
export async function startBridge(t: ExecutionContext, config?: Readonly<Record<string, unknown>>): Promise<BridgeRelay> {
  const plugins = config ? { 'pd.bridge': config } : {};
  const relay = await startRelay(t, { pluginsDir: join(PROJECT_DIR, 'plugins'), pluginList: ['pd'], plugins, strictStart: true });
  const hear = async (): Promise<Gate<Dict>> => {
    const other = await scriptedPeer(t);
    await relay.call('relay.register', { port: other.port });
    return other.notified;
  };
  const status = async (): Promise<Status> => (await relay.call('pd.bridge.status')) as unknown as Status;
  const until = async (fits: (status: Status) => boolean): Promise<Status> => {
    for (;;) {
      const now = await status();
      if (fits(now)) return now;
    }
  };
  const { listening } = await status();
  return { relay, ports: listening.map(({ port }) => port), hear, status, until };
}

/** The atoms of the first `count` dicts. */
export async function atomsOf(heard: Gate<Dict>, count: number): Promise<Value[]> {
  return (await heard.first(count)).map(({ data }) => (data as Dict).pd!);
}

export interface Patch {
  /** The messages that reached it, without the newline. */
  readonly lines: Gate<string>;
  readonly closed: Promise<unknown>;
  readonly socket: Socket;
}

/** A connected `netsend` object. */
export async function netsend(t: ExecutionContext, port: number, host = '127.0.0.1'): Promise<Patch> {
  const socket = connect(port, host);
  const patch = patchOf(t, socket);
  await once(socket, 'connect');
  return patch;
}

export interface Netreceive {
  readonly port: number;
  /** Receives each connection that is made to it. */
  readonly patches: Gate<Patch>;
  close(): void;
}

/** A `netreceive` object. */
export async function netreceive(t: ExecutionContext, port = 0): Promise<Netreceive> {
  const patches = new Gate<Patch>();
  const server = createServer((socket) => {
    patches.push(patchOf(t, socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    for (const { socket } of patches.all) socket.destroy();
  };
  t.teardown(close);
  return { port: (server.address() as AddressInfo).port, patches, close };
}

/** A `netreceive -u` object and a `netsend -u` object in one: records datagrams and can send them. */
export async function datagrams(
  t: ExecutionContext,
): Promise<{ port: number; lines: Gate<string>; send: (text: string | Buffer, port: number) => void }> {
  const socket = createSocket('udp4');
  const lines = new Gate<string>();
  socket.on('message', (bytes) => {
    lines.push(bytes.toString('utf8'));
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => {
    socket.close();
  });
  return {
    lines,
    port: socket.address().port,
    send: (text, port) => {
      socket.send(text, port, '127.0.0.1');
    },
  };
}

function patchOf(t: ExecutionContext, socket: Socket): Patch {
  const lines = new Gate<string>();
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) lines.push(line);
  });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  t.teardown(() => {
    socket.destroy();
  });
  return { lines, closed, socket };
}

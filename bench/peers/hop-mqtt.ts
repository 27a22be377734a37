/** A hop over an MQTT broker with QoS 0, by the few packets of MQTT 3.1.1 that this takes. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { checkDict } from './hop-json.ts';
import type { Hop } from './hop.ts';

const [CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK] = [0x10, 0x20, 0x30, 0x82, 0x90];
const TOPIC = text('bench');

/** A string with its length before it. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(type: number, ...parts: readonly Buffer[]): Buffer {
  const length: number[] = [];
  for (let left = parts.reduce((sum, part) => sum + part.length, 0), isLast = false; !isLast; left >>= 7) {
    isLast = left < 128;
    length.push((left & 127) | (isLast ? 0 : 128));
  }
  return Buffer.concat([Buffer.from([type, ...length]), ...parts]);
}

/** Calls `onPacket` with each packet that arrives. */
function readPackets(socket: Socket, onPacket: (type: number, body: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      let [length, at, byte] = [0, 1, 128];
      for (; byte >= 128 && at < rest.length; at++) length |= ((byte = rest[at] ?? 0) & 127) << (7 * (at - 1));
      if (byte >= 128 || rest.length < at + length) return;
      onPacket(rest[0] ?? 0, rest.subarray(at, at + length));
      rest = rest.subarray(at + length);
    }
  });
}

/** Connects, and waits for the answer to the last packet of the handshake. */
async function open(port: number, isSubscriber: boolean, onDict: () => void): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const isReady = new Promise<void>((resolve) => {
    readPackets(socket, (type, body) => {
      if (type === PUBLISH) {
        checkDict(body.subarray(TOPIC.length));
        onDict();
      } else if (type === (isSubscriber ? SUBACK : CONNACK)) resolve();
    });
  });
  // Level 4 is MQTT 3.1.1; a clean session without keep-alive, and a client id that the broker chooses.
  socket.write(packet(CONNECT, text('MQTT'), Buffer.from([4, 2, 0, 0]), text('')));
  if (isSubscriber) socket.write(packet(SUBSCRIBE, Buffer.from([0, 1]), TOPIC, Buffer.from([0])));
  await isReady;
  return socket;
}

export const hop: Hop = {
  concurrency: 1,
  receive: async ({ count, port, onDict }) => {
    await Promise.all(Array.from({ length: count }, () => open(port, true, onDict)));
    return [];
  },
  send: async ({ port }) => {
    const socket = await open(port, false, () => undefined);
    return (dict) => (socket.write(packet(PUBLISH, TOPIC, Buffer.from(JSON.stringify(dict)))) ? undefined : once(socket, 'drain'));
  },
};
